/**
 * Components of a graph of which most is one component, when all edges are there at once, each at both ends: the first edges
 * of every node make out nearly all of that component, and its nodes need no others, since an edge that leaves it is seen
 * from its other end (Afforest, Sutton, Ben-Nun and Barak 2018).
 *
 * Passes over runs of nodes by any number of threads, with a barrier after each: `sample` and `flatten` for each round, then
 * `uniteRest` and `flatten`.
 */
import type { SharedDisjointSet } from '../src/cluster/shared-disjoint-set.js';

export interface EdgesByNode {
  readonly offsets: Uint32Array;
  readonly targets: Int32Array;
}

/** Edges of each node that are taken first, one a round. */
export const sampleRounds = 2;
const sampleSize = 1024;

/** Lists with each edge at both ends, of lists with each edge at one. */
export function atBothEnds({ offsets, targets }: EdgesByNode): EdgesByNode {
  const nodeCount = offsets.length - 1;
  const both = new Uint32Array(new SharedArrayBuffer(offsets.byteLength));
  for (let node = 0; node < nodeCount; node++) both[node + 1] = offsets[node + 1] - offsets[node];
  for (const target of targets) both[target + 1]++;
  for (let node = 0; node < nodeCount; node++) both[node + 1] += both[node];
  const places = both.slice();
  const ends = new Int32Array(new SharedArrayBuffer(2 * targets.byteLength));
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      ends[places[node]++] = targets[e];
      ends[places[targets[e]]++] = node;
    }
  }
  return { offsets: both, targets: ends };
}

export class SampledComponents {
  constructor(
    private readonly set: SharedDisjointSet,
    private readonly edges: EdgesByNode,
  ) {}

  /** Unites the edge number `round` of each node. */
  sample(round: number, from: number, to: number): void {
    const { set } = this;
    const { offsets, targets } = this.edges;
    for (let node = from; node < to; node++) {
      const e = offsets[node] + round;
      if (e < offsets[node + 1]) set.unite(node, targets[e]);
    }
  }

  flatten(from: number, to: number): void {
    this.set.flatten(from, to);
  }

  /** The component that most of a sample of nodes are in; any component is right, a large one is fast. */
  largest(): number {
    const { set } = this;
    const counts = new Map<number, number>();
    let largest = set.find(0);
    for (let i = 0; i < sampleSize; i++) {
      // Multiples of the golden ratio: spread evenly, and the same every time.
      const root = set.find(Math.floor(((i * 0.6180339887498949) % 1) * set.nodeCount));
      counts.set(root, (counts.get(root) ?? 0) + 1);
      if (counts.get(root)! > (counts.get(largest) ?? 0)) largest = root;
    }
    return largest;
  }

  /** Unites the other edges of nodes outside the largest component. */
  uniteRest(largest: number, from: number, to: number): void {
    const { set } = this;
    const { offsets, targets } = this.edges;
    for (let node = from; node < to; node++) {
      if (set.find(node) === largest) continue;
      const end = offsets[node + 1];
      for (let e = offsets[node] + sampleRounds; e < end; e++) set.unite(node, targets[e]);
    }
  }
}
