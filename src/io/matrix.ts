/**
 * Where an n × d matrix of features lies, and reading rows of it.
 * A location is plain data that any thread can open, so workers read their own rows from the file and the matrix as a
 * whole need never be in memory.
 */
import { closeSync } from 'node:fs';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { openInput, readFully } from './input-file.js';
import { float32Decoder, itemBytes, swapBytes } from './numbers.js';

export type MatrixLocation =
  | {
      readonly kind: 'file';
      readonly path: string;
      /** What to call this matrix in messages: the path, and the member of an archive. */
      readonly name: string;
      /** Byte offset of element (0, 0). */
      readonly offset: number;
      readonly rowCount: number;
      readonly dim: number;
      readonly type: 'f2' | 'f4' | 'f8';
      readonly littleEndian: boolean;
      /** Column-major. */
      readonly fortran: boolean;
    }
  | { readonly kind: 'memory'; readonly name: string; readonly rows: SharedRowsHandle };

/** Reads rows [start, start + count) as float32 into out [count × d]. Values are as stored: not checked, not normalised. */
export interface RowReader {
  readonly rowCount: number;
  readonly dim: number;
  read(start: number, count: number, out: Float32Array): void;
  close(): void;
}

/** Opens a matrix for reading by rows, on any thread. Close it when done. Throws BAD_INPUT. */
export function openRows(location: MatrixLocation): RowReader {
  if (location.kind === 'memory') return rowsInMemory(SharedRows.from(location.rows));
  const fd = openInput(location.path);
  const read = location.fortran ? columnReader(fd, location) : elementReader(fd, location);
  return { rowCount: location.rowCount, dim: location.dim, read, close: () => closeSync(fd) };
}

type FileLocation = Extract<MatrixLocation, { kind: 'file' }>;

const scratchBytes = 2 ** 20;

function rowsInMemory(rows: SharedRows): RowReader {
  return {
    rowCount: rows.rowCount,
    dim: rows.dim,
    read(start, count, out) {
      rows.eachRun(start, count, (run, first) => out.set(run, (first - start) * rows.dim));
    },
    close() {},
  };
}

/** Rows of a C-order file are one run of elements: float32 goes straight into `out`, other types through a scratch. */
function elementReader(fd: number, { name, offset, type, littleEndian, dim }: FileLocation): RowReader['read'] {
  const size = itemBytes(type);
  if (type === 'f4') {
    return (start, count, out) => {
      const bytes = new Uint8Array(out.buffer, out.byteOffset, count * dim * size);
      readFully(fd, bytes, offset + start * dim * size, name);
      if (!littleEndian) swapBytes(bytes, type);
    };
  }
  const scratch = new Uint8Array(scratchBytes);
  const decode = float32Decoder(type, scratch.buffer);
  return (start, count, out) => {
    for (let done = 0; done < count * dim; done += scratchBytes / size) {
      const bytes = scratch.subarray(0, Math.min(scratchBytes, (count * dim - done) * size));
      readFully(fd, bytes, offset + (start * dim + done) * size, name);
      if (!littleEndian) swapBytes(bytes, type);
      decode(0, bytes.length / size, out, done, 1);
    }
  };
}

/** A column of a Fortran-order file is one run of elements: the slice of each goes to every d-th place of `out`. */
function columnReader(
  fd: number,
  { name, offset, type, littleEndian, dim, rowCount }: FileLocation,
): RowReader['read'] {
  const size = itemBytes(type);
  const scratch = new Uint8Array(scratchBytes);
  const decode = float32Decoder(type, scratch.buffer);
  return (start, count, out) => {
    for (let c = 0; c < dim; c++) {
      for (let done = 0; done < count; done += scratchBytes / size) {
        const bytes = scratch.subarray(0, Math.min(scratchBytes, (count - done) * size));
        readFully(fd, bytes, offset + (c * rowCount + start + done) * size, name);
        if (!littleEndian) swapBytes(bytes, type);
        decode(0, bytes.length / size, out, done * dim + c, dim);
      }
    }
  };
}
