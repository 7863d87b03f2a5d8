/** Numbers of each node or edge that a run with a work directory keeps beside its rows: `<name>.column`, float32. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { NaanError } from '../errors.js';
import { readFully } from '../io/input-file.js';
import type { FileWrites } from '../memory/file-writes.js';
import { systemReason } from '../system-error.js';

export class ColumnFiles {
  private readonly files = new Map<string, number>();

  /** `writes` hears what is kept. */
  constructor(
    private readonly folder: string,
    private readonly writes: FileWrites | undefined,
  ) {}

  /** Keeps values [start, start + values.length) of a column. Throws NOT_WRITABLE. */
  keep(name: string, start: number, values: Float32Array): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.writes?.permit();
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.open(name), bytes, done, bytes.length - done, start * 4 + done);
      }
    } catch (cause) {
      const reason = systemReason(cause);
      if (reason === undefined) throw cause;
      throw new NaanError('NOT_WRITABLE', `${this.pathOf(name)}: cannot be written: ${reason}`, { cause });
    }
    this.writes?.range(columnFile(name), start * 4, bytes);
  }

  /** Values kept earlier → `values`. Throws BAD_INPUT. */
  recall(name: string, start: number, values: Float32Array): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    readFully(this.open(name), bytes, start * 4, this.pathOf(name));
  }

  close(): void {
    for (const fd of this.files.values()) closeSync(fd);
    this.files.clear();
  }

  private open(name: string): number {
    let fd = this.files.get(name);
    if (fd === undefined) {
      closeSync(openSync(this.pathOf(name), 'a')); // made by whoever comes first
      fd = openSync(this.pathOf(name), 'r+');
      this.files.set(name, fd);
    }
    return fd;
  }

  private pathOf(name: string): string {
    return join(this.folder, columnFile(name));
  }
}

/** The file of a column. */
export function columnFile(name: string): string {
  return `${name}.column`;
}
