/**
 * Thread entry of the exact kNN search by bounds: allocates its blocks once, then runs the tasks it is given.
 */
import { type BoundResult, type BoundTask, createBoundSearch } from '../src/engine/knn-bounds.js';
import { startWorker } from '../src/engine/worker-start.js';
import { rethrowPortable } from '../src/errors.js';

const started = await startWorker(createBoundSearch);

export default async function run(task: BoundTask): Promise<BoundResult> {
  try {
    return await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
