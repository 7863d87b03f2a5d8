/** Rows of float32 in a file, read and written in place; the operating system's page cache is the memory. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { NaanError } from '../errors.js';
import { systemReason } from '../system-error.js';
import type { FileWrites } from './file-writes.js';
import type { RowStore } from './row-store.js';

export class FileRows implements RowStore {
  private readonly fd: number;

  /** Opens n × d float32 that `allocateFile` made. `writes` hears what is written. */
  constructor(
    private readonly path: string,
    readonly rowCount: number,
    readonly dim: number,
    private readonly writes?: FileWrites,
  ) {
    this.fd = refusedBy(path, () => openSync(path, 'r+'));
  }

  /** Whole rows that lie side by side are read together. */
  gather(ids: Int32Array, count: number, out: Float32Array, columns: number = this.dim): void {
    const bytes = new Uint8Array(out.buffer, out.byteOffset, count * columns * 4);
    this.eachRun(ids, count, columns, (start, length, position) => {
      for (let done = 0; done < length; ) {
        const got = refusedBy(this.path, () => readSync(this.fd, bytes, start + done, length - done, position + done));
        if (got === 0) throw new NaanError('BAD_INPUT', `${this.path}: ends at byte ${position + done}: it was cut`);
        done += got;
      }
    });
  }

  scatter(rows: Float32Array, ids: Int32Array, count: number, columns: number = this.dim): void {
    if (count === 0) return;
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, count * columns * 4);
    this.writes?.permit();
    this.eachRun(ids, count, columns, (start, length, position) => {
      for (let done = 0; done < length; ) {
        done += refusedBy(this.path, () => writeSync(this.fd, bytes, start + done, length - done, position + done));
      }
    });
    this.writes?.rows(basename(this.path), ids, count, bytes, this.dim * 4);
  }

  close(): void {
    closeSync(this.fd);
  }

  /** Runs of whole consecutive rows: where each starts in local bytes, its bytes, and where it is in the file. */
  private eachRun(
    ids: Int32Array,
    count: number,
    columns: number,
    visit: (start: number, length: number, position: number) => void,
  ): void {
    for (let i = 0; i < count; ) {
      let run = 1;
      if (columns === this.dim) while (i + run < count && ids[i + run] === ids[i] + run) run++;
      visit(i * columns * 4, run * columns * 4, ids[i] * this.dim * 4);
      i += run;
    }
  }
}

/**
 * Makes a file of `bytes`, zeros that take no room until they are written. One that is there is kept as far as it goes.
 */
export function allocateFile(path: string, bytes: number): void {
  refusedBy(path, () => {
    const fd = openSync(path, 'a+');
    try {
      if (fstatSync(fd).size !== bytes) ftruncateSync(fd, bytes);
    } finally {
      closeSync(fd);
    }
  });
}

function refusedBy<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (cause) {
    const reason = systemReason(cause);
    if (reason === undefined) throw cause;
    throw new NaanError('NOT_WRITABLE', `${path}: cannot be read and written: ${reason}`, { cause });
  }
}
