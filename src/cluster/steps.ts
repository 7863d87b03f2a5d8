/** The functions that plans call, by name, for threads that are sent one. */
import { spanningEdges } from './edges-by-threshold.js';
import { joinBetween, joinWithin } from './linkage.js';
import { countLinks, fillLinks } from './links.js';
import { inInputOrder } from './partition.js';
import type { Step } from './plan.js';
import { climb, lowestOf, oversize } from './propagation.js';
import { placesOfPairs, writePairs } from './sorted-pairs.js';
import { flatten, unite } from './unite.js';
import { labelTouched, weigh, whisper, whisperAgain, whisperRest } from './whispers.js';

const functions = [
  ...[unite, flatten, countLinks, fillLinks],
  ...[lowestOf, oversize, spanningEdges, climb],
  ...[weigh, whisper, whisperRest, whisperAgain, labelTouched],
  ...[joinWithin, joinBetween, inInputOrder, placesOfPairs, writePairs],
];
const byName = new Map<string, Step['work']>(functions.map((work) => [work.name, work]));

/** Calls a function by its name. */
export function runStep(name: string, input: unknown): unknown {
  const work = byName.get(name);
  if (!work) throw new Error(`no step is called '${name}'`);
  return work(input);
}
