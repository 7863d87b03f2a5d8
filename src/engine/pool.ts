/**
 * A fixed number of worker threads, and running many shard tasks on them. This file and `worker-start.ts` are all that know Piscina.
 */
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { Piscina } from 'piscina';
import { asNaanError, NaanError } from '../errors.js';
import type { WorkerStart } from './worker-start.js';

/**
 * Node 20 aborts the process ("Assertion failed: (data.first) != nullptr" in NodePlatform::ForIsolate) when a thread ends
 * while V8 optimises one of its functions on another. So threads made from here on optimise on their own.
 */
setFlagsFromString('--no-concurrent-recompilation');

/** Longest wait for a thread that starts, in case it never will. */
const startMs = 10_000;

export interface PoolOptions {
  /** Compiled worker module: calls `startWorker`; its default export takes one task. */
  readonly worker: URL;
  readonly threads: number;
  /** Given to each thread once, by structured clone; shared buffers stay shared. */
  readonly workerData?: unknown;
}

/** What the main thread does with tasks as they come and go. */
export interface TaskListener<Task, Result> {
  readonly onDone?: (task: Task, result: Result) => void;
  /** Counts after every change. */
  readonly onCounts?: (counts: TaskCounts) => void;
  readonly signal?: AbortSignal | undefined;
  /** Times a task is tried; default 2. 1 for tasks that change what they read. */
  readonly attempts?: number;
  /** Told of a failure while other tasks still run, in case they wait for the one that failed. */
  readonly onFailure?: () => void;
}

export interface TaskCounts {
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  readonly retried: number;
}

export class Pool {
  private readonly piscina: Piscina;
  private readonly starting = new Int32Array(new SharedArrayBuffer(4));
  readonly threads: number;

  constructor(options: PoolOptions) {
    this.threads = options.threads;
    this.starting[0] = options.threads;
    const workerData: WorkerStart = { data: options.workerData, starting: this.starting };
    this.piscina = new Piscina({
      filename: options.worker.href,
      minThreads: options.threads,
      maxThreads: options.threads,
      concurrentTasksPerWorker: 1,
      workerData,
    });
  }

  /**
   * Runs every task; at most two a thread are in flight, the rest wait here. A task that fails is run once more; a
   * second failure, bad input or an abort stops the rest. Resolves when all are done; rejects after those in flight
   * have ended, so that no worker touches shared memory any more. `describe` names a task in the error.
   */
  async runAll<Task, Result>(
    tasks: readonly Task[],
    describe: (task: Task) => string,
    { onDone, onCounts, signal, attempts = 2, onFailure }: TaskListener<Task, Result> = {},
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
          const result = (await this.piscina.run(task)) as Result;
          onDone?.(task, result);
          return;
        } catch (error) {
          const known = asNaanError(error);
          if (known && known.code !== 'SHARD_FAILED') throw known;
          if (attempt === attempts || signal?.aborted) {
            const cause = error instanceof Error ? error.message : String(error);
            throw new NaanError('SHARD_FAILED', `${describe(task)} failed${attempt > 1 ? ' twice' : ''}: ${cause}`, {
              cause: error,
            });
          }
          retried++;
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
    await Promise.all(Array.from({ length: Math.min(tasks.length, 2 * this.threads) }, lane));
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
    if (failure !== undefined) throw failure;
  }

  /** Runs one task. Rejects with its error. */
  async run<Task, Result>(task: Task): Promise<Result> {
    try {
      return (await this.piscina.run(task)) as Result;
    } catch (error) {
      throw asNaanError(error) ?? error;
    }
  }

  /** Ends the threads, once each has started. No task may run. */
  async close(): Promise<void> {
    const until = performance.now() + startMs;
    while (Atomics.load(this.starting, 0) > 0 && performance.now() < until) await setTimeout(2);
    await this.piscina.destroy();
  }
}
