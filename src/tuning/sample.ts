/**
 * A small set that costs, for each node, what the whole set costs: what `naan tune` times.
 *
 * Nodes come in pieces from all over the set. A piece grows from a seed along the nearest neighbours first, as the
 * locality order grows its groups, so that within it neighbours are as near as in the whole. Neighbours that are not in the
 * sample must not be dropped: lists would be shorter, edges fewer, and tiles would gather fewer rows. They are folded
 * into the sample instead, each on one node of it that has nothing to do with the list, so that a tile still
 * gathers a row, and the same row for every list that names the neighbour.
 */
import { setImmediate } from 'node:timers/promises';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { type MatrixLocation, openRows } from '../io/matrix.js';

export interface Sample {
  readonly graph: KnnGraph;
  /** [count × dim]. */
  readonly rows: Float32Array;
  readonly dim: number;
}

/** Nodes of a piece: of the size of the groups that the locality order keeps together. */
const pieceNodes = 4096;
/** Neighbours that a piece grows along. */
const ranks = 6;
/** Bytes read before others get a turn. */
const turnBytes = 2 ** 22;

/** Reads the rows of `count` nodes, or of all when there are no more. Throws BAD_INPUT, or what `signal` is aborted with. */
export async function takeSample(
  features: MatrixLocation,
  graph: KnnGraph,
  count: number,
  signal?: AbortSignal,
): Promise<Sample> {
  const nodes = sampleNodes(graph, count);
  const reader = openRows(features);
  try {
    const { dim } = reader;
    const rows = new Float32Array(nodes.length * dim);
    let unread = 0;
    for (let i = 0; i < nodes.length; ) {
      let run = 1;
      while (nodes[i + run] === nodes[i] + run && run * dim * 4 < turnBytes) run++;
      reader.read(nodes[i], run, rows.subarray(i * dim, (i + run) * dim));
      i += run;
      unread += run * dim * 4;
      if (unread < turnBytes) continue;
      unread = 0;
      await setImmediate();
      signal?.throwIfAborted();
    }
    return { graph: foldedGraph(graph, nodes), rows, dim };
  } finally {
    reader.close();
  }
}

/** Numbers of the sampled nodes, rising. */
export function sampleNodes({ nodeCount, width, ids }: KnnGraph, count: number): Int32Array {
  if (count >= nodeCount) return Int32Array.from({ length: nodeCount }, (_, i) => i);
  const taken = new Uint8Array(nodeCount);
  const nodes = new Int32Array(count);
  const pieces = Math.ceil(count / pieceNodes);
  let found = 0;
  for (let piece = 0; piece < pieces; piece++) {
    const until = Math.round((count * (piece + 1)) / pieces);
    // Nodes to go on with, by the rank at which they were named: the nearest first.
    const waiting: number[][] = Array.from({ length: ranks }, () => []);
    const first = Array<number>(ranks).fill(0);
    let seed = Math.floor((nodeCount * piece) / pieces);
    while (found < until) {
      const rank = waiting.findIndex((queue, r) => first[r] < queue.length);
      let node = rank < 0 ? seed : waiting[rank][first[rank]++];
      if (rank < 0) {
        while (taken[node]) node = (node + 1) % nodeCount;
        seed = node;
      }
      if (taken[node]) continue;
      taken[node] = 1;
      nodes[found++] = node;
      for (let r = 0; r < Math.min(ranks, width - 1); r++) {
        const next = ids[node * width + r + 1];
        if (next >= 0 && !taken[next]) waiting[r].push(next);
      }
    }
  }
  return nodes.sort();
}

/** The lists of these nodes, neighbours renumbered 0..count-1; of a list, no two are the same. */
export function foldedGraph(graph: KnnGraph, nodes: Int32Array): KnnGraph {
  const { nodeCount, width, ids } = graph;
  const count = nodes.length;
  if (count === nodeCount) return graph;
  const place = new Int32Array(nodeCount).fill(-1);
  for (let i = 0; i < count; i++) place[nodes[i]] = i;
  const folded = allocateKnnGraph(count, Math.min(width, count));
  for (let i = 0; i < count; i++) {
    const list = folded.ids.subarray(i * folded.width, (i + 1) * folded.width);
    list[0] = i;
    const from = nodes[i] * width;
    for (let c = 1; c < list.length; c++) list[c] = ids[from + c] < 0 ? -1 : place[ids[from + c]];
    for (let c = 1; c < list.length; c++) {
      if (list[c] >= 0 || ids[from + c] < 0) continue;
      // A list's own places are few, so a free one is a step or two away.
      let at = scatter(ids[from + c]) % count;
      while (list.includes(at)) at = (at + 1) % count;
      list[c] = at;
    }
  }
  return folded;
}

/** A number below 2³² that looks unrelated to its neighbours' (multiplicative hashing, Knuth). */
function scatter(node: number): number {
  const product = Math.imul(node + 1, 0x9e3779b1);
  return (product ^ (product >>> 15)) >>> 0;
}
