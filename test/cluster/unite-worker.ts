/** Thread of the disjoint-set tests: in each round unites its share of the edges in a set of that round. */
import { parentPort, workerData } from 'node:worker_threads';
import { SharedDisjointSet, type SharedDisjointSetHandle } from '../../src/cluster/shared-disjoint-set.js';

export interface UniteTask {
  /** One set a round. */
  readonly rounds: readonly SharedDisjointSetHandle[];
  /** [e × 2] */
  readonly pairs: Int32Array;
  /** One counter: how often a thread came to the start of a round. */
  readonly arrivals: Int32Array;
  readonly threads: number;
  /** Edges first, first + stride, … below the count; from the last to the first when `backwards`. */
  readonly first: number;
  readonly stride: number;
  readonly backwards: boolean;
}

const { rounds, pairs, arrivals, threads, first, stride, backwards } = workerData as UniteTask;
const turns = Math.ceil((pairs.length / 2 - first) / stride);

const joined = rounds.map((handle, round) => {
  const set = SharedDisjointSet.from(handle);
  // Nobody starts before all are here, so that threads meet on the same roots.
  Atomics.add(arrivals, 0, 1);
  while (Atomics.load(arrivals, 0) < threads * (round + 1));
  let unions = 0;
  for (let i = 0; i < turns; i++) {
    const e = first + (backwards ? turns - 1 - i : i) * stride;
    if (set.unite(pairs[2 * e], pairs[2 * e + 1])) unions++;
  }
  return unions;
});
parentPort?.postMessage(joined);
