/**
 * Decisions of people about a graph's nodes, which every way of clustering honours exactly.
 *
 * Nodes of one *group* are one identity: they are joined before all else. Which nodes are not, *sets* say: a set parts some
 * nodes, and nodes of different parts of one set are different identities. Two clusters may not be joined when they hold different
 * parts of a set. So a cluster holds one part of a set at the most, and what it may not be joined with is told by
 * comparing as many numbers as the smaller of the two holds, however many pairs a set keeps apart: a photograph of m faces is one set of m
 * parts. Joining never allows what was not allowed before.
 */
import { sharedCounts, sharedInts } from '../memory/shared-arrays.js';

/** Constraints in shared memory. */
export interface Constraints {
  /** The first and the last node of each node's group [n]. */
  readonly firsts: Int32Array;
  readonly lasts: Int32Array;
  /** 1 for a node that has a cluster, whether or not an edge touches it [n]. */
  readonly decided: Uint8Array;
  /** Sets that each node is in, and its part of each: those of node p at offsets[p] .. offsets[p + 1] [n + 1]. */
  readonly offsets: Uint32Array;
  readonly sets: Int32Array;
  readonly parts: Int32Array;
}

/** Bytes of constraints and of what is kept of clusters while they are joined. */
export function constraintBytes(nodes: number, parts: number): number {
  return 30 * nodes + 60 * parts;
}

/** Constraints as they are gathered: groups named by one of their nodes. */
interface Gathered {
  readonly groupOf: (node: number) => number;
  readonly isDecided: (node: number) => boolean;
  /** Nodes, sets and parts, in step. */
  readonly tagged: ArrayLike<number>;
  readonly sets: ArrayLike<number>;
  readonly parts: ArrayLike<number>;
}

export function constraintsFrom(nodeCount: number, { groupOf, isDecided, tagged, sets, parts }: Gathered): Constraints {
  const offsets = sharedCounts(nodeCount + 1);
  for (let t = 0; t < tagged.length; t++) offsets[tagged[t] + 1]++;
  for (let node = 0; node < nodeCount; node++) offsets[node + 1] += offsets[node];
  const next = offsets.slice(0, nodeCount);
  const made: Constraints = {
    firsts: sharedInts(nodeCount),
    lasts: sharedInts(nodeCount),
    decided: new Uint8Array(new SharedArrayBuffer(nodeCount)),
    offsets,
    sets: sharedInts(tagged.length),
    parts: sharedInts(tagged.length),
  };
  for (let t = 0; t < tagged.length; t++) {
    const at = next[tagged[t]]++;
    made.sets[at] = sets[t];
    made.parts[at] = parts[t];
  }
  const first = new Int32Array(nodeCount).fill(-1);
  const last = new Int32Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    const group = groupOf(node);
    if (first[group] < 0) first[group] = node;
    last[group] = node;
    if (isDecided(node)) made.decided[node] = 1;
  }
  for (let node = 0; node < nodeCount; node++) {
    const group = groupOf(node);
    made.firsts[node] = first[group];
    made.lasts[node] = last[group];
  }
  return made;
}

/** The same of nodes that were renumbered: node p of these is node order[p] of those. */
export function inOrder(constraints: Constraints, order: Int32Array | undefined): Constraints {
  if (order === undefined) return constraints;
  const { firsts, decided, offsets, sets, parts } = constraints;
  const tagged = new Int32Array(sets.length);
  const moved = { sets: new Int32Array(sets.length), parts: new Int32Array(sets.length) };
  let filled = 0;
  for (let p = 0; p < order.length; p++) {
    for (let t = offsets[order[p]]; t < offsets[order[p] + 1]; t++) {
      tagged[filled] = p;
      moved.sets[filled] = sets[t];
      moved.parts[filled++] = parts[t];
    }
  }
  return constraintsFrom(order.length, {
    groupOf: (p) => firsts[order[p]],
    isDecided: (p) => decided[order[p]] === 1,
    tagged,
    ...moved,
  });
}

/** The number of parts of a cluster from which they are found by a map. */
const mappedFrom = 16;

/** The clusters of nodes [from, to) that may not be joined. Nodes outside of the range are clusters of one. */
export class Apart {
  private readonly next: Int32Array;
  private readonly last: Int32Array;
  /** Parts that the cluster of each root holds, of one set as often as nodes of it hold it. */
  private readonly counts: Int32Array;
  private readonly first: Int32Array;
  private readonly maps = new Map<number, Map<number, number>>();

  constructor(
    private readonly constraints: Constraints,
    private readonly from: number,
    private readonly to: number,
    rootOf: (node: number) => number,
  ) {
    const { offsets } = constraints;
    this.next = new Int32Array(to - from).fill(-1);
    this.last = new Int32Array(to - from).fill(-1);
    this.first = new Int32Array(to - from).fill(-1);
    this.counts = new Int32Array(to - from);
    for (let node = from; node < to; node++) {
      if (offsets[node] === offsets[node + 1]) continue;
      const root = rootOf(node) - from;
      const i = node - from;
      if (this.first[root] < 0) this.first[root] = i;
      else this.next[this.last[root]] = i;
      this.last[root] = i;
      this.counts[root] += offsets[node + 1] - offsets[node];
    }
  }

  /** Whether clusters a and b, by their roots, hold different parts of one set. */
  forbids(a: number, b: number): boolean {
    const ofA = this.countOf(a);
    const ofB = this.countOf(b);
    if (ofA === 0 || ofB === 0) return false;
    const [small, large] = ofA < ofB ? [a, b] : [b, a];
    if (Math.max(ofA, ofB) < mappedFrom) {
      return this.some(small, (set, part) => this.some(large, (other, its) => other === set && its !== part));
    }
    const known = this.mapOf(large);
    return this.some(small, (set, part) => {
      const its = known.get(set);
      return its !== undefined && its !== part;
    });
  }

  /** Whether a cluster holds two parts of one set. */
  contradicts(root: number): boolean {
    const seen = new Map<number, number>();
    return this.some(root, (set, part) => {
      const before = seen.get(set);
      seen.set(set, part);
      return before !== undefined && before !== part;
    });
  }

  /** The cluster of `other` becomes part of that of `root`. */
  join(root: number, other: number): void {
    const { first, last, next, counts, maps } = this;
    const [r, o] = [root - this.from, other - this.from];
    if (counts[o] === 0) return;
    const [ofRoot, ofOther] = [maps.get(root), maps.get(other)];
    if (ofRoot !== undefined || ofOther !== undefined) {
      const intoRoot = ofOther === undefined || (ofRoot !== undefined && ofRoot.size >= ofOther.size);
      const kept = intoRoot ? ofRoot! : ofOther;
      this.some(intoRoot ? other : root, (set, part) => {
        kept.set(set, part);
        return false;
      });
      maps.delete(other);
      maps.set(root, kept);
    }
    if (first[r] < 0) first[r] = first[o];
    else next[last[r]] = first[o];
    last[r] = last[o];
    counts[r] += counts[o];
    first[o] = -1;
    counts[o] = 0;
  }

  private countOf(root: number): number {
    const { from, to, constraints } = this;
    if (root >= from && root < to) return this.counts[root - from];
    return constraints.offsets[root + 1] - constraints.offsets[root];
  }

  /** Whether the test holds for a set and part of a cluster. */
  private some(root: number, test: (set: number, part: number) => boolean): boolean {
    const { from, to, next, first } = this;
    const { offsets, sets, parts } = this.constraints;
    const isInside = root >= from && root < to;
    for (let i = isInside ? first[root - from] : root - from; ; i = next[i]) {
      if (isInside && i < 0) return false;
      for (let t = offsets[from + i]; t < offsets[from + i + 1]; t++) if (test(sets[t], parts[t])) return true;
      if (!isInside) return false;
    }
  }

  private mapOf(root: number): Map<number, number> {
    let map = this.maps.get(root);
    if (map === undefined) {
      const made = new Map<number, number>();
      this.some(root, (set, part) => {
        made.set(set, part);
        return false;
      });
      this.maps.set(root, made);
      map = made;
    }
    return map;
  }
}
