/**
 * What this machine can do at most, measured the way the engine would use it, on every thread at once: GEMM rate
 * (ONNX Runtime, 512 rows × 512 × 512 from the arena) and the rate of gathering random 2 KiB rows from shared memory.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Arena } from '../src/kernels/arena.js';
import { Linear } from '../src/kernels/gemm.js';
import { SharedRows, type SharedRowsHandle } from '../src/memory/shared-rows.js';

export interface Limits {
  readonly threads: number;
  readonly gemmGflops: number;
  readonly randomRowGBps: number;
}

const dim = 512;
const batch = 512;
const rowCount = 262_144;
const secondsEach = 1;

/** Measures for about two seconds. */
export async function measureLimits(threads: number): Promise<Limits> {
  const rows = SharedRows.allocate(rowCount, dim);
  rows.eachRun(0, rowCount, (view) => void view.fill(0.5));
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const work = { rows: rows.handle(), gate, threads };
  const results = await Promise.all(
    Array.from(
      { length: threads },
      () =>
        new Promise<[gflops: number, gbps: number]>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: work });
          worker.once('message', resolve).once('error', reject);
        }),
    ),
  );
  return {
    threads,
    gemmGflops: results.reduce((sum, [gflops]) => sum + gflops, 0),
    randomRowGBps: results.reduce((sum, [, gbps]) => sum + gbps, 0),
  };
}

/** Waits until every thread has come to this gate, so that all of them load the machine at once. */
function meet(gate: Int32Array, index: number, threads: number): void {
  if (Atomics.add(gate, index, 1) + 1 === threads) Atomics.notify(gate, index);
  for (let seen = Atomics.load(gate, index); seen < threads; seen = Atomics.load(gate, index)) {
    Atomics.wait(gate, index, seen, 1000);
  }
}

async function measure(handle: SharedRowsHandle, gate: Int32Array, threads: number): Promise<[number, number]> {
  const arena = new Arena(4 * 3 * batch * dim);
  const x = arena.float32(batch * dim).fill(0.25);
  const y = arena.float32(batch * dim);
  const linear = await Linear.create(new Float32Array(dim * dim).fill(0.01), new Float32Array(dim));
  await linear.run(batch, x, y);
  meet(gate, 0, threads);
  const flops = await rate(2 * batch * dim * dim, () => linear.run(batch, x, y));

  const rows = SharedRows.from(handle);
  const ids = new Int32Array(batch);
  let state = 1;
  meet(gate, 1, threads);
  const bytes = await rate(batch * dim * 4, () => {
    for (let i = 0; i < batch; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      ids[i] = Math.floor((state / 2 ** 32) * rowCount);
    }
    rows.gather(ids, batch, x);
  });
  return [flops / 1e9, bytes / 1e9];
}

async function rate(amount: number, work: () => void | Promise<void>): Promise<number> {
  const began = performance.now();
  let times = 0;
  while (performance.now() - began < secondsEach * 1000) {
    await work();
    times++;
  }
  return (amount * times * 1000) / (performance.now() - began);
}

if (!isMainThread && workerData?.gate) {
  parentPort?.postMessage(await measure(workerData.rows, workerData.gate, workerData.threads));
}
