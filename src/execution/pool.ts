/** Tasks on a fixed number of worker threads. This file and `worker-start.ts` are all that know Piscina. */
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { Piscina } from 'piscina';
import { type Executor, runInLanes, type TaskListener } from './executor.js';
import { checkThreads } from './threads.js';
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

/** The message to a worker where tasks have a context. */
export interface TaskInContext<Task, Context = unknown> {
  readonly task: Task;
  readonly context: Context;
}

export class Pool implements Executor {
  private readonly piscina: Piscina;
  private readonly starting = new Int32Array(new SharedArrayBuffer(4));
  readonly threads: number;

  constructor(options: PoolOptions) {
    checkThreads(options.threads);
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

  /** At most two tasks a thread are in flight, so that a thread that ends one finds the next. */
  runAll<Task, Result>(
    tasks: readonly Task[],
    describe: (task: Task) => string,
    listener: TaskListener<Task, Result> = {},
  ): Promise<void> {
    const { context } = listener;
    return runInLanes(tasks, describe, listener, 2 * this.threads, (task) =>
      this.piscina.run(context === undefined ? task : ({ task, context } satisfies TaskInContext<Task>)),
    );
  }

  /** Each thread must have started before it is ended. */
  async close(): Promise<void> {
    const until = performance.now() + startMs;
    while (Atomics.load(this.starting, 0) > 0 && performance.now() < until) await setTimeout(2);
    await this.piscina.destroy();
  }
}
