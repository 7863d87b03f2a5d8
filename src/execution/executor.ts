/** An executor of tasks: threads of this process (`Pool`), or anything else that takes a task and answers with its result. */
import { asNaanError, NaanError } from '../errors.js';

export interface Executor {
  /** Tasks that can run at once. */
  readonly threads: number;
  /**
   * Runs every task, in any order, no more at once than keep the threads busy; the rest wait with the caller. A task that
   * fails is run once more; a second failure, bad input or an abort stops the rest. Resolves when all are done; rejects
   * after those that run have ended, so that none touches memory any more that the caller frees. `describe` names a task in
   * the error. Throws SHARD_FAILED, CANCELLED, and the errors that tasks name by a code.
   */
  runAll<Task, Result>(
    tasks: readonly Task[],
    describe: (task: Task) => string,
    listener?: TaskListener<Task, Result>,
  ): Promise<void>;
  /** Ends the threads. No task may run. */
  close(): Promise<void>;
}

/** The main thread's callbacks for tasks as they come and go. */
export interface TaskListener<Task, Result> {
  /** The context that tasks refer to, shared memory included; the executor hands it over beside each task. */
  readonly context?: unknown;
  readonly onDone?: (task: Task, result: Result) => void;
  /** Counts after every change. */
  readonly onCounts?: (counts: TaskCounts) => void;
  /** A task has failed, for this reason, and is run again. */
  readonly onRetry?: (task: string, reason: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** Times a task is tried; default 2. 1 for tasks that change what they read. */
  readonly attempts?: number;
  /** A task has failed for good while others still run, which may wait for it. */
  readonly onFailure?: () => void;
}

export interface TaskCounts {
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  readonly retried: number;
}

/** The one schedule of every executor: `lanes` tasks at once, each sent by `submit`, which resolves with its result. */
export async function runInLanes<Task, Result>(
  tasks: readonly Task[],
  describe: (task: Task) => string,
  { onDone, onCounts, onRetry, signal, attempts = 2, onFailure }: TaskListener<Task, Result>,
  lanes: number,
  submit: (task: Task) => Promise<Result>,
): Promise<void> {
  let next = 0;
  let running = 0;
  let done = 0;
  let retried = 0;
  let failure: unknown;
  const report = () => onCounts?.({ queued: tasks.length - next, running, done, retried });

  const runOne = async (task: Task): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await submit(task);
        onDone?.(task, result);
        return;
      } catch (error) {
        const known = asNaanError(error);
        if (known && known.code !== 'SHARD_FAILED') throw known;
        const cause = error instanceof Error ? error.message : String(error);
        if (attempt === attempts || signal?.aborted) {
          const times = attempt > 1 ? ' twice' : '';
          throw new NaanError('SHARD_FAILED', `${describe(task)} failed${times}: ${cause}`, { cause: error });
        }
        retried++;
        onRetry?.(describe(task), cause);
        report();
      }
    }
  };

  const lane = async (): Promise<void> => {
    while (next < tasks.length && failure === undefined && !signal?.aborted) {
      const task = tasks[next++];
      running++;
      report();
      try {
        await runOne(task);
        done++;
      } catch (error) {
        failure ??= error;
        onFailure?.();
      }
      running--;
      report();
    }
  };
  await Promise.all(Array.from({ length: Math.min(tasks.length, lanes) }, lane));
  if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
  if (failure !== undefined) throw failure;
}

/** The result of one task, tried once. Throws as `runAll`. */
export async function runTask<Task, Result>(executor: Executor, task: Task, name: string): Promise<Result> {
  const results: Result[] = [];
  const onDone = (_: Task, result: Result) => void results.push(result);
  await executor.runAll<Task, Result>([task], () => name, { onDone, attempts: 1 });
  return results[0];
}
