/** The functions that plans call, each by a name under which threads are sent it. */
import { spanningEdges } from '../cluster/edges-by-threshold.js';
import { findCapacities, findRooms, joinBetween, joinWithin } from '../cluster/linkage.js';
import { countLinks, fillLinks } from '../cluster/links.js';
import { inInputOrder, inPositions } from '../cluster/partition.js';
import { climb, climbApart, lowestOf, oversize, withGroups } from '../cluster/propagation.js';
import { placesOfPairs, writePairs } from '../cluster/sorted-pairs.js';
import { flatten, unite } from '../cluster/unite.js';
import type { Step } from '../execution/plan.js';
import { localityOrder } from '../graph/locality-order.js';
import { moveLists, positionsOf } from './layout.js';
import { findEqualRows, surveyRows } from './survey.js';

const steps: Readonly<Record<string, Step['work']>> = {
  unite,
  flatten,
  countLinks,
  fillLinks,
  lowestOf,
  oversize,
  spanningEdges,
  climb,
  climbApart,
  withGroups,
  inPositions,
  findRooms,
  findCapacities,
  joinWithin,
  joinBetween,
  inInputOrder,
  placesOfPairs,
  writePairs,
  localityOrder,
  positionsOf,
  moveLists,
  surveyRows,
  findEqualRows,
};
const names = new Map(Object.entries(steps).map(([name, work]) => [work, name]));

/** The name of a function of a plan. */
export function stepName(work: Step['work']): string {
  const name = names.get(work);
  if (name === undefined) throw new Error(`${work.name} is not among the steps`);
  return name;
}

/** Calls a function by its name. */
export function runStep(name: string, input: unknown): unknown {
  const work = steps[name];
  if (!work) throw new Error(`no step is called '${name}'`);
  return work(input);
}
