/**
 * An order of the nodes in which neighbours are near each other, so that a tile's halo is small and mostly in cache.
 *
 * Single linkage with a cap, in levels: edges are taken by rank (every node's nearest neighbour first), and two groups
 * are joined, one list after the other, when together they do not exceed the level's cap. Small tight groups form
 * first and stay contiguous inside the larger ones that join them. O(n · ranks · levels).
 */
import type { KnnGraph } from './knn-graph.js';

const caps = [64, 1024, 16_384, Infinity];
const ranks = 6;

/** Node at each position [n], deterministic in the graph. */
export function localityOrder({ nodeCount, width, ids }: KnnGraph): Int32Array {
  const parent = new Int32Array(nodeCount);
  const size = new Int32Array(nodeCount).fill(1);
  /** Each group is a chain from its root: its last node, and the node after each node. */
  const last = new Int32Array(nodeCount);
  const next = new Int32Array(nodeCount).fill(-1);
  for (let i = 0; i < nodeCount; i++) parent[i] = last[i] = i;

  const find = (start: number): number => {
    let node = start;
    while (parent[node] !== node) {
      parent[node] = parent[parent[node]];
      node = parent[node];
    }
    return node;
  };

  const links = linksByRank(nodeCount, width, ids);
  for (const cap of caps) {
    for (const ends of links) {
      for (let i = 0; i < nodeCount; i++) {
        if (ends[i] < 0) continue;
        const a = find(i);
        const b = find(ends[i]);
        if (a === b) {
          ends[i] = -1; // groups only grow: there is nothing left to join
          continue;
        }
        if (size[a] + size[b] > cap) continue;
        parent[b] = a;
        size[a] += size[b];
        next[last[a]] = b;
        last[a] = last[b];
      }
    }
  }

  const order = new Int32Array(new SharedArrayBuffer(nodeCount * 4));
  let position = 0;
  for (let root = 0; root < nodeCount; root++) {
    if (parent[root] !== root) continue;
    for (let node = root; node >= 0; node = next[node]) order[position++] = node;
  }
  return order;
}

/** Nodes by cluster [n], those without one beside their nearest neighbour: much like it, where clusters are known, and found at once. */
export function clusterOrder(graph: KnnGraph, clusterOf: ArrayLike<number>, clusters: number): Int32Array {
  const { nodeCount, width, ids } = graph;
  const placeOf = (node: number) => {
    const nearest = width > 1 ? ids[node * width + 1] : -1;
    const cluster = clusterOf[node] < 0 && nearest >= 0 ? clusterOf[nearest] : clusterOf[node];
    return cluster < 0 ? clusters : cluster;
  };
  const starts = new Int32Array(clusters + 2);
  for (let node = 0; node < nodeCount; node++) starts[placeOf(node) + 1]++;
  for (let c = 0; c <= clusters; c++) starts[c + 1] += starts[c];
  const order = new Int32Array(new SharedArrayBuffer(nodeCount * 4));
  for (let node = 0; node < nodeCount; node++) order[starts[placeOf(node)]++] = node;
  return order;
}

/** The neighbour of each node at rank 1, 2, …, −1 for none: [n] each. */
function linksByRank(nodeCount: number, width: number, ids: Int32Array): Int32Array[] {
  const links = Array.from({ length: Math.min(ranks, width - 1) }, () => new Int32Array(nodeCount));
  for (let i = 0; i < nodeCount; i++) {
    for (let r = 0; r < links.length; r++) links[r][i] = ids[i * width + r + 1];
  }
  return links;
}
