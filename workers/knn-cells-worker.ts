/**
 * Thread entry of the approximate kNN search: allocates its blocks once, then runs the tasks it is given.
 */

import { rethrowPortable } from '../src/errors.js';
import { startWorker } from '../src/execution/worker-start.js';
import { type CellResult, type CellTask, createCellSearch } from '../src/knn/cells.js';

const started = await startWorker(createCellSearch);

export default async function run(task: CellTask): Promise<CellResult> {
  try {
    return await started()(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
