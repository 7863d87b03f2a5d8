/**
 * An n × d float32 matrix in shared memory that every thread sees.
 * Rows live in windows of at most 1 GiB, so n has no limit that an ArrayBuffer sets. A window holds a power of two of
 * rows: row r is in window r >> shift, at r & mask.
 */
import { NaanError } from '../errors.js';

const windowBytes = 2 ** 30;

/** What another thread needs to see the same rows: plain data plus the shared buffers. */
export interface SharedRowsHandle {
  readonly rowCount: number;
  readonly dim: number;
  readonly windows: readonly SharedArrayBuffer[];
}

export class SharedRows implements SharedRowsHandle {
  readonly rowCount: number;
  readonly dim: number;
  readonly windows: readonly SharedArrayBuffer[];
  private readonly views: Float32Array[];
  private readonly shift: number;
  private readonly mask: number;

  private constructor(handle: SharedRowsHandle) {
    this.rowCount = handle.rowCount;
    this.dim = handle.dim;
    this.windows = handle.windows;
    this.views = handle.windows.map((buffer) => new Float32Array(buffer));
    this.shift = windowShift(handle.dim);
    this.mask = 2 ** this.shift - 1;
  }

  /** Allocates n × d zeros. Throws BAD_SHAPE when the machine refuses the memory. */
  static allocate(rowCount: number, dim: number): SharedRows {
    const rowsPerWindow = 2 ** windowShift(dim);
    const windows: SharedArrayBuffer[] = [];
    try {
      for (let start = 0; start < rowCount; start += rowsPerWindow) {
        windows.push(new SharedArrayBuffer(Math.min(rowsPerWindow, rowCount - start) * dim * 4));
      }
    } catch (cause) {
      const gib = ((rowCount * dim * 4) / 2 ** 30).toFixed(1);
      throw new NaanError('BAD_SHAPE', `shared memory for ${rowCount} rows × ${dim} (${gib} GiB) was refused`, {
        cause,
      });
    }
    return new SharedRows({ rowCount, dim, windows });
  }

  /** The same rows, seen from another thread. */
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

  /** Copies rows ids[0..count) to `out` [count × d]; neighbouring ids are copied together. */
  gather(ids: Int32Array, count: number, out: Float32Array): void {
    const { dim, shift, mask, views } = this;
    for (let i = 0; i < count; ) {
      const first = ids[i];
      const limit = Math.min(count - i, mask + 1 - (first & mask));
      let rows = 1;
      while (rows < limit && ids[i + rows] === first + rows) rows++;
      const offset = (first & mask) * dim;
      out.set(views[first >>> shift].subarray(offset, offset + rows * dim), i * dim);
      i += rows;
    }
  }

  /** Copies `rows` [count × d] to rows ids[0..count). The inverse of `gather`. */
  scatter(rows: Float32Array, ids: Int32Array, count: number): void {
    const { dim, shift, mask, views } = this;
    for (let i = 0; i < count; ) {
      const first = ids[i];
      const limit = Math.min(count - i, mask + 1 - (first & mask));
      let run = 1;
      while (run < limit && ids[i + run] === first + run) run++;
      views[first >>> shift].set(rows.subarray(i * dim, (i + run) * dim), (first & mask) * dim);
      i += run;
    }
  }
}

function windowShift(dim: number): number {
  return Math.max(0, Math.min(30, Math.floor(Math.log2(windowBytes / (dim * 4)))));
}
