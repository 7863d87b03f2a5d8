/** An array as features: where its rows lie, for readers on any thread. */
import { NaanError } from '../errors.js';
import { gib, usableBytes } from '../memory/available.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { FeatureLocation, MatrixLocation, RowTarget } from './matrix.js';
import { type FloatType, float32Decoder, isFloat } from './numbers.js';
import { readElements, type StoredNumbers } from './stored-array.js';

/** Finds the rows of an array [n × d] without reading them. Throws BAD_INPUT for elements that are no floats, BAD_SHAPE. */
export function locateMatrix(array: StoredNumbers): FeatureLocation {
  const { source, dataStart, shape, type, littleEndian, fortran, dimBeforeRow } = array;
  if (!isFloat(type)) {
    throw new NaanError('BAD_INPUT', `${source.name}: dtype ${type}, expected features of f2, f4 or f8`);
  }
  if (shape.length !== 2 || shape[0] === 0 || shape[1] === 0) {
    throw new NaanError('BAD_SHAPE', `${source.name}: shape (${shape}), expected features [n × d]`);
  }
  const [rowCount, dim] = shape;
  checkDim(dim, source.name);
  const { path, name, offset: start, crc32 } = source;
  if (source.deflatedLength !== undefined) {
    return { kind: 'deflated', name, rowCount, dim, fill: (rows) => inflateRows({ ...array, type }, rows) };
  }
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
    ...(crc32 !== undefined && { member: { start, end: start + source.length, crc32 } }),
  };
}

/** Embeddings of faces have some hundred values; what has far more is another array, and a row of it could fill the memory. */
const maxDims = 2 ** 16;

/** Throws BAD_SHAPE for more values a row than features have. */
export function checkDim(dim: number, name: string): void {
  if (dim > maxDims) throw new NaanError('BAD_SHAPE', `${name}: dimension ${dim}, expected at most ${maxDims}`);
}

/** What to do about features that are too large to be inflated. */
export const storeUncompressed = 'store them uncompressed, with numpy.savez, to be read in place';

/**
 * The location with deflated features in shared memory as float32, which nothing else can read by rows. `room`: bytes that
 * they may take, by default most of what is free. Throws OUT_OF_MEMORY when they take more, BAD_INPUT when they are damaged.
 */
export async function inflate(location: FeatureLocation, room = usableBytes()): Promise<MatrixLocation> {
  if (location.kind !== 'deflated') return location;
  const { name, rowCount, dim } = location;
  const bytes = 4 * rowCount * dim;
  if (bytes > room) {
    throw new NaanError(
      'OUT_OF_MEMORY',
      `${name}: is compressed or a table, so its features must be put into ${gib(bytes)} GiB of memory, but ` +
        `${gib(room)} GiB may be taken: ${storeUncompressed}`,
    );
  }
  const rows = SharedRows.allocate(rowCount, dim);
  await location.fill(rows);
  return { kind: 'memory', name, rows: rows.handle() };
}

/** Deflated elements go window by window to where they belong: nothing but the matrix itself is ever in memory whole. */
async function inflateRows(array: StoredNumbers & { readonly type: FloatType }, rows: RowTarget): Promise<void> {
  const { fortran, type } = array;
  const { rowCount, dim } = rows;
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
}
