/**
 * The rows of a set that are nodes of the graph: all but those that cannot be used, and of copies of one row only
 * the first. Nodes are numbered as their rows are.
 */
import { allocateKnnGraph, type KnnGraph } from './knn-graph.js';

/** n rows, m nodes; in shared memory. */
export interface NodeMap {
  /** Row of each node, rising [m]. */
  readonly rows: Int32Array;
  /** Node of each row, −1 for a row that is left out [n]. */
  readonly nodeOf: Int32Array;
  /** Rows that are copies of an earlier one. */
  readonly copies: number;
}

/** `leftOut`: rows, rising. `firstEqual` [n]: the first row that each row is equal to. */
export function mapNodes(rowCount: number, leftOut: Int32Array, firstEqual?: Int32Array): NodeMap {
  const nodeOf = new Int32Array(new SharedArrayBuffer(4 * rowCount));
  for (const row of leftOut) nodeOf[row] = -1;
  let nodeCount = 0;
  for (let row = 0; row < rowCount; row++) {
    if (nodeOf[row] < 0) continue;
    const first = firstEqual?.[row] ?? row;
    nodeOf[row] = first === row ? nodeCount++ : nodeOf[first];
  }
  const rows = new Int32Array(new SharedArrayBuffer(4 * nodeCount));
  for (let row = rowCount - 1; row >= 0; row--) if (nodeOf[row] >= 0) rows[nodeOf[row]] = row;
  return { rows, nodeOf, copies: rowCount - leftOut.length - nodeCount };
}

/**
 * The graph of nodes from one of rows. The list of a node is made of those of its copies, taken rank by rank, as they are lists
 * of one vector: the nodes that they name, each once. `width`: columns of the result.
 */
export function graphOfNodes(graph: KnnGraph, { rows, nodeOf }: NodeMap, width: number): KnnGraph {
  const nodes = allocateKnnGraph(rows.length, width);
  const { ids } = nodes;
  const { starts, members } = rowsByNode({ rows, nodeOf });
  const listedBy = new Int32Array(rows.length).fill(-1);
  for (let node = 0; node < rows.length; node++) {
    const start = node * width;
    ids[start] = node;
    listedBy[node] = node;
    let filled = 1;
    for (let c = 1; c < graph.width && filled < width; c++) {
      for (let at = starts[node]; at < starts[node + 1] && filled < width; at++) {
        const id = graph.ids[members[at] * graph.width + c];
        const other = id < 0 ? -1 : nodeOf[id];
        if (other < 0 || listedBy[other] === node) continue;
        listedBy[other] = node;
        ids[start + filled++] = other;
      }
    }
  }
  return nodes;
}

/**
 * The graph of rows from one of nodes, with `width` columns: a node's first row has the first rows of its neighbours, a copy
 * has that row first and then its neighbours, a row that is left out has none.
 */
export function graphOfRows(graph: KnnGraph, { rows, nodeOf }: NodeMap, width: number): KnnGraph {
  const all = allocateKnnGraph(nodeOf.length, width);
  for (let row = 0; row < nodeOf.length; row++) {
    const start = row * width;
    let filled = 0;
    all.ids[start + filled++] = row;
    const node = nodeOf[row];
    if (node < 0) continue;
    if (rows[node] !== row && filled < width) all.ids[start + filled++] = rows[node];
    for (let c = 1; c < graph.width && filled < width; c++) {
      const id = graph.ids[node * graph.width + c];
      if (id >= 0) all.ids[start + filled++] = rows[id];
    }
  }
  return all;
}

/**
 * Labels of rows from those of nodes, by first appearance: a copy has that of its first row, a row left out −1. A node with
 * copies has a label of its own where it had none.
 */
export function labelsOfRows(labels: Int32Array, { rows, nodeOf }: NodeMap): Int32Array {
  const all = new Int32Array(nodeOf.length).fill(-1);
  const own = labels.reduce((highest, label) => Math.max(highest, label), -1) + 1;
  for (let row = 0; row < nodeOf.length; row++) {
    const node = nodeOf[row];
    if (node < 0) continue;
    all[row] = labels[node];
    if (labels[node] >= 0 || rows[node] === row) continue;
    all[row] = own + node;
    all[rows[node]] = own + node;
  }
  return all;
}

/** Pairs a < b, sorted [E × 2], and their scores [E]. */
export interface Pairs {
  readonly pairs: Int32Array;
  readonly scores: Float32Array;
}

/** Pairs of rows from pairs of nodes: of first rows, and of each copy and its first row, with score 1. */
export function pairsOfRows({ pairs, scores }: Pairs, map: NodeMap): Pairs {
  const { rows, copies } = map;
  const { starts, members } = rowsByNode(map);
  const all = { pairs: new Int32Array(pairs.length + 2 * copies), scores: new Float32Array(scores.length + copies) };
  let filled = 0;
  const add = (a: number, b: number, score: number) => {
    all.pairs[2 * filled] = a;
    all.pairs[2 * filled + 1] = b;
    all.scores[filled++] = score;
  };
  for (let node = 0, pair = 0; node < rows.length; node++) {
    let copy = starts[node] + 1;
    for (; pair < scores.length && pairs[2 * pair] === node; pair++) {
      const other = rows[pairs[2 * pair + 1]];
      while (copy < starts[node + 1] && members[copy] < other) add(rows[node], members[copy++], 1);
      add(rows[node], other, scores[pair]);
    }
    while (copy < starts[node + 1]) add(rows[node], members[copy++], 1);
  }
  return all;
}

/** The rows of each node, rising: members[starts[node]] .. members[starts[node + 1]], the first of them rows[node]. */
function rowsByNode({ rows, nodeOf }: Pick<NodeMap, 'rows' | 'nodeOf'>) {
  const starts = new Int32Array(rows.length + 1);
  for (const node of nodeOf) if (node >= 0) starts[node + 1]++;
  for (let node = 0; node < rows.length; node++) starts[node + 1] += starts[node];
  const next = starts.slice();
  const members = new Int32Array(starts[rows.length]);
  for (let row = 0; row < nodeOf.length; row++) if (nodeOf[row] >= 0) members[next[nodeOf[row]]++] = row;
  return { starts, members };
}
