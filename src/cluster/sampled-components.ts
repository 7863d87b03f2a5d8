/**
 * Components of a large graph of which most is one component, when all edges are there at once: the first edges of every node
 * make out nearly all of that component, and of the edges that are left most have both ends in it and join nothing (Afforest,
 * Sutton, Ben-Nun and Barak 2018). Afforest has each edge at both ends and passes over all edges of such nodes. Here each
 * edge is at one end, so the other has to be looked up: in a bitmap, which a cache holds where it does not hold the parents.
 *
 * Passes over runs of nodes by any number of threads, with a barrier after each: `sample` and `flatten` for each round, then
 * `mark`, `uniteRest`, `flatten`. Runs begin at multiples of 32 nodes.
 */
import type { SharedDisjointSet } from './shared-disjoint-set.js';

interface EdgeLists {
  readonly offsets: Uint32Array;
  readonly targets: Int32Array;
}

/** Edges of each node that are taken first, one a round. */
export const sampleRounds = 2;
const sampleSize = 1024;

export class SampledComponents {
  /** `marks` [⌈nodeCount / 32⌉]: shared by the threads. */
  constructor(
    private readonly set: SharedDisjointSet,
    private readonly edges: EdgeLists,
    private readonly marks: Int32Array,
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

  /** Notes which nodes are in the component `largest`. */
  mark(largest: number, from: number, to: number): void {
    const { set, marks } = this;
    for (let word = from >>> 5; word << 5 < to; word++) {
      let bits = 0;
      const end = Math.min(to, (word + 1) << 5);
      for (let node = word << 5; node < end; node++) if (set.find(node) === largest) bits |= 1 << (node & 31);
      marks[word] = bits;
    }
  }

  /** Unites the edges after the sampled ones, but for those with both ends in the largest component. */
  uniteRest(from: number, to: number): void {
    const { set, marks } = this;
    const { offsets, targets } = this.edges;
    for (let node = from; node < to; node++) {
      const end = offsets[node + 1];
      const inside = (marks[node >>> 5] >>> (node & 31)) & 1;
      for (let e = offsets[node] + sampleRounds; e < end; e++) {
        const target = targets[e];
        if ((inside & (marks[target >>> 5] >>> (target & 31))) === 0) set.unite(node, target);
      }
    }
  }
}
