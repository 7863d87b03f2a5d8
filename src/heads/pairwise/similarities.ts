/** Cosines of every node with the neighbours in its list. */

import type { KnnGraph } from '../../graph/knn-graph.js';
import { Arena } from '../../kernels/arena.js';
import { loadKernels } from '../../kernels/kernels.js';
import { paddedDim, sharedFloats } from '../../memory/shared-arrays.js';
import { SharedRows, type SharedRowsHandle } from '../../memory/shared-rows.js';
import type { NeighbourLists } from './neighbour-lists.js';

/** The memory that threads share to find cosines. */
export interface SimilaritiesJob {
  /** Unit vectors [n × d]. */
  readonly rows: SharedRowsHandle;
  /** Written: cosines beside ids. */
  readonly lists: NeighbourLists;
  /** The nodes whose lists are to have them; by default all. */
  readonly nodes?: Int32Array | undefined;
}

/** Adds to a kNN graph room for the cosines of its entries, which `similaritiesOf` finds. */
export function withRoomForSimilarities(graph: KnnGraph): NeighbourLists {
  return { ...graph, similarities: sharedFloats(graph.nodeCount * graph.width) };
}

/** Adds to a kNN graph the cosines of its entries, on the calling thread. `rows` [n × d]: unit vectors. */
export function withSimilarities(graph: KnnGraph, rows: SharedRows): NeighbourLists {
  const lists = withRoomForSimilarities(graph);
  similaritiesOf({ rows: rows.handle(), lists }, 0, graph.nodeCount);
  return lists;
}

/** Cosines of the lists of nodes start .. end−1, by their places in `nodes`. One list at a time is in local memory: gathered rows. */
export function similaritiesOf({ rows: handle, lists, nodes }: SimilaritiesJob, start: number, end: number): void {
  const { width, ids, similarities } = lists;
  const rows = SharedRows.from(handle);
  const dim = paddedDim(rows.dim);
  const arena = new Arena(4 * width * (dim + 2), 3);
  const kernels = loadKernels(arena);
  const [local, list, dots] = [arena.float32(width * dim), arena.int32(width), arena.float32(width)];
  for (let place = start; place < end; place++) {
    const node = nodes ? nodes[place] : place;
    for (let c = 0; c < width; c++) {
      const id = ids[node * width + c];
      list[c] = id < 0 ? -1 : c;
      if (id >= 0) local.set(rows.row(id), c * dim);
    }
    kernels.listDots({ count: 1, width, dim, lists: list, rows: local, out: dots });
    similarities.set(dots, node * width);
  }
}
