/**
 * Thread entry of the HNSW search: holds the index, and runs the tasks it is given.
 */

import { rethrowPortable } from '../src/errors.js';
import { startWorker } from '../src/execution/worker-start.js';
import { createHnsw, type HnswTask } from '../src/knn/hnsw.js';

const started = await startWorker(createHnsw);

export default async function run(task: HnswTask): Promise<unknown> {
  try {
    return await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
