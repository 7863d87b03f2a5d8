/** An array as a file holds it: what it is, and where its elements lie. Nothing of it is read yet. */
import { NaanError } from '../errors.js';
import { type ByteSource, readWindows } from './byte-source.js';
import { quoted } from './messages.js';
import { itemBytes, type NumberType, swapBytes } from './numbers.js';

export interface StoredArray {
  /** The file or member that holds the array; its elements start `dataStart` bytes into it. */
  readonly source: ByteSource;
  readonly dataStart: number;
  /** Type of the elements as the file names it, such as `<f4`, `<U3` or `BF16`. */
  readonly dtype: string;
  /** Absent when the elements are no numbers. */
  readonly type?: NumberType | undefined;
  readonly littleEndian: boolean;
  /** Column-major. */
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Elements from `dataStart` on: the product of the shape, and with `dimBeforeRow` one more for each row. */
  readonly length: number;
  /** The elements of each row [n × d] follow an int32 that repeats d, as in `.fvecs`. Little-endian, not fortran. */
  readonly dimBeforeRow?: boolean;
}

export interface StoredNumbers extends StoredArray {
  readonly type: NumberType;
}

/** The array, once it is known to be of numbers and all there. Throws BAD_INPUT. */
export function checkNumbers(array: StoredArray): StoredNumbers {
  const { source, dtype, type } = array;
  if (type === undefined) {
    const found = dtype === 'records' ? 'of records' : quoted(dtype);
    throw new NaanError('BAD_INPUT', `${source.name}: dtype ${found}, expected a number type such as '<f4' or '<i8'`);
  }
  checkWhole(array, itemBytes(type));
  return { ...array, type };
}

/** Throws BAD_INPUT unless all elements of an array are in its file. */
export function checkWhole({ source, dataStart, length, shape }: StoredArray, elementBytes: number): void {
  const needed = dataStart + length * elementBytes;
  if (needed > source.length) {
    throw new NaanError(
      'BAD_INPUT',
      `${source.name}: ${source.length} bytes, expected ${needed} for shape (${shape}): it is truncated`,
    );
  }
}

/**
 * Reads the elements of an array in file order. `visit` gets a buffer of `count` little-endian elements from its byte 0,
 * the first of them being element `start`; all but the last come by windowBytes (a multiple of the element's size).
 */
export async function readElements(
  { source, dataStart, type, littleEndian, length }: StoredNumbers,
  windowBytes: number,
  visit: (buffer: ArrayBuffer, count: number, start: number) => void | Promise<void>,
): Promise<void> {
  const size = itemBytes(type);
  await readWindows(source, dataStart, windowBytes, async (window, byteStart) => {
    const start = byteStart / size;
    const count = Math.min(Math.floor(window.length / size), length - start); // bytes may follow the array
    if (count <= 0) return;
    if (!littleEndian) swapBytes(window.subarray(0, count * size), type);
    await visit(window.buffer, count, start);
  });
}
