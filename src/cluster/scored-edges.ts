/** What every way of clustering scored edges asks of them. */
import { NaanError } from '../errors.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';

/** The lowest and highest score. Throws BAD_SHAPE unless each edge has one, BAD_INPUT for NaN. */
export function scoreRange({ targets }: CandidateEdges, scores: Float32Array): { lowest: number; highest: number } {
  if (scores.length !== targets.length) {
    throw new NaanError('BAD_SHAPE', `scores: got ${scores.length}, expected one for each of ${targets.length} edges`);
  }
  let lowest = Infinity;
  let highest = -Infinity;
  for (let e = 0; e < scores.length; e++) {
    const score = scores[e];
    if (score < lowest) lowest = score;
    if (score > highest) highest = score;
    if (Number.isNaN(score))
      throw new NaanError('BAD_INPUT', `scores: edge ${e} is NaN, expected a number from 0 to 1`);
  }
  return { lowest, highest };
}

/** 1 for a node that some edge touches, else 0 [nodeCount]. */
export function touchedNodes({ nodeCount, offsets, targets }: CandidateEdges): Uint8Array {
  const touched = new Uint8Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) if (offsets[node] < offsets[node + 1]) touched[node] = 1;
  for (let e = 0; e < targets.length; e++) touched[targets[e]] = 1;
  return touched;
}
