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
 * Called once, by the module of a worker, with what to do before the first task and the `workerData` of the pool.
 * A start that fails rejects here and in whoever awaits it, not on its own, so that it fails the first task.
 */
export function startWorker<Data, Started>(start: (data: Data) => Promise<Started>): Promise<Started> {
  const { data, starting } = workerData as WorkerStart;
  const started = start(data as Data);
  const settled = () => void Atomics.sub(starting, 0, 1);
  started.then(settled, settled);
  return started;
}
