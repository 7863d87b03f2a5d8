/** Orders of the nodes that were tried beside the engine's own; bench/order.ts measures them all. Each gives the node at each position. */
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { InnerProducts } from '../src/kernels/gemm.js';

/** Input order. */
export function asItCame({ nodeCount }: KnnGraph): Int32Array {
  return Int32Array.from({ length: nodeCount }, (_, i) => i);
}

/** Levels from each unvisited node in turn; neighbours in the order of their lists, or those of least in-degree first. */
export function breadthFirst({ nodeCount, width, ids }: KnnGraph, byDegree: boolean): Int32Array {
  const degrees = new Int32Array(nodeCount);
  for (const id of ids) if (id >= 0) degrees[id]++;
  const seen = new Uint8Array(nodeCount);
  const order = new Int32Array(nodeCount);
  let end = 0;
  for (let root = 0; root < nodeCount; root++) {
    if (seen[root]) continue;
    seen[root] = 1;
    order[end++] = root;
    for (let at = end - 1; at < end; at++) {
      const list = ids.subarray(order[at] * width + 1, order[at] * width + width).filter((id) => id >= 0 && !seen[id]);
      if (byDegree) list.sort((a, b) => degrees[a] - degrees[b]);
      for (const id of list) {
        if (seen[id]) continue;
        seen[id] = 1;
        order[end++] = id;
      }
    }
  }
  return byDegree ? order.reverse() : order;
}

/** Every node goes over to the cell that most of its neighbours are in, if that has room, a few times; then cell by cell. */
export function labelPropagationCells({ nodeCount, width, ids }: KnnGraph, cap: number): Int32Array {
  const rounds = 8;
  const cells = Int32Array.from({ length: nodeCount }, (_, i) => i);
  const sizes = new Int32Array(nodeCount).fill(1);
  const votes = new Int32Array(nodeCount);
  for (let round = 0; round < rounds; round++) {
    for (let node = 0; node < nodeCount; node++) {
      const [first, end] = [node * width + 1, (node + 1) * width];
      for (let at = first; at < end; at++) if (ids[at] >= 0) votes[cells[ids[at]]]++;
      let best = cells[node];
      for (let at = first; at < end; at++) {
        if (ids[at] < 0) continue;
        const cell = cells[ids[at]];
        if (sizes[cell] < cap && (votes[cell] > votes[best] || (votes[cell] === votes[best] && cell < best)))
          best = cell;
      }
      for (let at = first; at < end; at++) if (ids[at] >= 0) votes[cells[ids[at]]] = 0;
      sizes[cells[node]]--;
      sizes[best]++;
      cells[node] = best;
    }
  }
  return byCell(cells, nodeCount);
}

/**
 * Halves until no part has more than `least` nodes: breadth first from a node far away fills one half, then nodes change
 * places in pairs as long as that leaves fewer neighbours on the other side (Kernighan and Lin 1970, without the look ahead).
 */
export function recursiveBisection({ nodeCount, width, ids }: KnnGraph, least: number): Int32Array {
  const passes = 6;
  const order = Int32Array.from({ length: nodeCount }, (_, i) => i);
  const partOf = new Int32Array(nodeCount);
  const seen = new Int32Array(nodeCount);
  const gains = new Int32Array(nodeCount);
  const queue = new Int32Array(nodeCount);
  let parts = 1;
  let walks = 0;

  /** Nodes of the part in breadth-first order from `root`, into `queue`; those out of reach follow likewise. */
  function walk(nodes: Int32Array, part: number, root: number): void {
    walks++;
    let end = 0;
    const visit = (node: number) => {
      if (partOf[node] !== part || seen[node] === walks) return;
      seen[node] = walks;
      queue[end++] = node;
    };
    for (let at = 0, next = -1; end < nodes.length; next++) {
      visit(next < 0 ? root : nodes[next]);
      for (; at < end; at++) {
        for (let e = queue[at] * width + 1; e < (queue[at] + 1) * width; e++) if (ids[e] >= 0) visit(ids[e]);
      }
    }
  }

  function refine(left: Int32Array, right: Int32Array, leftPart: number, rightPart: number): void {
    for (let pass = 0; pass < passes; pass++) {
      for (const nodes of [left, right]) for (const node of nodes) gains[node] = 0;
      for (const nodes of [left, right]) {
        for (const node of nodes) {
          for (let e = node * width + 1; e < (node + 1) * width; e++) {
            const other = ids[e];
            if (other < 0 || (partOf[other] !== leftPart && partOf[other] !== rightPart)) continue;
            const change = partOf[other] === partOf[node] ? -1 : 1;
            gains[node] += change;
            gains[other] += change;
          }
        }
      }
      for (const nodes of [left, right]) nodes.sort((a, b) => gains[b] - gains[a] || a - b);
      let swaps = 0;
      while (swaps < right.length && swaps < left.length && gains[left[swaps]] + gains[right[swaps]] > 0) {
        const node = left[swaps];
        left[swaps] = right[swaps];
        right[swaps] = node;
        partOf[left[swaps]] = leftPart;
        partOf[right[swaps]] = rightPart;
        swaps++;
      }
      if (swaps === 0) return;
    }
  }

  const open = [[0, nodeCount]];
  for (let range = open.pop(); range; range = open.pop()) {
    const [from, to] = range;
    if (to - from <= least) continue;
    const nodes = order.subarray(from, to);
    const part = partOf[nodes[0]];
    walk(nodes, part, nodes[0]);
    walk(nodes, part, queue[nodes.length - 1]);
    nodes.set(queue.subarray(0, nodes.length));
    const middle = Math.ceil(nodes.length / 2);
    const rightPart = parts++;
    for (const node of nodes.subarray(middle)) partOf[node] = rightPart;
    refine(nodes.subarray(0, middle), nodes.subarray(middle), part, rightPart);
    open.push([from + middle, to], [from, from + middle]);
  }
  return order;
}

/** Spherical k-means, fitted to a part of the rows [n × d]; then cell by cell. */
export async function kMeansCells(rows: Float32Array, dim: number, rowsPerCell: number): Promise<Int32Array> {
  const [rounds, trainingRowsPerCell, rowsAtOnce] = [6, 32, 1024];
  const nodeCount = rows.length / dim;
  const cellCount = Math.ceil(nodeCount / rowsPerCell);
  const trainingCount = Math.min(nodeCount, cellCount * trainingRowsPerCell);
  const picked = (count: number, i: number) => Math.floor((i * nodeCount) / count);
  const training = new Float32Array(trainingCount * dim);
  for (let i = 0; i < trainingCount; i++) {
    const row = picked(trainingCount, i);
    training.set(rows.subarray(row * dim, (row + 1) * dim), i * dim);
  }
  const centroids = new Float32Array(cellCount * dim);
  for (let c = 0; c < cellCount; c++) {
    const row = picked(cellCount, c);
    centroids.set(rows.subarray(row * dim, (row + 1) * dim), c * dim);
  }
  const products = await InnerProducts.create(dim);
  const similarities = new Float32Array(rowsAtOnce * cellCount);

  async function assign(from: Float32Array): Promise<Int32Array> {
    const cells = new Int32Array(from.length / dim);
    for (let first = 0; first < cells.length; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, cells.length - first);
      await products.run(count, cellCount, from.subarray(first * dim), centroids, similarities);
      for (let i = 0; i < count; i++) {
        const line = i * cellCount;
        let best = 0;
        for (let c = 1; c < cellCount; c++) if (similarities[line + c] > similarities[line + best]) best = c;
        cells[first + i] = best;
      }
    }
    return cells;
  }

  for (let round = 0; round < rounds; round++) {
    const cells = await assign(training);
    const sums = new Float64Array(cellCount * dim);
    for (let i = 0; i < trainingCount; i++) {
      for (let c = 0; c < dim; c++) sums[cells[i] * dim + c] += training[i * dim + c];
    }
    for (let c = 0; c < cellCount; c++) {
      const norm = Math.hypot(...sums.subarray(c * dim, (c + 1) * dim));
      if (norm > 0) for (let i = c * dim; i < (c + 1) * dim; i++) centroids[i] = sums[i] / norm;
    }
  }
  return byCell(await assign(rows), cellCount);
}

/** Nodes cell by cell, those of a cell as they came. */
function byCell(cells: Int32Array, cellCount: number): Int32Array {
  const places = new Int32Array(cellCount + 1);
  for (const cell of cells) places[cell + 1]++;
  for (let c = 0; c < cellCount; c++) places[c + 1] += places[c];
  const order = new Int32Array(cells.length);
  for (let node = 0; node < cells.length; node++) order[places[cells[node]]++] = node;
  return order;
}
