/**
 * The start of a thread of a pool. Native code (ONNX Runtime) aborts the whole process when its thread is ended while it
 * loads, so a pool must know which of its threads are still starting, and ends none before.
 */
import { workerData } from 'piscina';
import { rethrowPortable } from '../errors.js';

export interface WorkerStart {
  readonly data: unknown;
  /** [1]: threads that have not started yet. */
  readonly starting: Int32Array;
}

/**
 * Called once by the module of a worker, which awaits it before it ends: a thread without a task sleeps without turning
 * its event loop, so that what a start still waited for would not come before the first task, or ever. `start` is given
 * the `workerData` of the pool. What it made is had by calling what this returns, in a task: a start that failed throws
 * there, so that it fails the first task.
 */
export async function startWorker<Data, Started>(start: (data: Data) => Promise<Started>): Promise<() => Started> {
  const { data, starting } = workerData as WorkerStart;
  try {
    const started = await start(data as Data);
    return () => started;
  } catch (error) {
    return () => {
      throw error;
    };
  } finally {
    Atomics.sub(starting, 0, 1);
  }
}

/**
 * The exports of the module of a worker: `start` once, as `startWorker` does, then `run` for each task, whose errors reach the
 * main thread with their codes.
 */
export async function serve<Data, Started, Task, Result>(
  start: (data: Data) => Started | Promise<Started>,
  run: (started: Started, task: Task) => Result | Promise<Result>,
): Promise<(task: Task) => Promise<Result>> {
  const started = await startWorker(async (data: Data) => start(data));
  return async (task) => {
    try {
      return await run(started(), task);
    } catch (error) {
      rethrowPortable(error);
    }
  };
}
