/**
 * Thread entry of the exact kNN search by bounds: allocates its blocks once, then runs the tasks it is given.
 */

import { rethrowPortable } from '../src/errors.js';
import { startWorker } from '../src/execution/worker-start.js';
import { type BoundResult, type BoundTask, createBoundSearch } from '../src/knn/bounds.js';

const started = await startWorker(createBoundSearch);

export default async function run(task: BoundTask): Promise<BoundResult> {
  try {
    return await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
