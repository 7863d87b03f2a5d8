/**
 * Candidate edges: all unordered pairs {i, j} with j in N(i)[1..sampleHops], each once, i ≠ j.
 * CSR keyed by one end; the other end is in `targets`. Which end is the key is the builder's choice, so users of the
 * structure treat edges as unordered.
 */
import { NaanError } from '../errors.js';
import type { KnnGraph } from './knn-graph.js';

/** Offsets are 32 bits wide. */
const maxEdges = 2 ** 32 - 1;

export interface CandidateEdges {
  readonly nodeCount: number;
  /** [nodeCount + 1]: edges of node p are offsets[p] .. offsets[p + 1]. */
  readonly offsets: Uint32Array;
  /** [edgeCount] the other end. */
  readonly targets: Int32Array;
}

/**
 * Builds the CSR in three passes over ranges of nodes, each pass by any number of threads at once over shared memory:
 * `count`, then on one thread `startOffsets`, then `list`, then `sort`. The key of an edge is its end of smaller input
 * number. An edge belongs to the list that holds the larger end, or, when only the larger end lists the smaller, to that
 * one; either way one list emits it.
 */
export class EdgeBuilder {
  /** The last node in whose list each node was seen: a list that names a node twice makes one edge of it. */
  private readonly seenBy: Int32Array;

  /** `order[p]`: input number of node p, when nodes are renumbered. `offsets` [n + 1] begins as zeros. */
  constructor(
    private readonly graph: KnnGraph,
    private readonly sampleHops: number,
    private readonly offsets: Uint32Array,
    private readonly order?: Int32Array,
  ) {
    this.seenBy = new Int32Array(graph.nodeCount).fill(-1);
  }

  /** offsets[a + 1] += edges keyed by a. */
  count(start: number, end: number): void {
    const { offsets } = this;
    this.emit(start, end, (a) => Atomics.add(offsets, a + 1, 1));
  }

  /** Writes the other ends; offsets[a + 1] is the next free place of a, and ends as the end of a's edges. */
  list(start: number, end: number, targets: Int32Array): void {
    const { offsets } = this;
    this.emit(start, end, (a, b) => {
      targets[Atomics.add(offsets, a + 1, 1)] = b;
    });
  }

  private emit(start: number, end: number, edge: (a: number, b: number) => void): void {
    const { graph, order, seenBy } = this;
    const { ids, width } = graph;
    const last = Math.min(this.sampleHops, width - 1);
    for (let i = start; i < end; i++) {
      for (let c = 1; c <= last; c++) {
        const j = ids[i * width + c];
        if (j < 0) break;
        if (j === i || seenBy[j] === i) continue;
        seenBy[j] = i;
        if (order ? order[i] < order[j] : i < j) edge(i, j);
        else if (!lists(ids, j * width + 1, j * width + last, i)) edge(j, i);
      }
    }
  }
}

/** True when ids[from..to] names the node. */
export function lists(ids: Int32Array, from: number, to: number, node: number): boolean {
  for (let at = from; at <= to; at++) if (ids[at] === node) return true;
  return false;
}

/**
 * Turns counts at offsets[a + 1] into places where the edges of a start, at offsets[a + 1]; returns the edge count. Throws
 * BAD_SHAPE when there are more edges than offsets can count.
 */
export function startOffsets(offsets: Uint32Array): number {
  let sum = 0;
  for (let p = 1; p < offsets.length; p++) {
    const count = offsets[p];
    offsets[p] = sum;
    sum += count;
  }
  if (sum > maxEdges) {
    throw new NaanError(
      'BAD_SHAPE',
      `the kNN graph has ${sum} candidate edges, expected at most ${maxEdges}: give fewer --sample-hops, or label the set in parts`,
    );
  }
  return sum;
}

/** Puts the edges of each node of [start, end) in order, so that the result does not depend on who listed them. */
export function sortEdges({ offsets, targets }: CandidateEdges, start: number, end: number): void {
  for (let node = start; node < end; node++) {
    const from = offsets[node];
    const to = offsets[node + 1];
    if (to - from > 64) {
      targets.subarray(from, to).sort();
      continue;
    }
    for (let e = from + 1; e < to; e++) {
      const target = targets[e];
      let at = e;
      for (; at > from && targets[at - 1] > target; at--) targets[at] = targets[at - 1];
      targets[at] = target;
    }
  }
}

/** All candidate edges of a graph, on the calling thread. */
export function candidateEdges(graph: KnnGraph, sampleHops: number): CandidateEdges {
  const offsets = new Uint32Array(new SharedArrayBuffer((graph.nodeCount + 1) * 4));
  new EdgeBuilder(graph, sampleHops, offsets).count(0, graph.nodeCount);
  const targets = new Int32Array(new SharedArrayBuffer(4 * startOffsets(offsets)));
  new EdgeBuilder(graph, sampleHops, offsets).list(0, graph.nodeCount, targets);
  const edges = { nodeCount: graph.nodeCount, offsets, targets };
  sortEdges(edges, 0, graph.nodeCount);
  return edges;
}

/** The ends of each edge, its key first [E × 2]. */
export function pairsOfEdges({ nodeCount, offsets, targets }: CandidateEdges): Int32Array {
  const pairs = new Int32Array(2 * targets.length);
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      pairs[2 * e] = node;
      pairs[2 * e + 1] = targets[e];
    }
  }
  return pairs;
}

/** CSR from unordered pairs [e × 2] in any order, and the place of each pair in it: `place[e]`. */
export function edgesFromPairs(
  nodeCount: number,
  pairs: ArrayLike<number>,
): { edges: CandidateEdges; place: Uint32Array } {
  const edgeCount = pairs.length / 2;
  const offsets = new Uint32Array(nodeCount + 1);
  for (let e = 0; e < edgeCount; e++) offsets[pairs[2 * e] + 1]++;
  for (let p = 0; p < nodeCount; p++) offsets[p + 1] += offsets[p];
  const cursor = offsets.slice(0, nodeCount);
  const targets = new Int32Array(edgeCount);
  const place = new Uint32Array(edgeCount);
  for (let e = 0; e < edgeCount; e++) {
    place[e] = cursor[pairs[2 * e]]++;
    targets[place[e]] = pairs[2 * e + 1];
  }
  return { edges: { nodeCount, offsets, targets }, place };
}
