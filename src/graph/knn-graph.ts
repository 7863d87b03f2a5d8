/**
 * The kNN graph as the engine uses it: one row of `width` int32 ids a node, the node itself in column 0, then its
 * neighbours by falling cosine, then −1 where there are no more.
 */
import { NaanError } from '../errors.js';

export interface KnnGraph {
  readonly nodeCount: number;
  /** Columns: the node itself and up to width − 1 neighbours. */
  readonly width: number;
  /** [nodeCount × width], over shared memory so that workers read it in place. */
  readonly ids: Int32Array;
}

/** A graph of `nodeCount` rows filled with −1, in shared memory. */
export function allocateKnnGraph(nodeCount: number, width: number): KnnGraph {
  const ids = new Int32Array(new SharedArrayBuffer(nodeCount * width * 4)).fill(-1);
  return { nodeCount, width, ids };
}

/**
 * Writes one neighbour list into the graph: puts the node itself in column 0, drops −1 ("no neighbour") and keeps the
 * first width − 1 others in their order. `list` [any length]; `where` names the source in errors.
 * Throws BAD_INPUT when an id is outside [−1, nodeCount).
 */
export function setNeighbours(graph: KnnGraph, node: number, list: ArrayLike<number>, where: string): void {
  const { ids, width, nodeCount } = graph;
  const start = node * width;
  ids[start] = node;
  let filled = 1;
  for (let c = 0; c < list.length; c++) {
    const id = list[c];
    if (!(id >= -1 && id < nodeCount)) {
      throw new NaanError(
        'BAD_INPUT',
        `${where}: row ${node}, column ${c}: neighbour id ${id} is out of range, expected 0..${nodeCount - 1} or -1 for none`,
      );
    }
    if (id === -1 || id === node || filled === width) continue;
    ids[start + filled++] = id;
  }
  while (filled < width) ids[start + filled++] = -1;
}

/** A graph of these lists with `width` columns: shortened, or padded with −1. */
export function withWidth(graph: KnnGraph, width: number): KnnGraph {
  if (graph.width === width) return graph;
  const out = allocateKnnGraph(graph.nodeCount, width);
  const kept = Math.min(width, graph.width);
  for (let node = 0; node < graph.nodeCount; node++) {
    out.ids.set(graph.ids.subarray(node * graph.width, node * graph.width + kept), node * width);
  }
  return out;
}
