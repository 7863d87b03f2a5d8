/**
 * The limits of this machine, measured the way the engine would use it, on every thread at once: products of
 * matrices, gathers of random rows and a stream of copies in shared memory; and sequential reads and writes of the disk.
 */
import { availableCores } from '../cgroup.js';
import { runTask } from '../execution/executor.js';
import { Pool } from '../execution/pool.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { ComputeRates, ComputeTask, DiskRates, DiskTask } from './limit-probes.js';

export interface LimitOptions {
  /** Default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Dimension of the rows; default 512. */
  readonly dim?: number | undefined;
  /** Rows of a product or a gather; default 512. */
  readonly batch?: number | undefined;
  /** Seconds of each probe; default 1. There are three, and two more with a folder. */
  readonly secondsEach?: number | undefined;
  /** Existing folder on the disk to measure; without it the disk is left alone. */
  readonly folder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** All threads together; G is 10⁹. */
export interface Limits {
  readonly threads: number;
  /** ONNX Runtime, [batch × d] · [d × d]. */
  readonly gemmGflops: number;
  /** Bytes of random rows of d float32 copied from 512 MiB of shared memory. */
  readonly randomRowGBps: number;
  /** Bytes read and written by copies of 1 MiB that no cache holds. */
  readonly streamGBps: number;
  /** One thread, one after the other: blocks seen to the disk, and read past the page cache where the system can. */
  readonly disk?: { readonly readGBps: number; readonly writeGBps: number };
}

const rowBytes = 2 ** 29;

/** Throws NOT_WRITABLE for the folder, CANCELLED after an abort. */
export async function measureLimits(options: LimitOptions = {}): Promise<Limits> {
  const { threads = availableCores(), dim = 512, batch = 512, secondsEach = 1, folder, signal } = options;
  const rows = SharedRows.allocate(Math.ceil(rowBytes / (4 * dim)), dim);
  rows.eachRun(0, rows.rowCount, (view) => void view.fill(0.5));
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const gate = new Int32Array(new SharedArrayBuffer(12));
  const stop = () => void Atomics.store(cancel, 0, 1);
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  const pool = new Pool({ worker: new URL('../../workers/limits-worker.js', import.meta.url), threads });
  try {
    const tasks = Array.from(
      { length: threads },
      (_, index): ComputeTask => ({
        task: 'compute',
        index,
        threads,
        batch,
        rows: rows.handle(),
        gate,
        secondsEach,
        cancel,
      }),
    );
    const sum = { gemm: 0, randomRows: 0, stream: 0 };
    // A second attempt would find its gates passed, and threads that wait for one that failed would wait for ever.
    await pool.runAll<ComputeTask, ComputeRates>(tasks, ({ index }) => `probe of thread ${index}`, {
      signal,
      attempts: 1,
      onFailure: stop,
      onDone: (_, { gemm, randomRows, stream }) => {
        sum.gemm += gemm;
        sum.randomRows += randomRows;
        sum.stream += stream;
      },
    });
    const disk =
      folder === undefined
        ? undefined
        : await runTask<DiskTask, DiskRates>(pool, { task: 'disk', folder, secondsEach, cancel }, 'probe of the disk');
    return {
      threads,
      gemmGflops: sum.gemm / 1e9,
      randomRowGBps: sum.randomRows / 1e9,
      streamGBps: sum.stream / 1e9,
      ...(disk && { disk: { readGBps: disk.read / 1e9, writeGBps: disk.write / 1e9 } }),
    };
  } finally {
    signal?.removeEventListener('abort', stop);
    await pool.close();
  }
}
