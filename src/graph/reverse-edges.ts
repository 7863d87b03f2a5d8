/**
 * The candidate edges at their other end: with the CSR that is keyed by one end, all edges of a node. Built in two passes
 * over ranges of nodes, each by any number of threads at once over shared memory, with `startOffsets` between them:
 * `countReverse`, `listReverse`. The order of the edges of a node is not defined.
 */
import { type CandidateEdges, startOffsets } from './candidate-edges.js';

export interface ReverseEdges {
  /** [nodeCount + 1]: the edges whose target is p are offsets[p] .. offsets[p + 1]. */
  readonly offsets: Uint32Array;
  /** [edgeCount] the key of the edge. */
  readonly sources: Int32Array;
  /** [edgeCount] its number. */
  readonly edges: Uint32Array;
}

/** `offsets` [n + 1] begins as zeros: offsets[b + 1] += edges to b that are keyed by start .. end−1. */
export function countReverse(edges: CandidateEdges, start: number, end: number, offsets: Uint32Array): void {
  const last = edges.offsets[end];
  for (let e = edges.offsets[start]; e < last; e++) Atomics.add(offsets, edges.targets[e] + 1, 1);
}

/** Lists the edges keyed by start .. end−1; once all are listed, offsets[b + 1] is the end of the edges to b. */
export function listReverse(edges: CandidateEdges, start: number, end: number, reverse: ReverseEdges): void {
  for (let node = start; node < end; node++) {
    for (let e = edges.offsets[node]; e < edges.offsets[node + 1]; e++) {
      const at = Atomics.add(reverse.offsets, edges.targets[e] + 1, 1);
      reverse.sources[at] = node;
      reverse.edges[at] = e;
    }
  }
}

/** Both passes on the calling thread. */
export function reverseEdges(edges: CandidateEdges): ReverseEdges {
  const { nodeCount, targets } = edges;
  const offsets = new Uint32Array(shared(nodeCount + 1));
  countReverse(edges, 0, nodeCount, offsets);
  startOffsets(offsets);
  const [sources, numbers] = [shared(targets.length), shared(targets.length)];
  const reverse = { offsets, sources: new Int32Array(sources), edges: new Uint32Array(numbers) };
  listReverse(edges, 0, nodeCount, reverse);
  return reverse;
}

/** The edges of marked nodes [n] at their other end, on the calling thread; other nodes have none. */
export function reverseOfMarked({ nodeCount, offsets, targets }: CandidateEdges, marked: Uint8Array): ReverseEdges {
  const starts = new Uint32Array(shared(nodeCount + 1));
  for (let e = 0; e < targets.length; e++) if (marked[targets[e]] === 1) starts[targets[e] + 1]++;
  const count = startOffsets(starts);
  const reverse = { offsets: starts, sources: new Int32Array(shared(count)), edges: new Uint32Array(shared(count)) };
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      if (marked[targets[e]] === 0) continue;
      const at = starts[targets[e] + 1]++;
      reverse.sources[at] = node;
      reverse.edges[at] = e;
    }
  }
  return reverse;
}

function shared(length: number): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * length);
}
