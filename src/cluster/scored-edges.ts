/** What every way of clustering scored edges asks of them. */
import { NaanError } from '../errors.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';

/**
 * The lowest score, Infinity when there is none. Throws BAD_SHAPE unless each edge has one, BAD_INPUT for NaN.
 */
export function checkScores({ targets }: CandidateEdges, scores: Float32Array): number {
  if (scores.length !== targets.length) {
    throw new NaanError('BAD_SHAPE', `scores: got ${scores.length}, expected one for each of ${targets.length} edges`);
  }
  let lowest = Infinity;
  for (let e = 0; e < scores.length; e++) {
    const score = scores[e];
    // True for nearly every score, and for none that is NaN.
    if (score >= lowest) continue;
    if (Number.isNaN(score))
      throw new NaanError('BAD_INPUT', `scores: edge ${e} is NaN, expected a number from 0 to 1`);
    lowest = score;
  }
  return lowest;
}

/** 1 for a node that some edge touches, else 0 [nodeCount]. */
export function touchedNodes({ nodeCount, offsets, targets }: CandidateEdges): Uint8Array {
  const touched = new Uint8Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) if (offsets[node] < offsets[node + 1]) touched[node] = 1;
  for (let e = 0; e < targets.length; e++) touched[targets[e]] = 1;
  return touched;
}
