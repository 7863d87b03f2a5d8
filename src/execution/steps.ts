/** The functions that plans call, by name, for threads that are sent one. */
import { spanningEdges } from '../cluster/edges-by-threshold.js';
import { findRooms, joinBetween, joinWithin } from '../cluster/linkage.js';
import { countLinks, fillLinks } from '../cluster/links.js';
import { inInputOrder } from '../cluster/partition.js';
import { climb, lowestOf, oversize } from '../cluster/propagation.js';
import { placesOfPairs, writePairs } from '../cluster/sorted-pairs.js';
import { flatten, unite } from '../cluster/unite.js';
import { moveLists, positionsOf } from '../engine/layout.js';
import { findEqualRows, surveyRows } from '../engine/survey.js';
import { localityOrder } from '../graph/locality-order.js';
import type { Step } from './plan.js';

const functions = [
  ...[unite, flatten, countLinks, fillLinks],
  ...[lowestOf, oversize, spanningEdges, climb],
  ...[findRooms, joinWithin, joinBetween, inInputOrder, placesOfPairs, writePairs],
  ...[localityOrder, positionsOf, moveLists],
  ...[surveyRows, findEqualRows],
];
const byName = new Map<string, Step['work']>(functions.map((work) => [work.name, work]));

/** Calls a function by its name. */
export function runStep(name: string, input: unknown): unknown {
  const work = byName.get(name);
  if (!work) throw new Error(`no step is called '${name}'`);
  return work(input);
}
