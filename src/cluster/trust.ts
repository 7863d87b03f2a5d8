/** Trust of labels, by the scores of the edges within clusters and between them. */
import type { ScoredEdges } from './scored-edges.js';

export interface Trust {
  /** Margin of each node [nodes]: its best score to a node of its own cluster less its best to any other. */
  readonly margins: Float32Array;
  /** Mean score of the edges within each cluster; NaN where there are none [clusters], as all that follows. */
  readonly cohesion: Float32Array;
  /** Best score of an edge that leads out of the cluster; 0 where none does. */
  readonly separation: Float32Array;
  /** Least of the nodes' best scores within the cluster, the score that the loosest node hangs by; NaN where there are no edges within. */
  readonly weakestJoin: Float32Array;
  /** Mean margin of the cluster's nodes, where a node alone counts as 1 to its own. Of what was tried, leaving out what is low in it gains the most precision. */
  readonly trust: Float32Array;
}

export interface LeavingOut {
  /** Clusters of fewer rows are left out. */
  readonly minSize?: number | undefined;
  /** Clusters of less `trust` are left out. */
  readonly minTrust?: number | undefined;
}

/** 1 for each cluster that is left out; undefined when nothing asks for it. `trust`: needed for `minTrust`. */
export function leftOut(
  sizes: Int32Array,
  trust: Float32Array | undefined,
  { minSize = 1, minTrust = -1 }: LeavingOut,
): Uint8Array | undefined {
  if (minSize <= 1 && minTrust <= -1) return undefined;
  return Uint8Array.from(sizes, (size, c) => Number(size < minSize || (trust !== undefined && trust[c] < minTrust)));
}

/** Clusters that are left out have no rows, which get label −1, in place; the others keep theirs. */
export function leaveOut(labels: Int32Array, sizes: Int32Array, left: Uint8Array): void {
  for (let c = 0; c < left.length; c++) if (left[c] === 1) sizes[c] = 0;
  for (let row = 0; row < labels.length; row++) if (labels[row] >= 0 && left[labels[row]] === 1) labels[row] = -1;
}

/** Rows of each cluster. */
export function clusterSizes(labels: Int32Array, clusters: number): Int32Array {
  const sizes = new Int32Array(clusters);
  for (const label of labels) if (label >= 0) sizes[label]++;
  return sizes;
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
  // Best score of node i beyond its cluster at 2 i, and within it at 2 i + 1: branches on either would be guessed wrong often.
  const best = new Float32Array(2 * nodeCount);
  const sums = new Float64Array(clusters);
  const counts = new Float64Array(clusters);
  for (let a = 0; a < nodeCount; a++) {
    // Nodes without a cluster have none in common.
    const label = labels[a] < 0 ? -2 : labels[a];
    const end = offsets[a + 1];
    let sum = label < 0 ? 0 : sums[label];
    let count = 0;
    for (let e = offsets[a]; e < end; e++) {
      const b = targets[e];
      const score = scores[e];
      const isWithin = labels[b] === label ? 1 : 0;
      const ofA = 2 * a + isWithin;
      const ofB = 2 * b + isWithin;
      if (score > best[ofA]) best[ofA] = score;
      if (score > best[ofB]) best[ofB] = score;
      sum += isWithin * score;
      count += isWithin;
    }
    if (count === 0) continue;
    sums[label] = sum;
    counts[label] += count;
  }
  const separation = new Float32Array(clusters);
  const weakestJoin = new Float32Array(clusters).fill(1);
  const marginSums = new Float64Array(clusters);
  const nodes = new Float64Array(clusters);
  for (let node = 0; node < nodeCount; node++) {
    const label = labels[node];
    if (label < 0) continue;
    const beyond = best[2 * node];
    const within = best[2 * node + 1];
    marginSums[label] += (counts[label] === 0 ? 1 : within) - beyond;
    nodes[label]++;
    if (beyond > separation[label]) separation[label] = beyond;
    if (within < weakestJoin[label]) weakestJoin[label] = within;
  }
  const margins = new Float32Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) margins[node] = best[2 * node + 1] - best[2 * node];
  const cohesion = new Float32Array(clusters);
  const trust = new Float32Array(clusters);
  for (let c = 0; c < clusters; c++) {
    if (counts[c] === 0) weakestJoin[c] = Number.NaN;
    cohesion[c] = sums[c] / counts[c];
    trust[c] = marginSums[c] / nodes[c];
  }
  return { margins, cohesion, separation, weakestJoin, trust };
}
