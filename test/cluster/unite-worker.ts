/** Thread of the disjoint-set tests: unites its share of the edges once all threads are ready, in its own order. */
import { parentPort, workerData } from 'node:worker_threads';
import { SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';

export interface UniteTask {
  readonly parents: SharedArrayBuffer;
  /** [e × 2] */
  readonly pairs: Int32Array;
  /** One counter: threads that are ready. */
  readonly ready: Int32Array;
  readonly threads: number;
  /** Edges first, first + stride, … below the count; from the last to the first when `backwards`. */
  readonly first: number;
  readonly stride: number;
  readonly backwards: boolean;
}

const { parents, pairs, ready, threads, first, stride, backwards } = workerData as UniteTask;
const set = SharedDisjointSet.from({ parents });
const turns = Math.ceil((pairs.length / 2 - first) / stride);

// All threads start within a few nanoseconds of each other, so that they meet on the same roots.
Atomics.add(ready, 0, 1);
while (Atomics.load(ready, 0) < threads);

let joined = 0;
for (let i = 0; i < turns; i++) {
  const e = first + (backwards ? turns - 1 - i : i) * stride;
  if (set.unite(pairs[2 * e], pairs[2 * e + 1])) joined++;
}
parentPort?.postMessage(joined);
