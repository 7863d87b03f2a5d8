/** Scored edges, as every way of clustering them reads them. */
import { NaanError } from '../errors.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';

/** scores [edgeCount]. */
export interface ScoredEdges extends CandidateEdges {
  readonly scores: Float32Array;
}

/** Throws BAD_SHAPE unless each edge has a score. */
export function withScores(edges: CandidateEdges, scores: Float32Array): ScoredEdges {
  const { nodeCount, offsets, targets } = edges;
  if (scores.length !== targets.length) {
    throw new NaanError('BAD_SHAPE', `scores: got ${scores.length}, expected one for each of ${targets.length} edges`);
  }
  return { nodeCount, offsets, targets, scores };
}

/** The lowest score of the edges of nodes [from, to), Infinity when there is none. Throws BAD_INPUT for NaN. */
export function lowestScore({ offsets, scores }: ScoredEdges, from: number, to: number): number {
  let lowest = Infinity;
  for (let e = offsets[from]; e < offsets[to]; e++) {
    const score = scores[e];
    // True for nearly every score, and for none that is NaN.
    if (score >= lowest) continue;
    if (Number.isNaN(score))
      throw new NaanError('BAD_INPUT', `scores: edge ${e} is NaN, expected a number from 0 to 1`);
    lowest = score;
  }
  return lowest;
}

/** 1 for a node that some edge touches, or that is marked already, else 0 [nodeCount]. */
export function touchedNodes({ nodeCount, offsets, targets }: CandidateEdges, marked?: Uint8Array): Uint8Array {
  const touched = new Uint8Array(nodeCount);
  if (marked) touched.set(marked);
  for (let node = 0; node < nodeCount; node++) if (offsets[node] < offsets[node + 1]) touched[node] = 1;
  for (let e = 0; e < targets.length; e++) touched[targets[e]] = 1;
  return touched;
}

/** Nodes [from, to). */
export interface NodeRange {
  readonly from: number;
  readonly to: number;
}

/** All nodes in `count` ranges of about equally many edges. */
export function rangesOfEdges({ nodeCount, offsets }: CandidateEdges, count: number): NodeRange[] {
  const ranges: NodeRange[] = [];
  for (let part = 1, from = 0; part <= count; part++) {
    const to = part === count ? nodeCount : firstAtLeast(offsets, (offsets[nodeCount] * part) / count);
    if (to > from) ranges.push({ from, to });
    from = Math.max(from, to);
  }
  return ranges;
}

function firstAtLeast(offsets: Uint32Array, edge: number): number {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsets[middle] >= edge) high = middle;
    else low = middle + 1;
  }
  return low;
}
