/**
 * Matches the clusters of a new labelling with those of the one before: the one-to-one matching that keeps the most rows in their
 * identity, found exactly. Overlaps are sparse, and fall into components of few clusters, mostly of one and one.
 */
import { NaanError } from '../errors.js';

/** Sparse weights > 0 of pairs: those of row i at starts[i] .. starts[i + 1], columns rising. */
export interface PairWeights {
  readonly rowCount: number;
  readonly columnCount: number;
  readonly starts: ArrayLike<number>;
  readonly columns: ArrayLike<number>;
  /** Whole numbers, of which few add up to 2^53. */
  readonly weights: ArrayLike<number>;
}

/**
 * The column of each row in a matching of the greatest weight, −1 for none. Each row in turn takes the cheapest chain of
 * exchanges (Hungarian method by shortest paths: Kuhn 1955, Tomizawa 1971), so of equals the earlier row keeps what it has. O(rows × E log E) at
 * the worst; a chain ends within the row's component, and nearly always at once.
 */
export function heaviestMatching({ rowCount, columnCount, starts, columns, weights }: PairWeights): Int32Array {
  const columnOf = new Int32Array(rowCount).fill(-1);
  const rowOf = new Int32Array(columnCount).fill(-1);
  // Costs are weights below zero. Nothing costs less than its two prices together, what is matched costs just that, and to go without costs 0.
  const rowPrice = new Float64Array(rowCount);
  const columnPrice = new Float64Array(columnCount);
  const distance = new Float64Array(columnCount).fill(Number.POSITIVE_INFINITY);
  const cameFrom = new Int32Array(columnCount);
  const heap = new Heap();
  for (let start = 0; start < rowCount; start++) {
    let price = 0;
    for (let e = starts[start]; e < starts[start + 1]; e++) {
      price = Math.min(price, -weights[e] - columnPrice[columns[e]]);
    }
    rowPrice[start] = price;
    const touched: number[] = [];
    const passed: { readonly row: number; readonly at: number; readonly column: number }[] = [];
    let row = start;
    let at = 0;
    let via = -1;
    let end = { cost: Number.POSITIVE_INFINITY, row: -1, column: -1 };
    for (;;) {
      passed.push({ row, at, column: via });
      if (at - rowPrice[row] < end.cost) end = { cost: at - rowPrice[row], row, column: -1 };
      for (let e = starts[row]; e < starts[row + 1]; e++) {
        const column = columns[e];
        const cost = at - weights[e] - rowPrice[row] - columnPrice[column];
        if (cost >= distance[column]) continue;
        if (distance[column] === Number.POSITIVE_INFINITY) touched.push(column);
        distance[column] = cost;
        cameFrom[column] = row;
        heap.push(cost, column);
      }
      let next = heap.pop();
      // A place that was reached by a shorter way since, or has been passed, is in the heap twice.
      while (next && next.cost > distance[next.key]) next = heap.pop();
      if (!next || next.cost >= end.cost) break;
      if (rowOf[next.key] < 0) {
        end = { cost: next.cost, row: cameFrom[next.key], column: next.key };
        break;
      }
      via = next.key;
      at = next.cost;
      row = rowOf[via];
    }
    for (const { row: one, at: reached, column } of passed) {
      rowPrice[one] += end.cost - reached;
      if (column >= 0) columnPrice[column] -= end.cost - reached;
    }
    // Along the chain every row gives its column to the one before.
    let { row: taker, column } = end;
    for (;;) {
      const given = columnOf[taker];
      columnOf[taker] = column;
      if (column >= 0) rowOf[column] = taker;
      if (taker === start) break;
      column = given;
      taker = cameFrom[given];
    }
    for (const one of touched) distance[one] = Number.POSITIVE_INFINITY;
    heap.clear();
  }
  return columnOf;
}

/** Numbers by rising cost, ties by key. */
class Heap {
  private readonly costs: number[] = [];
  private readonly keys: number[] = [];

  clear(): void {
    this.costs.length = 0;
    this.keys.length = 0;
  }

  push(cost: number, key: number): void {
    const { costs, keys } = this;
    let at = costs.length;
    costs.push(cost);
    keys.push(key);
    while (at > 0) {
      const above = (at - 1) >>> 1;
      if (!this.isLess(at, above)) return;
      this.swap(at, above);
      at = above;
    }
  }

  pop(): { readonly cost: number; readonly key: number } | undefined {
    const { costs, keys } = this;
    if (costs.length === 0) return undefined;
    const least = { cost: costs[0], key: keys[0] };
    this.swap(0, costs.length - 1);
    costs.pop();
    keys.pop();
    for (let at = 0; ; ) {
      let below = 2 * at + 1;
      if (below >= costs.length) return least;
      if (below + 1 < costs.length && this.isLess(below + 1, below)) below++;
      if (!this.isLess(below, at)) return least;
      this.swap(at, below);
      at = below;
    }
  }

  private isLess(a: number, b: number): boolean {
    const { costs, keys } = this;
    return costs[a] < costs[b] || (costs[a] === costs[b] && keys[a] < keys[b]);
  }

  private swap(a: number, b: number): void {
    const { costs, keys } = this;
    [costs[a], costs[b]] = [costs[b], costs[a]];
    [keys[a], keys[b]] = [keys[b], keys[a]];
  }
}

/** Most bytes that `identitiesOf` takes and gives for so many rows, each of a cluster of its own. */
export function identityBytes(rows: number): number {
  return 200 * rows;
}

/** Possible changes of an identity. */
export type ChangeKind = 'kept' | 'split' | 'merged' | 'new' | 'gone';

export interface Change {
  readonly identity: number;
  readonly kind: ChangeKind;
  /** The identity that a new one was split off, or that one was merged into. */
  readonly other?: number;
  /** Rows before and after, and those that both have: of `split` with the other before, of `merged` with the other after. */
  readonly before: number;
  readonly after: number;
  readonly shared: number;
}

/** The greatest number that a label can hold. */
const maxIdentity = 2 ** 31 - 1;

/** A labelling before. */
export interface Earlier {
  /** Its clusters in any order: the identity of each, and its rows. */
  readonly ids: Int32Array;
  readonly sizes: Int32Array;
  /** The highest identity there has ever been; −1 for none. */
  readonly highest: number;
}

export interface Identities {
  /** The identity of each new cluster. */
  readonly ids: Int32Array;
  readonly highest: number;
  /** Changes by rising identity. */
  readonly changes: readonly Change[];
}

/**
 * `labels`: cluster of each row, numbered from 0, −1 for none [n]. `before`: its cluster in the earlier labelling, −1 where it was not in it
 * or had none [n]. Rows that were `decided` [n] outweigh all others together, so that an identity goes where they are. New identities are numbered on
 * from the highest, by first appearance. Throws BAD_INPUT where a label cannot hold them.
 */
export function identitiesOf(
  labels: Int32Array,
  before: Int32Array,
  earlier: Earlier,
  decided?: Uint8Array,
): Identities {
  const clusters = labels.reduce((highest, label) => Math.max(highest, label), -1) + 1;
  const after = new Int32Array(clusters);
  for (const label of labels) if (label >= 0) after[label]++;
  const overlaps = overlapsOf(labels, before, { clusters, earlier: earlier.ids.length, decided });
  const { starts, columns, counts } = overlaps;
  const matched = heaviestMatching({ ...overlaps, rowCount: clusters, columnCount: earlier.ids.length });

  const ids = new Int32Array(clusters);
  let { highest } = earlier;
  for (let c = 0; c < clusters; c++) ids[c] = matched[c] < 0 ? ++highest : earlier.ids[matched[c]];
  if (highest > maxIdentity) {
    const advice = 'label without an earlier run, which numbers them from 0';
    throw new NaanError('BAD_INPUT', `identities: the next is ${highest}, expected at most ${maxIdentity}: ${advice}`);
  }
  const changes: Change[] = [];
  const isMatched = new Uint8Array(earlier.ids.length);
  /** The new cluster that most rows of an earlier one went to. */
  const heir = new Int32Array(earlier.ids.length).fill(-1);
  const inherited = new Int32Array(earlier.ids.length);
  for (let c = 0; c < clusters; c++) {
    let source = -1;
    let shared = 0;
    for (let e = starts[c]; e < starts[c + 1]; e++) {
      const o = columns[e];
      if (counts[e] > inherited[o]) {
        heir[o] = c;
        inherited[o] = counts[e];
      }
      if (matched[c] >= 0 ? o === matched[c] : counts[e] > shared) {
        source = o;
        shared = counts[e];
      }
    }
    const now = { identity: ids[c], after: after[c], shared };
    if (matched[c] >= 0) {
      isMatched[matched[c]] = 1;
      changes.push({ ...now, kind: 'kept', before: earlier.sizes[matched[c]] });
    } else if (source >= 0) changes.push({ ...now, kind: 'split', other: earlier.ids[source], before: 0 });
    else changes.push({ ...now, kind: 'new', before: 0 });
  }
  for (let o = 0; o < earlier.ids.length; o++) {
    if (isMatched[o] === 1) continue;
    const then = { identity: earlier.ids[o], before: earlier.sizes[o], after: 0, shared: inherited[o] };
    if (heir[o] >= 0) changes.push({ ...then, kind: 'merged', other: ids[heir[o]] });
    else changes.push({ ...then, kind: 'gone' });
  }
  changes.sort((a, b) => a.identity - b.identity);
  return { ids, highest, changes };
}

export function countChanges(changes: readonly Change[]): Record<ChangeKind, number> {
  const counts = { kept: 0, split: 0, merged: 0, new: 0, gone: 0 };
  for (const { kind } of changes) counts[kind]++;
  return counts;
}

interface OverlapInput {
  readonly clusters: number;
  readonly earlier: number;
  readonly decided: Uint8Array | undefined;
}

/** Rows that clusters of both labellings share, by new cluster, then by earlier one. */
function overlapsOf(labels: Int32Array, before: Int32Array, { clusters, earlier, decided }: OverlapInput) {
  const isShared = (row: number) => labels[row] >= 0 && before[row] >= 0;
  let shared = 0;
  for (let row = 0; row < labels.length; row++) if (isShared(row)) shared++;
  const keys = new Float64Array(shared);
  shared = 0;
  for (let row = 0; row < labels.length; row++) {
    if (isShared(row)) keys[shared++] = 2 * (labels[row] * earlier + before[row]) + (decided?.[row] ?? 0);
  }
  keys.sort();
  const starts = new Uint32Array(clusters + 1);
  const columns: number[] = [];
  const counts: number[] = [];
  const weights: number[] = [];
  let last = -1;
  for (const key of keys) {
    const pair = Math.floor(key / 2);
    if (pair !== last) {
      starts[Math.floor(pair / earlier) + 1]++;
      columns.push(pair % earlier);
      counts.push(0);
      weights.push(0);
      last = pair;
    }
    counts[counts.length - 1]++;
    weights[weights.length - 1] += key % 2 === 1 ? labels.length + 1 : 1;
  }
  for (let c = 0; c < clusters; c++) starts[c + 1] += starts[c];
  return { starts, columns, counts, weights };
}
