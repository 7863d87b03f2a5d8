/**
 * Edges sorted by the highest of a few rising thresholds that their score reaches, so that components at all of the
 * thresholds come out of one pass from the highest to the lowest. A counting sort, O(E log thresholds).
 */
import type { CandidateEdges } from '../graph/candidate-edges.js';

export interface EdgesByThreshold {
  /** Edges that reach thresholds[t] and no higher one: e in starts[t] .. starts[t + 1] [thresholds.length + 1]. */
  readonly starts: Float64Array;
  /** The two ends of each edge. */
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
}

/**
 * thresholds: rising, compared (score ≥ threshold) in float64. `nodes` [nodeCount]: 1 for the nodes whose edge lists
 * count, 0 for the others; all of them when absent. Edges that reach no threshold are left out.
 */
export function edgesByThreshold(
  { nodeCount, offsets, targets }: CandidateEdges,
  scores: Float32Array,
  thresholds: Float64Array,
  nodes?: Uint8Array,
): EdgesByThreshold {
  const starts = new Float64Array(thresholds.length + 1);
  for (let node = 0; node < nodeCount; node++) {
    if (nodes !== undefined && nodes[node] === 0) continue;
    for (let e = offsets[node]; e < offsets[node + 1]; e++) starts[thresholdsReached(scores[e], thresholds)]++;
  }
  // starts[0] has counted the edges that reach none; starts[t + 1] those that reach t + 1 of them.
  starts[0] = 0;
  for (let t = 1; t < starts.length; t++) starts[t] += starts[t - 1];

  const firsts = new Int32Array(starts[thresholds.length]);
  const seconds = new Int32Array(firsts.length);
  const cursor = starts.slice();
  for (let node = 0; node < nodeCount; node++) {
    if (nodes !== undefined && nodes[node] === 0) continue;
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      const reached = thresholdsReached(scores[e], thresholds);
      if (reached === 0) continue;
      const at = cursor[reached - 1]++;
      firsts[at] = node;
      seconds[at] = targets[e];
    }
  }
  return { starts, firsts, seconds };
}

function thresholdsReached(score: number, thresholds: Float64Array): number {
  let low = 0;
  let high = thresholds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (score >= thresholds[middle]) low = middle + 1;
    else high = middle;
  }
  return low;
}
