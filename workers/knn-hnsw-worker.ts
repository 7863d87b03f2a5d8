/**
 * Thread entry of the HNSW search: holds the index, and runs the tasks it is given.
 */
import { createHnsw, type HnswTask } from '../src/engine/knn-hnsw.js';
import { startWorker } from '../src/engine/worker-start.js';
import { rethrowPortable } from '../src/errors.js';

const started = await startWorker(createHnsw);

export default async function run(task: HnswTask): Promise<unknown> {
  try {
    return await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
