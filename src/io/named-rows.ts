/** Names of rows out of labels.csv by their number, read from the disk when they are asked for. */
import { closeSync, openSync, readSync } from 'node:fs';
import { NaanError } from '../errors.js';

/** Offsets are kept of each so many lines. */
const stride = 16;
const windowBytes = 2 ** 20;
const [newline, quote] = [10, 34];

export class NamedRows {
  private constructor(
    private readonly fd: number,
    private readonly offsets: Float64Array,
    private readonly end: number,
  ) {}

  /** Finds where lines start. Throws BAD_INPUT unless there is one for each row. */
  static open(path: string, rowCount: number): NamedRows {
    const fd = openSync(path, 'r');
    const offsets = new Float64Array(Math.ceil(rowCount / stride) + 1);
    const window = Buffer.allocUnsafe(windowBytes);
    let position = 0;
    let row = -1; // the title
    let isQuoted = false;
    for (let count = readSync(fd, window, 0, windowBytes, 0); count > 0; ) {
      const bytes = window.subarray(0, count);
      let nextQuote = bytes.indexOf(quote);
      for (let at = 0; at < count; ) {
        const end = isQuoted ? -1 : bytes.indexOf(newline, at);
        if (nextQuote >= 0 && (end < 0 || nextQuote < end)) {
          isQuoted = !isQuoted;
          at = nextQuote + 1;
          nextQuote = bytes.indexOf(quote, at);
          continue;
        }
        if (end < 0) break;
        row++;
        if (row % stride === 0 && row <= rowCount) offsets[row / stride] = position + end + 1;
        at = end + 1;
      }
      position += count;
      count = readSync(fd, window, 0, windowBytes, position);
    }
    if (row === rowCount) return new NamedRows(fd, offsets, position);
    closeSync(fd);
    throw new NaanError('BAD_INPUT', `${path}: has ${row} rows, expected ${rowCount} as there are labels`);
  }

  at(row: number): string {
    const block = Math.floor(row / stride);
    const start = this.offsets[block];
    const end = Math.max(start, this.offsets[block + 1] || this.end);
    const bytes = Buffer.allocUnsafe(end - start);
    readSync(this.fd, bytes, 0, bytes.length, start);
    let at = 0;
    for (let skipped = block * stride; skipped < row; skipped++) at = endOfLine(bytes, at) + 1;
    const line = bytes.toString('utf8', at, endOfLine(bytes, at));
    if (!line.startsWith('"')) return line.slice(0, line.indexOf(','));
    return line.slice(1, line.lastIndexOf('"')).replaceAll('""', '"');
  }

  close(): void {
    closeSync(this.fd);
  }
}

function endOfLine(bytes: Buffer, from: number): number {
  let isQuoted = false;
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === quote) isQuoted = !isQuoted;
    else if (bytes[at] === newline && !isQuoted) return at;
  }
  return bytes.length;
}
