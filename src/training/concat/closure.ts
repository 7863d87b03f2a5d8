/**
 * The rows that a training step over one block of nodes computes, as lists of local row numbers.
 *
 * The *closure* of a block is the block, its one-hop halo (N(i)[1..k1] of its nodes) and the two-hop halo (N(j)[0..k2] of
 * every one-hop node). Its H rows stand in this order, so that each set is one range:
 *
 *   block only │ block and one-hop │ one-hop only │ two-hop only
 *   0          │ oneHopStart       │ blockCount   │ oneHopStart + oneHopCount … rowCount
 *
 * Attention reads *unified rows*: H rows 0..rowCount-1 (h = W x + b), then row rowCount + a for the a-th one-hop node
 * (W z_a + b). There is one attention list for each one-hop node (hop two: its neighbours' H rows), then one for each node
 * of the block (hop one: its own H row, then its neighbours' z rows): both hops have the same form, so forward and
 * backward treat them alike.
 *
 * The gradient of a row gathers from every list that names it, so the lists are also stored by row (the transpose), each
 * with two entries more: the a_n row and, for H rows, the a_c row, which carry the gradients of t and s.
 */
import type { KnnGraph } from '../../graph/knn-graph.js';

/** Nodes whose candidate pairs with both ends in the block are scored in one step. */
export interface Block {
  readonly nodes: Int32Array;
  /** Directed pairs (query, neighbour) [Q × 2] with ends in `nodes`; default: j in N(i)[1..sampleHops] for i in the block. */
  readonly pairs?: Int32Array;
}

export interface Hops {
  readonly k1: number;
  readonly k2: number;
  readonly sampleHops: number;
}

/** Lists in CSR form. */
interface Lists {
  readonly offsets: Int32Array;
  readonly index: Int32Array;
}

export interface Closure {
  readonly blockCount: number;
  readonly oneHopStart: number;
  readonly oneHopCount: number;
  readonly rowCount: number;
  /** Node of each H row. */
  readonly nodes: Int32Array;
  /** Unified rows of each attention list. */
  readonly attention: Lists;
  /** Attention lists by unified row; `entries` are places in `attention.index`, −1 for the a_n and a_c rows. */
  readonly byRow: Lists & { readonly entries: Int32Array };
  /** Pairs by left row: their right rows; `pairs` [Q × 2] holds both. */
  readonly byLeft: Lists;
  readonly pairs: Int32Array;
  /** Pairs by right row: their left rows, and places in `byLeft.index`. */
  readonly byRight: Lists & { readonly entries: Int32Array };
  /** 1 where both ends are one identity [Q]. */
  readonly targets: Int32Array;
  readonly positives: number;
}

const inBlock = 1;
const inOneHop = 2;

/** Finds closures in one graph; keeps what it needs by node, so that a block costs what it touches. */
export class ClosureFinder {
  private readonly seen: Uint8Array;
  private readonly rowOf: Int32Array;

  /** `labels` [n]: identity of each node; a node of −1 takes part in no pair. */
  constructor(
    private readonly graph: KnnGraph,
    private readonly labels: Int32Array,
    private readonly hops: Hops,
  ) {
    this.seen = new Uint8Array(graph.nodeCount);
    this.rowOf = new Int32Array(graph.nodeCount).fill(-1);
  }

  find(block: Block): Closure {
    const { ids, width } = this.graph;
    const { seen, rowOf } = this;
    const { k1, k2 } = this.hops;
    for (const node of block.nodes) seen[node] = inBlock;
    const oneHop = this.oneHopNodes(block.nodes);

    const nodes = new Growing(4 * oneHop.length + block.nodes.length);
    const place = (node: number) => {
      rowOf[node] = nodes.length;
      nodes.push(node);
    };
    for (const node of block.nodes) if (seen[node] === inBlock) place(node);
    const oneHopStart = nodes.length;
    for (const node of block.nodes) if (seen[node] !== inBlock) place(node);
    for (const node of oneHop) if (seen[node] === inOneHop) place(node);

    const offsets = new Int32Array(oneHop.length + block.nodes.length + 1);
    const index = new Growing(oneHop.length * (k2 + 1) + block.nodes.length * (k1 + 1));
    let list = 0;
    for (let a = 0; a < oneHop.length; a++) {
      const start = nodes.at(oneHopStart + a) * width;
      for (let c = 0; c <= k2; c++) {
        const node = ids[start + c];
        if (node < 0) break;
        if (rowOf[node] < 0) place(node);
        index.push(rowOf[node]);
      }
      offsets[++list] = index.length;
    }
    const rowCount = nodes.length;
    for (let i = 0; i < block.nodes.length; i++) {
      const start = nodes.at(i) * width;
      index.push(i);
      for (let c = 1; c <= k1; c++) {
        const node = ids[start + c];
        if (node < 0) break;
        index.push(rowCount + rowOf[node] - oneHopStart);
      }
      offsets[++list] = index.length;
    }

    const attention = { offsets, index: index.view() };
    const closure = {
      blockCount: block.nodes.length,
      oneHopStart,
      oneHopCount: oneHop.length,
      rowCount,
      nodes: nodes.view(),
      attention,
      byRow: byRow(attention, rowCount, rowCount + oneHop.length),
      ...this.pairsOf(block, nodes),
    };
    for (const node of closure.nodes) {
      seen[node] = 0;
      rowOf[node] = -1;
    }
    return closure;
  }

  /** N(i)[1..k1] of the block's nodes, each once; marks them. */
  private oneHopNodes(block: Int32Array): Int32Array {
    const { ids, width } = this.graph;
    const { seen } = this;
    const found = new Growing(block.length * 4);
    for (const node of block) {
      for (let c = 1; c <= this.hops.k1; c++) {
        const neighbour = ids[node * width + c];
        if (neighbour < 0) break;
        if (seen[neighbour] & inOneHop) continue;
        seen[neighbour] |= inOneHop;
        found.push(neighbour);
      }
    }
    return found.view();
  }

  private pairsOf(
    block: Block,
    nodes: Growing,
  ): Pick<Closure, 'byLeft' | 'byRight' | 'pairs' | 'targets' | 'positives'> {
    const { labels, rowOf } = this;
    const blockCount = block.nodes.length;
    const left = new Growing(blockCount * 8);
    const right = new Growing(blockCount * 8);
    const add = (query: number, neighbour: number) => {
      if (labels[query] < 0 || labels[neighbour] < 0) return;
      left.push(rowOf[query]);
      right.push(rowOf[neighbour]);
    };
    if (block.pairs) for (let q = 0; q < block.pairs.length; q += 2) add(block.pairs[q], block.pairs[q + 1]);
    else this.candidatePairs(blockCount, nodes, add);

    const { lists: byLeft, entries: order } = grouped(blockCount, left.view(), right.view());
    const pairCount = order.length;
    const pairs = new Int32Array(2 * pairCount);
    const targets = new Int32Array(pairCount);
    const sortedLeft = new Int32Array(pairCount);
    let positives = 0;
    for (let q = 0; q < pairCount; q++) {
      const a = left.at(order[q]);
      const b = byLeft.index[q];
      sortedLeft[q] = a;
      pairs[2 * q] = a;
      pairs[2 * q + 1] = b;
      targets[q] = labels[nodes.at(a)] === labels[nodes.at(b)] ? 1 : 0;
      positives += targets[q];
    }
    const { lists, entries } = grouped(blockCount, byLeft.index, sortedLeft);
    return { byLeft, byRight: { ...lists, entries }, pairs, targets, positives };
  }

  private candidatePairs(blockCount: number, nodes: Growing, add: (query: number, neighbour: number) => void): void {
    const { ids, width } = this.graph;
    for (let i = 0; i < blockCount; i++) {
      const query = nodes.at(i);
      for (let c = 1; c <= this.hops.sampleHops; c++) {
        const neighbour = ids[query * width + c];
        if (neighbour < 0) break;
        if (this.seen[neighbour] & inBlock) add(query, neighbour);
      }
    }
  }
}

/** Groups values by key, in their order: index holds the values and entries their places. */
function grouped(groupCount: number, keys: Int32Array, values: Int32Array): { lists: Lists; entries: Int32Array } {
  const offsets = new Int32Array(groupCount + 1);
  for (const key of keys) offsets[key + 1]++;
  for (let g = 0; g < groupCount; g++) offsets[g + 1] += offsets[g];
  const next = offsets.slice(0, groupCount);
  const index = new Int32Array(keys.length);
  const entries = new Int32Array(keys.length);
  for (let e = 0; e < keys.length; e++) {
    const place = next[keys[e]]++;
    index[place] = values[e];
    entries[place] = e;
  }
  return { lists: { offsets, index }, entries };
}

/** The transpose of the attention lists, with the a_n entry of every row and the a_c entry of H rows at the end. */
function byRow({ offsets, index }: Lists, hRows: number, rowCount: number): Closure['byRow'] {
  const listCount = offsets.length - 1;
  const starts = new Int32Array(rowCount + 1);
  for (const row of index) starts[row + 1]++;
  for (let r = 0; r < rowCount; r++) starts[r + 1] += starts[r] + (r < hRows ? 2 : 1);
  const next = starts.slice(0, rowCount);
  const lists = new Int32Array(starts[rowCount]);
  const entries = new Int32Array(starts[rowCount]);
  for (let list = 0; list < listCount; list++) {
    for (let e = offsets[list]; e < offsets[list + 1]; e++) {
      const place = next[index[e]]++;
      lists[place] = list;
      entries[place] = e;
    }
  }
  for (let r = 0; r < rowCount; r++) {
    for (let place = next[r], extra = 0; place < starts[r + 1]; place++, extra++) {
      lists[place] = listCount + extra;
      entries[place] = -1;
    }
  }
  return { offsets: starts, index: lists, entries };
}

/** An Int32Array that grows as values are pushed. */
class Growing {
  private data: Int32Array;
  length = 0;

  constructor(capacity: number) {
    this.data = new Int32Array(Math.max(16, capacity));
  }

  push(value: number): void {
    if (this.length === this.data.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.data);
      this.data = larger;
    }
    this.data[this.length++] = value;
  }

  at(place: number): number {
    return this.data[place];
  }

  view(): Int32Array {
    return this.data.subarray(0, this.length);
  }
}
