/**
 * How a thread of a pool starts. Native code (ONNX Runtime) aborts the whole process when its thread is ended while it
 * loads, so a pool must know which of its threads are still starting, and ends none before.
 */
import { workerData } from 'piscina';

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
