/**
 * Estimates the number of candidate edges of a graph before it is read. An edge that both of its ends list is one, so there are
 * fewer than entries in the lists, by a share that depends on the set; it is estimated from a few lists.
 */
import type { KnnGraph } from '../graph/knn-graph.js';
import { openKnnRows } from '../io/knn.js';

/** Lists that are looked at, at the most: with 20 neighbours the mean of 200 nodes, within about 2 % of all. */
const listsRead = 4096;

type ListOf = (node: number) => Int32Array | undefined;

/** Candidate edges to `sampleHops` neighbours, about; where the file allows no reading of single lists, at most. */
export async function expectedEdges(knn: string | KnnGraph, nodes: number, sampleHops: number): Promise<number> {
  if (typeof knn !== 'string') {
    const { ids, width } = knn;
    return sampledEdges((node) => ids.subarray(node * width, (node + 1) * width), nodes, sampleHops);
  }
  const rows = await openKnnRows(knn, nodes);
  if (!rows) return nodes * sampleHops;
  try {
    return sampledEdges((node) => rows.row(node), nodes, sampleHops);
  } finally {
    rows.close();
  }
}

/** Each of the sampled nodes counts its edges, those that the other end lists as well by half. */
function sampledEdges(listOf: ListOf, nodes: number, sampleHops: number): number {
  const atMost = nodes * sampleHops;
  const sampled = Math.min(nodes, Math.max(1, Math.floor(listsRead / (1 + sampleHops))));
  const neighbours = (node: number): Set<number> => {
    const found = new Set<number>();
    for (const id of listOf(node) ?? []) {
      if (found.size === sampleHops) break;
      if (id >= 0 && id < nodes && id !== node) found.add(id);
    }
    return found;
  };
  let edges = 0;
  for (let s = 0; s < sampled; s++) {
    const node = Math.floor(((s + 0.5) * nodes) / sampled);
    for (const other of neighbours(node)) edges += neighbours(other).has(node) ? 0.5 : 1;
  }
  return Math.min(atMost, Math.ceil((edges * nodes) / sampled));
}
