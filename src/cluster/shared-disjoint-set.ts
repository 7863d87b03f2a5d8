/**
 * Connected components that any number of threads build together, without locks.
 *
 * One Int32 a node in shared memory: its parent, or itself for a root. A root is only ever linked under a lower root,
 * so parent[x] ≤ x always and, once every thread is done, the root of a component is its smallest node whatever the
 * interleaving was. (Afforest, Sutton, Ben-Nun and Barak 2018, links the same way; halving: Tarjan and van Leeuwen 1984.)
 *
 * Why plain reads and writes suffice everywhere but in `link`:
 * - An aligned int32 is never torn, so a read gives some value that was stored, perhaps an old one.
 * - Only a root's slot decides anything, and it changes once, by compareExchange: exactly one thread links it.
 *   A stale read can make a node look like a root still; then the exchange fails and hands back its true parent.
 * - Every value ever stored in parent[x] is an ancestor of x or x itself. Halving writes only to nodes that it saw
 *   with a parent, and such a node is never a root again: a halving store may undo a newer one (a longer path), but
 *   never a link.
 * - Walks move to smaller ids only, so they end, and no loop waits for another thread's write.
 * Results (`find` of two nodes being equal, sizes, labels) are final when the threads that unite have been joined.
 */
import type { CandidateEdges } from '../graph/candidate-edges.js';

/** The handle by which another thread sees the same set. */
export interface SharedDisjointSetHandle {
  readonly parents: SharedArrayBuffer;
}

export class SharedDisjointSet {
  readonly nodeCount: number;
  private readonly parents: Int32Array;

  private constructor(parents: Int32Array) {
    this.parents = parents;
    this.nodeCount = parents.length;
  }

  /**
   * `nodeCount` nodes, each a component of its own, or in these components [nodeCount], each named by its smallest node
   * (`componentOf`).
   */
  static allocate(nodeCount: number, components?: Int32Array): SharedDisjointSet {
    const parents = new Int32Array(new SharedArrayBuffer(nodeCount * 4));
    if (components !== undefined) parents.set(components);
    else for (let node = 0; node < nodeCount; node++) parents[node] = node;
    return new SharedDisjointSet(parents);
  }

  /** The same set, seen from another thread. */
  static from(handle: SharedDisjointSetHandle): SharedDisjointSet {
    return new SharedDisjointSet(new Int32Array(handle.parents));
  }

  handle(): SharedDisjointSetHandle {
    return { parents: this.parents.buffer as SharedArrayBuffer };
  }

  /** The root of the node's component: its smallest node, as far as unions have got. */
  find(node: number): number {
    return findRoot(this.parents, node);
  }

  /** Joins the components of a and b. True when this call joined them, over all threads once a lost root. */
  unite(a: number, b: number): boolean {
    return this.parents[a] !== this.parents[b] && link(this.parents, a, b);
  }

  /**
   * Unites each edge of nodes [from, to), listed at either of its ends; with `scores` [edgeCount], each of score ≥ threshold. Threads may take
   * overlapping or disjoint ranges in any order. Returns the number of components joined away.
   */
  uniteEdges(
    { offsets, targets }: Pick<CandidateEdges, 'offsets' | 'targets'>,
    from: number,
    to: number,
    scores?: Float32Array,
    threshold = 0,
  ): number {
    const { parents } = this;
    let joined = 0;
    for (let node = from; node < to; node++) {
      const end = offsets[node + 1];
      let parent = parents[node];
      for (let e = offsets[node]; e < end; e++) {
        if (scores !== undefined && !(scores[e] >= threshold)) continue;
        // Most edges inside a growing component end here: both ends hang under the same parent.
        const target = targets[e];
        if (parents[target] === parent) continue;
        if (link(parents, node, target)) joined++;
        parent = parents[node];
      }
    }
    return joined;
  }

  /** Hangs nodes [from, to) directly under their roots, when no thread is uniting; others may flatten other nodes. */
  flatten(from = 0, to = this.nodeCount): void {
    const { parents } = this;
    for (let node = from; node < to; node++) {
      // Upwards: the parent, being smaller, is flat already, if it is not another thread's.
      const parent = parents[parents[node]];
      parents[node] = parents[parent] === parent ? parent : findRoot(parents, parent);
    }
  }

  /** The smallest node of each node's component [nodeCount]. Only when no thread is uniting. */
  componentOf(out: Int32Array = new Int32Array(this.nodeCount)): Int32Array {
    this.flatten();
    out.set(this.parents);
    return out;
  }
}

function findRoot(parents: Int32Array, start: number): number {
  let node = start;
  let parent = parents[node];
  while (parent !== node) {
    const above = parents[parent];
    if (above === parent) return parent;
    parents[node] = above;
    node = above;
    parent = parents[node];
  }
  return node;
}

function link(parents: Int32Array, a: number, b: number): boolean {
  let rootA = findRoot(parents, a);
  let rootB = findRoot(parents, b);
  while (rootA !== rootB) {
    if (rootA < rootB) {
      const lower = rootA;
      rootA = rootB;
      rootB = lower;
    }
    const seen = Atomics.compareExchange(parents, rootA, rootA, rootB);
    if (seen === rootA) return true;
    // Another thread linked it first; go on from where it hangs now.
    rootA = findRoot(parents, seen);
  }
  return false;
}

/** Nodes in each component, at the index of its label, 0 elsewhere [components.length]. */
export function componentSizes(components: Int32Array): Int32Array {
  const sizes = new Int32Array(components.length);
  for (let node = 0; node < components.length; node++) sizes[components[node]]++;
  return sizes;
}
