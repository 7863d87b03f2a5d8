/** How sure labels are, by the scores of the edges within clusters and between them. */
import type { ScoredEdges } from './scored-edges.js';

export interface Trust {
  /** Of each node, its best score to a node of its own cluster less its best to any other [nodes]. */
  readonly margins: Float32Array;
  /** Mean score of the edges within each cluster; NaN where there are none [clusters], as all that follows. */
  readonly cohesion: Float32Array;
  /** Best score of an edge that leads out of the cluster; 0 where none does. */
  readonly separation: Float32Array;
  /** What the loosest node hangs by: the least of the nodes' best scores within; NaN where there are no edges within. */
  readonly weakestJoin: Float32Array;
}

/** Most bytes that `trustOf` takes and gives for nodes that are rows, with the margins of these. */
export function trustBytes(nodes: number): number {
  return 56 * nodes;
}

/** One pass over edges; the result does not depend on their order but for the rounding of `cohesion`. `labels`: cluster of each node, −1 for none [nodes]. */
export function trustOf(
  { nodeCount, offsets, targets, scores }: ScoredEdges,
  labels: Int32Array,
  clusters: number,
): Trust {
  const within = new Float32Array(nodeCount);
  const beyond = new Float32Array(nodeCount);
  const sums = new Float64Array(clusters);
  const counts = new Float64Array(clusters);
  for (let a = 0; a < nodeCount; a++) {
    for (let e = offsets[a]; e < offsets[a + 1]; e++) {
      const b = targets[e];
      const score = scores[e];
      const isWithin = labels[a] >= 0 && labels[a] === labels[b];
      const best = isWithin ? within : beyond;
      if (score > best[a]) best[a] = score;
      if (score > best[b]) best[b] = score;
      if (!isWithin) continue;
      sums[labels[a]] += score;
      counts[labels[a]]++;
    }
  }
  const separation = new Float32Array(clusters);
  const weakestJoin = new Float32Array(clusters).fill(1);
  for (let node = 0; node < nodeCount; node++) {
    const label = labels[node];
    if (label < 0) continue;
    if (beyond[node] > separation[label]) separation[label] = beyond[node];
    if (within[node] < weakestJoin[label]) weakestJoin[label] = within[node];
  }
  for (let c = 0; c < clusters; c++) if (counts[c] === 0) weakestJoin[c] = Number.NaN;
  return {
    margins: within.map((score, node) => score - beyond[node]),
    cohesion: Float32Array.from(sums, (sum, c) => sum / counts[c]),
    separation,
    weakestJoin,
  };
}
