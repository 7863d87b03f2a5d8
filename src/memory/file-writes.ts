/**
 * Checksums of the bytes that a thread writes to the files of a work directory for one shard, by which a later run knows the bytes
 * again. They are taken of the bytes in memory, just used, and not read back.
 */
import { crc32 } from '../checksum.js';

/** Bytes that lie side by side in a file. */
export interface RangeCheck {
  readonly file: string;
  readonly start: number;
  readonly length: number;
  readonly crc: number;
}

/** The first `bytes` of rows of `rowBytes` each, here and there in a file. */
export interface RowsCheck {
  readonly file: string;
  readonly bytes: number;
  readonly rowBytes: number;
  /** CRC-32 of each row begun with its number, added up: they may be read in any order. */
  readonly sum: number;
}

export type FileCheck = RangeCheck | RowsCheck;

/** Stands for the features among files that a shard's checksums are of. */
export const featureRows = 'features';

export class FileWrites {
  private checks = new Map<string, { -readonly [K in keyof RangeCheck]: RangeCheck[K] } | RowsCheck>();
  private scattered = false;

  /** `mayWrite` returns when the thread may write, or throws. */
  constructor(private readonly mayWrite: () => void) {}

  /** A shard begins. `scattered`: its rows do not lie side by side. */
  begin(scattered: boolean): void {
    this.checks = new Map();
    this.scattered = scattered;
  }

  /** Checksums of what was written since the shard began. */
  taken(): FileCheck[] {
    return [...this.checks.values()];
  }

  /** Is asked before anything is written. */
  permit(): void {
    this.mayWrite();
  }

  /** Bytes were written that follow those written to the file before. */
  range(file: string, start: number, bytes: Uint8Array): void {
    const before = this.checks.get(file);
    if (!before) {
      this.checks.set(file, { file, start, length: bytes.length, crc: crc32(bytes) });
      return;
    }
    if ('sum' in before || before.start + before.length !== start) {
      throw new Error(`${file}: bytes at ${start} do not follow those of the same shard`);
    }
    before.crc = crc32(bytes, before.crc);
    before.length += bytes.length;
  }

  /** Rows ids[0..count) were written, the first bytes of each: `rows` [count × bytes]. */
  rows(file: string, ids: Int32Array, count: number, rows: Uint8Array, rowBytes: number): void {
    const bytes = rows.length / count;
    if (!this.scattered && bytes === rowBytes) {
      this.range(file, ids[0] * rowBytes, rows);
      return;
    }
    const before = this.checks.get(file);
    let sum = before && 'sum' in before ? before.sum : 0;
    for (let i = 0; i < count; i++) sum = (sum + rowChecksum(rows.subarray(i * bytes, (i + 1) * bytes), ids[i])) >>> 0;
    this.checks.set(file, { file, bytes, rowBytes, sum });
  }
}

/** CRC-32 of a row, begun with its number, so that rows that changed places do not pass. */
export function rowChecksum(bytes: Uint8Array, row: number): number {
  return crc32(bytes, row);
}
