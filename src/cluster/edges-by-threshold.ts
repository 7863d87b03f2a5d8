/**
 * Edges sorted by the highest of a few rising thresholds that their score reaches, so that components at all of the
 * thresholds come out of one pass from the highest to the lowest; and of all edges only those that matter to it. Those of a
 * spanning forest of the highest scores do (Kruskal 1956), and whatever part of the edges it is found in, an edge outside of
 * the forest of its part is outside of that of the whole. So edges are looked at in blocks that fit into a cache, by any
 * number of threads, and of about 16 edges a node less than 2 are left. O(E α(n)).
 */

import { sharedInts } from '../memory/shared-arrays.js';
import { DisjointSet } from './disjoint-set.js';
import type { NodeRange, ScoredEdges } from './scored-edges.js';

export interface EdgesByThreshold {
  /** Edges that reach thresholds[t] and no higher one: e in starts[t] .. starts[t + 1] [thresholds.length + 1]. */
  readonly starts: Float64Array;
  /** The two ends of each edge. */
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
}

/** Some edges in any order, and how many of the thresholds each reaches, ≥ 1. In shared memory. */
export interface ForestEdges {
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
  readonly reached: Int32Array;
}

/** Edges of a block: 16 bytes each, beside the nodes that they touch, in the second cache of a core. */
const blockEdges = 2 ** 15;

interface SpanningInput extends NodeRange {
  readonly edges: ScoredEdges;
  /** Rising, compared (score ≥ threshold) in float64. */
  readonly thresholds: Float64Array;
  /** [nodeCount]: 1 for the nodes whose edge lists count, 0 for the others; all of them when absent. */
  readonly nodes?: Uint8Array;
}

/** The edges that the components at all thresholds need of the lists of nodes [from, to). */
export function spanningEdges({ edges, thresholds, from, to, nodes }: SpanningInput): ForestEdges {
  const { nodeCount, offsets, targets, scores } = edges;
  const reachedBy = thresholdFinder(thresholds);
  const set = new DisjointSet(nodeCount);
  let widest = 0;
  for (let node = from; node < to; node++) widest = Math.max(widest, offsets[node + 1] - offsets[node]);
  const room = blockEdges + widest;
  const found = { firsts: new Int32Array(room), seconds: new Int32Array(room), reached: new Int32Array(room) };
  const byThreshold = new Uint32Array(room);
  const parts: ForestEdges[] = [];
  for (let node = from; node < to; ) {
    let count = 0;
    const starts = new Uint32Array(thresholds.length + 1);
    for (; node < to && count < blockEdges; node++) {
      if (nodes !== undefined && nodes[node] === 0) continue;
      for (let e = offsets[node]; e < offsets[node + 1]; e++) {
        const reached = reachedBy(scores[e]);
        if (reached === 0) continue;
        found.firsts[count] = node;
        found.seconds[count] = targets[e];
        found.reached[count++] = reached;
        starts[reached]++;
      }
    }
    // Falling thresholds: the places of those reaching r begin where those reaching r + 1 end.
    let sum = 0;
    for (let reached = thresholds.length; reached > 0; reached--) {
      const here = starts[reached];
      starts[reached] = sum;
      sum += here;
    }
    for (let i = 0; i < count; i++) byThreshold[starts[found.reached[i]]++] = i;
    const kept = spanning(found, byThreshold.subarray(0, count), set);
    parts.push(kept);
    // A node of any edge is in the forest too.
    for (let i = 0; i < kept.firsts.length; i++) {
      set.isolate(kept.firsts[i]);
      set.isolate(kept.seconds[i]);
    }
  }
  return concatenated(parts);
}

/** The edges that join something when they are taken in this order. */
function spanning({ firsts, seconds, reached }: ForestEdges, order: Uint32Array, set: DisjointSet): ForestEdges {
  let count = 0;
  for (let i = 0; i < order.length; i++) {
    const e = order[i];
    if (set.unite(firsts[e], seconds[e])) order[count++] = e;
  }
  const kept = { firsts: new Int32Array(count), seconds: new Int32Array(count), reached: new Int32Array(count) };
  for (let i = 0; i < count; i++) {
    kept.firsts[i] = firsts[order[i]];
    kept.seconds[i] = seconds[order[i]];
    kept.reached[i] = reached[order[i]];
  }
  return kept;
}

function concatenated(parts: readonly ForestEdges[]): ForestEdges {
  const count = parts.reduce((sum, { firsts }) => sum + firsts.length, 0);
  const all = {
    firsts: sharedInts(count),
    seconds: sharedInts(count),
    reached: sharedInts(count),
  };
  let at = 0;
  for (const { firsts, seconds, reached } of parts) {
    all.firsts.set(firsts, at);
    all.seconds.set(seconds, at);
    all.reached.set(reached, at);
    at += firsts.length;
  }
  return all;
}

/** The edges of all parts, sorted. A counting sort. */
export function sortByThreshold(parts: readonly ForestEdges[], thresholdCount: number): EdgesByThreshold {
  const starts = new Float64Array(thresholdCount + 1);
  for (const { reached } of parts) for (let i = 0; i < reached.length; i++) starts[reached[i]]++;
  for (let t = 1; t < starts.length; t++) starts[t] += starts[t - 1];
  const firsts = new Int32Array(starts[thresholdCount]);
  const seconds = new Int32Array(firsts.length);
  const cursor = starts.slice();
  for (const part of parts) {
    for (let i = 0; i < part.reached.length; i++) {
      const at = cursor[part.reached[i] - 1]++;
      firsts[at] = part.firsts[i];
      seconds[at] = part.seconds[i];
    }
  }
  return { starts, firsts, seconds };
}

const cells = 4096;

/**
 * Counts the rising thresholds that a score reaches. The range of thresholds is cut into equal cells, and a score compared
 * with the thresholds of its cell only: few, and mostly none, where a search among all would guess wrong at every step.
 */
function thresholdFinder(thresholds: Float64Array): (score: number) => number {
  const { length } = thresholds;
  const lowest = thresholds[0];
  const highest = thresholds[length - 1];
  const scale = highest > lowest ? (cells - 1) / (highest - lowest) : 0;
  // Rounding never turns the order of two numbers round, so that a threshold of a lower cell is a lower one.
  const below = new Int32Array(cells + 1);
  for (const threshold of thresholds) below[(((threshold - lowest) * scale) | 0) + 1]++;
  for (let cell = 0; cell < cells; cell++) below[cell + 1] += below[cell];
  return (score) => {
    if (!(score >= lowest)) return 0;
    if (score >= highest) return length;
    const cell = ((score - lowest) * scale) | 0;
    let low = below[cell];
    let high = below[cell + 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (score >= thresholds[middle]) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
