/**
 * An n × d float32 matrix in shared memory that every thread sees.
 * Rows live in windows of at most 1 GiB, so n has no limit that an ArrayBuffer sets. A window holds a power of two of
 * rows: row r is in window r >> shift, at r & mask.
 */
import { NaanError } from '../errors.js';
import type { RowStore } from './row-store.js';

const windowBytes = 2 ** 30;

/** The handle by which another thread sees the same rows: plain data and the shared buffers. */
export interface SharedRowsHandle {
  readonly rowCount: number;
  readonly dim: number;
  readonly windows: readonly SharedArrayBuffer[];
}

export class SharedRows implements SharedRowsHandle, RowStore {
  readonly rowCount: number;
  readonly dim: number;
  readonly windows: readonly SharedArrayBuffer[];
  private readonly views: Float32Array[];
  /** The windows as bytes: `copy` moves a row at half the cost of `set` on a subarray. */
  private readonly bytes: Buffer[];
  private readonly shift: number;
  private readonly mask: number;

  private constructor(handle: SharedRowsHandle) {
    this.rowCount = handle.rowCount;
    this.dim = handle.dim;
    this.windows = handle.windows;
    this.views = handle.windows.map((buffer) => new Float32Array(buffer));
    this.bytes = handle.windows.map((buffer) => Buffer.from(buffer));
    this.shift = windowShift(handle.dim);
    this.mask = 2 ** this.shift - 1;
  }

  /** Allocates n × d zeros. Throws OUT_OF_MEMORY when the machine refuses the memory. */
  static allocate(rowCount: number, dim: number): SharedRows {
    const rowsPerWindow = 2 ** windowShift(dim);
    const windows: SharedArrayBuffer[] = [];
    try {
      for (let start = 0; start < rowCount; start += rowsPerWindow) {
        windows.push(new SharedArrayBuffer(Math.min(rowsPerWindow, rowCount - start) * dim * 4));
      }
    } catch (cause) {
      const gib = ((rowCount * dim * 4) / 2 ** 30).toFixed(1);
      throw new NaanError('OUT_OF_MEMORY', `shared memory for ${rowCount} rows × ${dim} (${gib} GiB) was refused`, {
        cause,
      });
    }
    return new SharedRows({ rowCount, dim, windows });
  }

  /** The store behind a handle, on another thread. */
  static from(handle: SharedRowsHandle): SharedRows {
    return new SharedRows(handle);
  }

  handle(): SharedRowsHandle {
    return { rowCount: this.rowCount, dim: this.dim, windows: this.windows };
  }

  /** View of one row [d]. */
  row(index: number): Float32Array {
    const start = (index & this.mask) * this.dim;
    return this.views[index >>> this.shift].subarray(start, start + this.dim);
  }

  /** Calls `visit(view, first)` for each run of rows [first, …) that lies in one window; view is [rows × d]. */
  eachRun(start: number, count: number, visit: (view: Float32Array, first: number) => void): void {
    for (let first = start; first < start + count; ) {
      const rows = Math.min(start + count - first, this.mask + 1 - (first & this.mask));
      const offset = (first & this.mask) * this.dim;
      visit(this.views[first >>> this.shift].subarray(offset, offset + rows * this.dim), first);
      first += rows;
    }
  }

  /**
   * Copies rows ids[0..count) to `out` [count × columns], the first `columns` of each; whole rows that lie side by side
   * are copied together.
   */
  gather(ids: Int32Array, count: number, out: Float32Array, columns: number = this.dim): void {
    const target = Buffer.from(out.buffer, out.byteOffset, count * columns * 4);
    for (let i = 0; i < count; ) {
      const run = columns === this.dim ? this.runLength(ids, i, count) : 1;
      const start = (ids[i] & this.mask) * this.dim * 4;
      this.bytes[ids[i] >>> this.shift].copy(target, i * columns * 4, start, start + run * columns * 4);
      i += run;
    }
  }

  /** Copies `rows` [count × columns] to the first columns of rows ids[0..count). The inverse of `gather`. */
  scatter(rows: Float32Array, ids: Int32Array, count: number, columns: number = this.dim): void {
    const source = Buffer.from(rows.buffer, rows.byteOffset, count * columns * 4);
    for (let i = 0; i < count; ) {
      const run = columns === this.dim ? this.runLength(ids, i, count) : 1;
      const start = (ids[i] & this.mask) * this.dim * 4;
      source.copy(this.bytes[ids[i] >>> this.shift], start, i * columns * 4, (i + run) * columns * 4);
      i += run;
    }
  }

  /** Puts the rows in another order: row ids[i] comes to place i, where ids has each row once. */
  arrange(ids: Int32Array): void {
    const rowBytes = this.dim * 4;
    const held = Buffer.alloc(rowBytes);
    const moved = new Uint8Array(this.rowCount);
    const bytesOf = (row: number) => this.bytes[row >>> this.shift];
    const startOf = (row: number) => (row & this.mask) * rowBytes;
    for (let first = 0; first < this.rowCount; first++) {
      if (moved[first] || ids[first] === first) continue;
      bytesOf(first).copy(held, 0, startOf(first), startOf(first) + rowBytes);
      let place = first;
      for (let row = ids[place]; row !== first; row = ids[place]) {
        bytesOf(row).copy(bytesOf(place), startOf(place), startOf(row), startOf(row) + rowBytes);
        moved[place] = 1;
        place = row;
      }
      held.copy(bytesOf(place), startOf(place));
      moved[place] = 1;
    }
  }

  /** Nothing to close: the memory goes with the last reference to it. */
  close(): void {}

  /** The number of ids from ids[i] on that are consecutive and in one window. */
  private runLength(ids: Int32Array, i: number, count: number): number {
    const first = ids[i];
    const limit = Math.min(count - i, this.mask + 1 - (first & this.mask));
    let run = 1;
    while (run < limit && ids[i + run] === first + run) run++;
    return run;
  }
}

function windowShift(dim: number): number {
  return Math.max(0, Math.min(30, Math.floor(Math.log2(windowBytes / (dim * 4)))));
}
