/**
 * Thread entry of the approximate kNN search: allocates its blocks once, then runs the tasks it is given.
 */
import { type CellResult, type CellTask, createCellSearch } from '../src/engine/knn-cells.js';
import { startWorker } from '../src/engine/worker-start.js';
import { rethrowPortable } from '../src/errors.js';

const started = await startWorker(createCellSearch);

export default async function run(task: CellTask): Promise<CellResult> {
  try {
    return await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
