/**
 * Thread entry of the exact kNN search: allocates its tiles once, then runs the block tasks it is given.
 * The start is not awaited here, so that one that fails does so in the first task instead of the thread.
 */
import { workerData } from 'piscina';
import { createBlockSearch, type KnnJob, type KnnTask } from '../src/engine/knn-blocks.js';
import { rethrowPortable } from '../src/errors.js';

const starting = createBlockSearch(workerData as KnnJob);
starting.catch(() => undefined);

export default async function run(task: KnnTask): Promise<void> {
  try {
    await (await starting)(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
