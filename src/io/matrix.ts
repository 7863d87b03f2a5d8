/**
 * Where an n × d matrix of features lies, and reading rows of it.
 * A location is plain data that any thread can open, so workers read their own rows from the file and the matrix as a
 * whole need never be in memory.
 */
import { closeSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { openInput, readFully } from './input-file.js';
import type { StoredMember } from './member-checksum.js';
import { type FloatType, float32Decoder, itemBytes, swapBytes } from './numbers.js';

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
      readonly type: FloatType;
      readonly littleEndian: boolean;
      /** Column-major. */
      readonly fortran: boolean;
      /** Each row follows an int32 that repeats d, as in `.fvecs`. */
      readonly dimBeforeRow?: boolean;
      /** The member of an archive that the matrix lies in. */
      readonly member?: StoredMember;
    }
  | { readonly kind: 'memory'; readonly name: string; readonly rows: SharedRowsHandle }
  | SomeRows;

/** Some rows of another matrix. */
export interface SomeRows {
  readonly kind: 'some';
  readonly name: string;
  readonly of: MatrixLocation;
  /** Their numbers, rising, in shared memory. */
  readonly rows: Int32Array;
}

/** Features that cannot be read by rows before `inflate` has put them into memory: deflated, or in a table. */
export interface DeflatedMatrix {
  readonly kind: 'deflated';
  readonly name: string;
  readonly rowCount: number;
  readonly dim: number;
  /** Puts all rows where they belong; they are zeros before. */
  fill(rows: RowTarget): Promise<void>;
}

/** Rows in memory that are to be filled: all of a matrix, or some that lie side by side. */
export type RowTarget = Pick<SharedRows, 'rowCount' | 'dim' | 'row' | 'eachRun'>;

export type FeatureLocation = MatrixLocation | DeflatedMatrix;

export function shapeOf(location: FeatureLocation): { readonly rowCount: number; readonly dim: number } {
  if (location.kind === 'some') return { rowCount: location.rows.length, dim: shapeOf(location.of).dim };
  return location.kind === 'memory' ? location.rows : location;
}

/** Reads rows [start, start + count) as float32 into out [count × d]. Values are as stored: not checked, not normalised. */
export interface RowReader {
  readonly rowCount: number;
  readonly dim: number;
  read(start: number, count: number, out: Float32Array): void;
  close(): void;
}

/** Bytes of a file, and where they lie. */
type BytesAt = (bytes: Uint8Array, position: number) => void;

/**
 * Opens a matrix for reading by rows, on any thread. Close it when done. `onBytes` hears of bytes of a file as they are
 * read, before anything is done with them. Throws BAD_INPUT.
 */
export function openRows(location: MatrixLocation, onBytes?: BytesAt): RowReader {
  if (location.kind === 'memory') return rowsInMemory(SharedRows.from(location.rows));
  if (location.kind === 'some') return someRows(location);
  const fd = openInput(location.path);
  const readerOf = location.fortran ? columnReader : location.dimBeforeRow ? vectorReader : elementReader;
  const read = readerOf(location, (bytes, position) => {
    readFully(fd, bytes, position, location.name);
    onBytes?.(bytes, position);
  });
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

/** Rows that lie side by side are read together. */
function someRows({ of, rows }: SomeRows): RowReader {
  const reader = openRows(of);
  const { dim } = reader;
  return {
    rowCount: rows.length,
    dim,
    read(start, count, out) {
      for (let i = 0; i < count; ) {
        const first = rows[start + i];
        let run = 1;
        while (i + run < count && rows[start + i + run] === first + run) run++;
        reader.read(first, run, out.subarray(i * dim, (i + run) * dim));
        i += run;
      }
    },
    close: () => reader.close(),
  };
}

/** Rows of a C-order file are one run of elements: float32 goes straight into `out`, other types through a scratch. */
function elementReader({ offset, type, littleEndian, dim }: FileLocation, fill: BytesAt): RowReader['read'] {
  const size = itemBytes(type);
  if (type === 'f4') {
    return (start, count, out) => {
      const bytes = new Uint8Array(out.buffer, out.byteOffset, count * dim * size);
      fill(bytes, offset + start * dim * size);
      if (!littleEndian) swapBytes(bytes, type);
    };
  }
  const scratch = new Uint8Array(scratchBytes);
  const decode = float32Decoder(type, scratch.buffer);
  return (start, count, out) => {
    for (let done = 0; done < count * dim; done += scratchBytes / size) {
      const bytes = scratch.subarray(0, Math.min(scratchBytes, (count * dim - done) * size));
      fill(bytes, offset + (start * dim + done) * size);
      if (!littleEndian) swapBytes(bytes, type);
      decode(0, bytes.length / size, out, done, 1);
    }
  };
}

/** Reads rows of float32 that each follow their dimension. Whole rows go through a scratch buffer, as many as fit. */
function vectorReader({ path, offset, dim }: FileLocation, fill: BytesAt): RowReader['read'] {
  const rowElements = dim + 1;
  const rowsAtOnce = Math.max(1, Math.floor(scratchBytes / (4 * rowElements)));
  const scratch = new Float32Array(rowsAtOnce * rowElements);
  const dims = new Int32Array(scratch.buffer);
  return (start, count, out) => {
    for (let done = 0; done < count; done += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, count - done);
      const first = start + done;
      const bytes = new Uint8Array(scratch.buffer, 0, rows * rowElements * 4);
      fill(bytes, offset + (first * rowElements - 1) * 4);
      for (let row = 0; row < rows; row++) {
        const at = row * rowElements;
        if (dims[at] !== dim) throw wrongDim(path, first + row, dims[at], dim);
        out.set(scratch.subarray(at + 1, at + rowElements), (done + row) * dim);
      }
    }
  };
}

/** A row of `.fvecs` or `.ivecs` that says another dimension than the first row. */
export function wrongDim(path: string, row: number, found: number, expected: number): NaanError {
  return new NaanError('BAD_INPUT', `${path}: row ${row} has ${found} values, expected ${expected} as row 0 has`);
}

/** A column of a Fortran-order file is one run of elements: the slice of each goes to every d-th place of `out`. */
function columnReader({ offset, type, littleEndian, dim, rowCount }: FileLocation, fill: BytesAt): RowReader['read'] {
  const size = itemBytes(type);
  const scratch = new Uint8Array(scratchBytes);
  const decode = float32Decoder(type, scratch.buffer);
  return (start, count, out) => {
    for (let c = 0; c < dim; c++) {
      for (let done = 0; done < count; done += scratchBytes / size) {
        const bytes = scratch.subarray(0, Math.min(scratchBytes, (count - done) * size));
        fill(bytes, offset + (c * rowCount + start + done) * size);
        if (!littleEndian) swapBytes(bytes, type);
        decode(0, bytes.length / size, out, done * dim + c, dim);
      }
    }
  };
}
