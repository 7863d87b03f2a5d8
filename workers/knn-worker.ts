/**
 * Thread entry of the exact kNN search: allocates its tiles once, then runs the block tasks it is given.
 */
import { createBlockSearch, type KnnTask } from '../src/engine/knn-blocks.js';
import { startWorker } from '../src/engine/worker-start.js';
import { rethrowPortable } from '../src/errors.js';

const started = await startWorker(createBlockSearch);

export default async function run(task: KnnTask): Promise<void> {
  try {
    await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
