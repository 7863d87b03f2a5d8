/** Feature files: `.npz` with `embs` [n × d] and maybe `labels` [n], `.npy` [n × d], or raw float32 with a given d. */
import { NaanError } from '../errors.js';
import { SharedRows } from '../memory/shared-rows.js';
import { readInt32 } from './arrays.js';
import { inputSize } from './input-file.js';
import type { MatrixLocation } from './matrix.js';
import { findArray, listArrays, type NpyArray, readElements, readHeader, sniffFormat } from './npy.js';
import { type FloatType, float32Decoder, isFloat } from './numbers.js';

export interface Features {
  readonly location: MatrixLocation;
  /** Identity of each row, when the file has them. */
  readonly labels?: Int32Array;
}

/**
 * Finds the features in a file without reading them: only headers, and labels. Deflated features alone are read, into
 * shared memory, as they cannot be read by rows. `dim` is needed for raw `.bin`, and otherwise checked when given.
 * Throws BAD_INPUT (damaged, truncated, wrong type), BAD_SHAPE, or BAD_USAGE when `dim` is missing.
 */
export async function locateFeatures(path: string, options: { dim?: number | undefined } = {}): Promise<Features> {
  if (path.endsWith('.bin')) return { location: rawMatrix(path, options.dim) };
  const array = await findArray(path, ['embs']);
  const [rowCount, dim] = checkMatrix(array, options.dim);
  const location = await locate(array, rowCount, dim);
  const labels = sniffFormat(path) === 'npz' ? (await listArrays(path)).get('labels') : undefined;
  if (!labels) return { location };
  return { location, labels: await readFeatureLabels(await readHeader(labels), rowCount) };
}

function rawMatrix(path: string, dim: number | undefined): MatrixLocation {
  if (dim === undefined)
    throw new NaanError('BAD_USAGE', `${path}: raw float32 does not say its dimension: give --dim`);
  const size = inputSize(path);
  if (size === 0 || size % (4 * dim) !== 0) {
    throw new NaanError(
      'BAD_SHAPE',
      `${path}: ${size} bytes, expected rows of ${4 * dim} (float32 × dimension ${dim})`,
    );
  }
  const rowCount = size / (4 * dim);
  return { kind: 'file', path, name: path, offset: 0, rowCount, dim, type: 'f4', littleEndian: true, fortran: false };
}

function checkMatrix({ source, shape, type }: NpyArray, expectedDim: number | undefined): readonly number[] {
  if (!isFloat(type)) {
    throw new NaanError('BAD_INPUT', `${source.name}: dtype ${type}, expected features of f2, f4 or f8`);
  }
  if (shape.length !== 2 || shape[0] === 0 || shape[1] === 0) {
    throw new NaanError('BAD_SHAPE', `${source.name}: shape (${shape}), expected features [n × d]`);
  }
  if (expectedDim !== undefined && shape[1] !== expectedDim) {
    throw new NaanError('BAD_SHAPE', `${source.name}: dimension ${shape[1]}, expected ${expectedDim}`);
  }
  return shape;
}

async function locate(array: NpyArray, rowCount: number, dim: number): Promise<MatrixLocation> {
  const { source, dataStart, littleEndian, fortran } = array;
  const type = array.type as FloatType;
  if (source.deflatedLength !== undefined) return await inflate(array, type, rowCount, dim);
  const { path, name } = source;
  return { kind: 'file', path, name, offset: source.offset + dataStart, rowCount, dim, type, littleEndian, fortran };
}

/** Deflated elements go window by window to where they belong: nothing but the matrix itself is ever in memory whole. */
async function inflate(array: NpyArray, type: FloatType, rowCount: number, dim: number): Promise<MatrixLocation> {
  const { fortran } = array;
  const rows = SharedRows.allocate(rowCount, dim);
  // In C order a line is a row; in Fortran order it is a column, whose elements go d places apart.
  const lineLength = fortran ? rowCount : dim;
  await readElements(array, 2 ** 22, (buffer, count, first) => {
    const decode = float32Decoder(type, buffer);
    for (let done = 0; done < count; ) {
      const line = Math.floor((first + done) / lineLength);
      const within = first + done - line * lineLength;
      const length = Math.min(count - done, lineLength - within);
      if (fortran) {
        rows.eachRun(within, length, (run, row) => decode(done + row - within, run.length / dim, run, line, dim));
      } else {
        decode(done, length, rows.row(line), within, 1);
      }
      done += length;
    }
  });
  return { kind: 'memory', name: array.source.name, rows: rows.handle() };
}

async function readFeatureLabels(array: NpyArray, rowCount: number): Promise<Int32Array> {
  const { source, shape, type, length } = array;
  if (isFloat(type)) throw new NaanError('BAD_INPUT', `${source.name}: dtype ${type}, expected integer labels`);
  if (length !== rowCount || shape[0] !== rowCount) {
    throw new NaanError(
      'BAD_SHAPE',
      `${source.name}: shape (${shape}), expected one label for each of ${rowCount} rows`,
    );
  }
  return await readInt32(array);
}
