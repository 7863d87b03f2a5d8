/**
 * Work on the graph as a whole, done by one worker so that the main thread stays free to tell about progress and to answer
 * signals.
 */
import { runStep } from '../cluster/steps.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { localityOrder } from '../graph/locality-order.js';

/** A graph in positions: `order[position]` is the node's number in the input, `positions` the inverse. */
export interface Layout {
  readonly graph: KnnGraph;
  /** Absent when nodes stand as they came. */
  readonly order?: Int32Array;
  readonly positions?: Int32Array;
}

export interface LayOutTask {
  readonly task: 'layOut';
  readonly graph: KnnGraph;
}

/** One call of a step of a plan; see `src/cluster/plan.ts`. */
export interface StepTask {
  readonly task: 'step';
  readonly name: string;
  readonly input: unknown;
  /** Among the calls that run at once. */
  readonly index: number;
}

export type GraphTask = LayOutTask | StepTask;

export function runGraphTask(task: GraphTask): unknown {
  switch (task.task) {
    case 'layOut':
      return layOut(task.graph, localityOrder(task.graph));
    case 'step':
      return runStep(task.name, task.input);
  }
}

/** The graph in an order of its nodes: row p is the list of node order[p]. */
export function layOut({ nodeCount, width, ids }: KnnGraph, order: Int32Array): Layout {
  const positions = sharedInts(nodeCount);
  for (let p = 0; p < nodeCount; p++) positions[order[p]] = p;
  const moved = sharedInts(ids.length);
  for (let p = 0; p < nodeCount; p++) {
    const from = order[p] * width;
    for (let c = 0; c < width; c++) moved[p * width + c] = ids[from + c] < 0 ? -1 : positions[ids[from + c]];
  }
  return { graph: { nodeCount, width, ids: moved }, order, positions };
}

function sharedInts(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(length * 4));
}
