/** Laying a graph out in its locality order, as a plan of steps. */

import type { NodeRange } from '../cluster/scored-edges.js';
import { alone, type Plan, together } from '../execution/plan.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { localityOrder } from '../graph/locality-order.js';
import { sharedInts } from '../memory/shared-arrays.js';

/** A graph in positions: `order[position]` is the node's number in the input, `positions` the inverse. */
export interface Layout {
  readonly graph: KnnGraph;
  /** Absent when nodes keep the order of the input. */
  readonly order?: Int32Array;
  readonly positions?: Int32Array;
}

interface MoveInput extends NodeRange {
  readonly graph: KnnGraph;
  readonly order: Int32Array;
  readonly positions: Int32Array;
  /** [n × width] out. */
  readonly moved: Int32Array;
}

/** The graph in the order that suits it best. Lists are moved in `ranges` parts that may run at once. */
export function* layOutPlan(graph: KnnGraph, ranges: number): Plan<Layout> {
  return yield* layOutIn(graph, yield* alone(localityOrder, graph), ranges);
}

/** The graph in an order of its nodes: row p is the list of node order[p]. */
export function* layOutIn(graph: KnnGraph, order: Int32Array, ranges: number): Plan<Layout> {
  const { nodeCount, width } = graph;
  const positions = yield* alone(positionsOf, order);
  const moved = sharedInts(nodeCount * width);
  const bound = (part: number) => Math.floor((nodeCount * part) / ranges);
  yield* together(
    moveLists,
    Array.from({ length: ranges }, (_, part): MoveInput => {
      return { graph, order, positions, moved, from: bound(part), to: bound(part + 1) };
    }),
  );
  return { graph: { nodeCount, width, ids: moved }, order, positions };
}

export function positionsOf(order: Int32Array): Int32Array {
  const positions = sharedInts(order.length);
  for (let p = 0; p < order.length; p++) positions[order[p]] = p;
  return positions;
}

export function moveLists({ graph: { width, ids }, order, positions, moved, from, to }: MoveInput): void {
  for (let p = from; p < to; p++) {
    const list = order[p] * width;
    for (let c = 0; c < width; c++) {
      const id = ids[list + c];
      moved[p * width + c] = id < 0 ? -1 : positions[id];
    }
  }
}
