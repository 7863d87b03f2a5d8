/** The lists that the features of an edge are made of: kNN lists with the cosine of each entry. */
import { NaanError } from '../../errors.js';
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import type { KnnGraph } from '../../graph/knn-graph.js';

export interface NeighbourLists extends KnnGraph {
  /** [nodeCount × width]: cosine of the node and the neighbour in the same place of `ids`; any value beside −1. */
  readonly similarities: Float32Array;
}

/** Throws BAD_SHAPE unless lists hold k neighbours and a cosine for each, and edges are of the same nodes. */
export function checkLists({ nodeCount, width, similarities }: NeighbourLists, edges: CandidateEdges, k: number): void {
  if (width <= k) {
    throw new NaanError('BAD_SHAPE', `the kNN graph has ${width - 1} neighbours a node, the model looks at ${k}`);
  }
  if (similarities.length !== nodeCount * width) {
    throw new NaanError(
      'BAD_SHAPE',
      `similarities: got ${similarities.length}, expected ${nodeCount} × ${width} as in the kNN graph`,
    );
  }
  if (edges.nodeCount !== nodeCount) {
    throw new NaanError('BAD_SHAPE', `edges of ${edges.nodeCount} nodes, but the kNN graph has ${nodeCount}`);
  }
}

/** The node that keys an edge. */
export function keyOfEdge(offsets: Uint32Array, edge: number): number {
  let low = 0;
  let high = offsets.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (offsets[middle] <= edge) low = middle;
    else high = middle;
  }
  return low;
}
