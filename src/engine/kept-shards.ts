/** Whether files of a work directory, and the features, still hold what a shard wrote and read, by their checksums. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from '../checksum.js';
import type { RowReader } from '../io/matrix.js';
import { type RangeCheck, type RowsCheck, rowChecksum } from '../memory/file-writes.js';

const windowBytes = 2 ** 20;

/** False also when the file is gone, short, or cannot be read. */
export function rangeAgrees(folder: string, { file, start, length, crc }: RangeCheck): boolean {
  let found = 0;
  const whole = readWindows(join(folder, file), start, length, windowBytes, (bytes) => {
    found = crc32(bytes, found);
  });
  return whole && found === crc;
}

/** `start` and `length` are bytes of the rows as float32, whatever the file holds. */
export function featuresAgree(reader: RowReader, { start, length, crc }: RangeCheck): boolean {
  const rowBytes = 4 * reader.dim;
  const atOnce = Math.max(1, Math.floor(windowBytes / rowBytes));
  const rows = new Float32Array(atOnce * reader.dim);
  const end = (start + length) / rowBytes;
  let found = 0;
  for (let row = start / rowBytes; row < end; row += atOnce) {
    const count = Math.min(atOnce, end - row);
    reader.read(row, count, rows);
    found = crc32(new Uint8Array(rows.buffer, 0, count * rowBytes), found);
  }
  return found === crc;
}

/** The layout of rows in a file. */
export type WrittenRows = Pick<RowsCheck, 'file' | 'bytes' | 'rowBytes'>;

/** Checksums of rows of a file, added up by the shard that wrote them: pairs of a shard and its sum. */
export type RowSums = readonly (readonly [shard: number, sum: number])[];

/** Sums of the rows [from, to) of the file; those that cannot be read are left out. */
export function sumRows(
  folder: string,
  { file, bytes, rowBytes }: WrittenRows,
  from: number,
  to: number,
  shardOf: (row: number) => number,
): RowSums {
  const atOnce = Math.max(1, Math.floor(windowBytes / rowBytes)) * rowBytes;
  const sums = new Map<number, number>();
  let row = from;
  readWindows(join(folder, file), from * rowBytes, (to - from) * rowBytes, atOnce, (window) => {
    for (let at = 0; at < window.length; at += rowBytes, row++) {
      const shard = shardOf(row);
      sums.set(shard, ((sums.get(shard) ?? 0) + rowChecksum(window.subarray(at, at + bytes), row)) | 0);
    }
  });
  return [...sums];
}

/** Visits bytes [start, start + length) of a file in windows; false when it had to stop before the end. */
function readWindows(
  path: string,
  start: number,
  length: number,
  atOnce: number,
  visit: (bytes: Uint8Array) => void,
): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe would hold the thread
    const window = Buffer.allocUnsafe(Math.min(atOnce, length));
    for (let done = 0; done < length; ) {
      const wanted = Math.min(atOnce, length - done);
      for (let got = 0; got < wanted; ) {
        const count = readSync(fd, window, got, wanted - got, start + done + got);
        if (count === 0) return false;
        got += count;
      }
      visit(window.subarray(0, wanted));
      done += wanted;
    }
    return true;
  } catch {
    return false; // what cannot be read is computed again
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
