/**
 * Thread entry of the exact kNN search: allocates its tiles once, then runs the block tasks it is given.
 */

import { rethrowPortable } from '../src/errors.js';
import { startWorker } from '../src/execution/worker-start.js';
import { createBlockSearch, type KnnTask } from '../src/knn/blocks.js';

const started = await startWorker(createBlockSearch);

export default async function run(task: KnnTask): Promise<void> {
  try {
    await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
