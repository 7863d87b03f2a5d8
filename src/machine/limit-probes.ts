/** One thread's share of measuring what the machine can do; see `limits.ts`. */
import { closeSync, constants, fdatasyncSync, openSync, readSync, statfsSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { NaanError } from '../errors.js';
import { Arena } from '../kernels/arena.js';
import { Linear } from '../kernels/gemm.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { systemReason } from '../system-error.js';

interface ProbeTask {
  readonly secondsEach: number;
  /** [1]: not zero asks to stop. */
  readonly cancel: Int32Array;
}

export interface ComputeTask extends ProbeTask {
  readonly task: 'compute';
  /** Number of this thread, below `threads`. */
  readonly index: number;
  readonly threads: number;
  readonly batch: number;
  /** Far more than caches hold. */
  readonly rows: SharedRowsHandle;
  /** [3]: threads that have come to each probe. */
  readonly gate: Int32Array;
}

export interface DiskTask extends ProbeTask {
  readonly task: 'disk';
  readonly folder: string;
}

export type LimitTask = ComputeTask | DiskTask;

/** Amounts a second: floating point operations, or bytes. */
export interface ComputeRates {
  readonly gemm: number;
  readonly randomRows: number;
  readonly stream: number;
}

export interface DiskRates {
  readonly read: number;
  readonly write: number;
}

export function probe(task: LimitTask): Promise<ComputeRates> | DiskRates {
  return task.task === 'compute' ? probeCompute(task) : probeDisk(task);
}

async function probeCompute(task: ComputeTask): Promise<ComputeRates> {
  const { batch, index, threads } = task;
  const rows = SharedRows.from(task.rows);
  const { dim, rowCount } = rows;
  const arena = new Arena(4 * 2 * batch * dim);
  const x = arena.float32(batch * dim).fill(0.25);
  const y = arena.float32(batch * dim);
  const linear = await Linear.create(new Float32Array(dim * dim).fill(0.01), new Float32Array(dim));
  await linear.run(batch, x, y);
  meet(task, 0);
  const gemm = await rate(task, 2 * batch * dim * dim, () => linear.run(batch, x, y));

  const ids = new Int32Array(batch);
  let state = index + 1;
  meet(task, 1);
  const randomRows = await rate(task, batch * dim * 4, () => {
    for (let i = 0; i < batch; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      ids[i] = Math.floor((state / 2 ** 32) * rowCount);
    }
    rows.gather(ids, batch, x);
  });

  // Each thread goes round a part of its own; what it reads and what it writes both pass the bus.
  const bytes = Buffer.from(rows.windows[0]);
  const part = Math.floor(bytes.length / threads);
  const half = Math.floor(part / 2);
  const block = Math.min(2 ** 20, half);
  let at = 0;
  meet(task, 2);
  const stream = await rate(task, 2 * block, () => {
    const from = index * part + at;
    bytes.copy(bytes, from + half, from, from + block);
    at = at + 2 * block > half ? 0 : at + block;
  });
  await linear.release();
  return { gemm, randomRows, stream };
}

/** Waits until every thread has come here, so that all of them load the machine at once. */
function meet({ gate, threads, cancel }: ComputeTask, probe: number): void {
  if (Atomics.add(gate, probe, 1) + 1 === threads) Atomics.notify(gate, probe);
  for (let seen = Atomics.load(gate, probe); seen < threads; seen = Atomics.load(gate, probe)) {
    stopIfAsked(cancel);
    Atomics.wait(gate, probe, seen, 100);
  }
}

async function rate(
  { secondsEach, cancel }: ProbeTask,
  amount: number,
  work: () => void | Promise<void>,
): Promise<number> {
  const began = performance.now();
  let times = 0;
  while (performance.now() - began < secondsEach * 1000) {
    stopIfAsked(cancel);
    await work();
    times++;
  }
  return (amount * times * 1000) / (performance.now() - began);
}

const blockBytes = 2 ** 24;
const maxFileBytes = 2 ** 29;

/**
 * Writes blocks and sees each to the disk, then reads them past the page cache where the system can (O_DIRECT). The file
 * has no name while it is used, so nothing is left of it whatever happens.
 */
function probeDisk({ folder, secondsEach, cancel }: DiskTask): DiskRates {
  const path = join(folder, `.probe.${process.pid}.tmp`);
  try {
    const { bavail, bsize } = statfsSync(folder);
    const fileBytes = Math.min(maxFileBytes, Math.floor((bavail * bsize) / 4 / blockBytes) * blockBytes);
    if (fileBytes === 0) throw new NaanError('NOT_WRITABLE', `${folder}: no room for a file to measure the disk with`);
    const out = openSync(path, 'wx+');
    const direct = openDirect(path);
    try {
      unlinkSync(path);
      // O_DIRECT wants memory at a page's start, as WebAssembly memory is. Not zeros: some disks do not store them.
      const pages = blockBytes / 65536;
      const block = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
      for (let i = 0; i < block.length; i++) block[i] = Math.imul(i, 0x9e3779b1) >>> 24;
      let length = 0;
      const write = timed(secondsEach, cancel, () => {
        const count = writeSync(out, block, 0, block.length, length % fileBytes);
        fdatasyncSync(out);
        length += count;
        return count;
      });
      length = Math.min(length, fileBytes);
      let at = 0;
      const read = timed(secondsEach, cancel, () => {
        const count = readSync(direct ?? out, block, 0, block.length, at);
        at = at + count >= length ? 0 : at + count;
        return count;
      });
      return { read, write };
    } finally {
      closeSync(out);
      if (direct !== undefined) closeSync(direct);
    }
  } catch (cause) {
    const reason = systemReason(cause);
    if (reason === undefined) throw cause;
    throw new NaanError('NOT_WRITABLE', `${folder}: the disk cannot be measured there: ${reason}`, { cause });
  }
}

/** Undefined where the file system refuses it (tmpfs) or the platform has no such flag. */
function openDirect(path: string): number | undefined {
  if (constants.O_DIRECT === undefined) return undefined;
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}

/** Bytes a second of `work`, which returns the bytes of each turn. */
function timed(seconds: number, cancel: Int32Array, work: () => number): number {
  const began = performance.now();
  let bytes = 0;
  do {
    stopIfAsked(cancel);
    bytes += work();
  } while (performance.now() - began < seconds * 1000);
  return (bytes * 1000) / (performance.now() - began);
}

function stopIfAsked(cancel: Int32Array): void {
  if (Atomics.load(cancel, 0) !== 0) throw new NaanError('CANCELLED', 'cancelled');
}
