/** Cosines of every node with the neighbours in its list. */

import type { KnnGraph } from '../../graph/knn-graph.js';
import { Arena } from '../../kernels/arena.js';
import { loadKernels } from '../../kernels/kernels.js';
import { paddedDim } from '../../memory/shared-arrays.js';
import type { SharedRows } from '../../memory/shared-rows.js';
import type { NeighbourLists } from './neighbour-lists.js';

/**
 * Adds to a kNN graph the cosines of its entries, on the calling thread. `rows` [n × d]: unit vectors.
 * One list at a time is in local memory: n × width gathered rows.
 */
export function withSimilarities(graph: KnnGraph, rows: SharedRows): NeighbourLists {
  const { nodeCount, width, ids } = graph;
  const dim = paddedDim(rows.dim);
  const arena = new Arena(4 * width * (dim + 2), 3);
  const kernels = loadKernels(arena);
  const [local, list, dots] = [arena.float32(width * dim), arena.int32(width), arena.float32(width)];
  const similarities = new Float32Array(new SharedArrayBuffer(nodeCount * width * 4));
  for (let node = 0; node < nodeCount; node++) {
    for (let c = 0; c < width; c++) {
      const id = ids[node * width + c];
      list[c] = id < 0 ? -1 : c;
      if (id >= 0) local.set(rows.row(id), c * dim);
    }
    kernels.listDots({ count: 1, width, dim, lists: list, rows: local, out: dots });
    similarities.set(dots, node * width);
  }
  return { nodeCount, width, ids, similarities };
}
