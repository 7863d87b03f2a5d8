/** An array as features: where its rows lie, for readers on any thread. */
import { NaanError } from '../errors.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { MatrixLocation } from './matrix.js';
import { type FloatType, float32Decoder, isFloat } from './numbers.js';
import { readElements, type StoredNumbers } from './stored-array.js';

/**
 * Finds the rows of an array [n × d] without reading them. Deflated ones alone are read, into shared memory, as they
 * cannot be read by rows. Throws BAD_INPUT for elements that are no floats, BAD_SHAPE.
 */
export async function locateMatrix(array: StoredNumbers): Promise<MatrixLocation> {
  const { source, dataStart, shape, type, littleEndian, fortran, dimBeforeRow } = array;
  if (!isFloat(type)) {
    throw new NaanError('BAD_INPUT', `${source.name}: dtype ${type}, expected features of f2, f4 or f8`);
  }
  if (shape.length !== 2 || shape[0] === 0 || shape[1] === 0) {
    throw new NaanError('BAD_SHAPE', `${source.name}: shape (${shape}), expected features [n × d]`);
  }
  const [rowCount, dim] = shape;
  if (source.deflatedLength !== undefined) return await inflate(array, type, rowCount, dim);
  const { path, name } = source;
  return {
    kind: 'file',
    path,
    name,
    offset: source.offset + dataStart + (dimBeforeRow ? 4 : 0),
    rowCount,
    dim,
    type,
    littleEndian,
    fortran,
    ...(dimBeforeRow && { dimBeforeRow }),
  };
}

/** Deflated elements go window by window to where they belong: nothing but the matrix itself is ever in memory whole. */
async function inflate(array: StoredNumbers, type: FloatType, rowCount: number, dim: number): Promise<MatrixLocation> {
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
