/** Whole arrays of files in memory, in C order whatever their order in the file. */
import { NaanError } from '../errors.js';
import { requireMemory } from '../memory/available.js';
import { formatOf } from './formats/formats.js';
import { parseInput } from './input-file.js';
import { elementText, float32Decoder, int32Decoder, isFloat } from './numbers.js';
import { readElements, type StoredNumbers } from './stored-array.js';
import { gatherStrided } from './strided.js';

export interface NumberArray<T extends Int32Array | Float32Array | Float64Array> {
  readonly shape: readonly number[];
  /** The elements in C order. */
  readonly data: T;
}

const windowBytes = 2 ** 22;

type ArrayOf<T> = { new (length: number): T; readonly BYTES_PER_ELEMENT: number };

/**
 * Reads integers of any type from `file` or `file:array`. `name` is the array's name where a file holds several.
 * Throws BAD_INPUT when the elements are floats or one is beyond int32.
 */
export async function readInt32Array(path: string, name = ''): Promise<NumberArray<Int32Array>> {
  const array = await findArray(path, name);
  return { shape: array.shape, data: await readInt32(array) };
}

/** Reads f2, f4 or f8 as float32. Throws BAD_INPUT when the elements are integers. */
export async function readFloat32Array(path: string, name = ''): Promise<NumberArray<Float32Array>> {
  const array = await findArray(path, name);
  const { type } = array;
  if (!isFloat(type)) throw wrongType(array, 'floats');
  const data = allocate(array, Float32Array);
  await readElements(array, windowBytes, (buffer, count, start) =>
    float32Decoder(type, buffer)(0, count, data, start, 1),
  );
  return { shape: array.shape, data: inCOrder(array, data) };
}

/** Reads f8 without loss. Throws BAD_INPUT for other types. */
export async function readFloat64Array(path: string, name = ''): Promise<NumberArray<Float64Array>> {
  const array = await findArray(path, name);
  if (array.type !== 'f8') throw wrongType(array, 'f8');
  const data = allocate(array, Float64Array);
  await readElements(array, windowBytes, (buffer, count, start) => data.set(new Float64Array(buffer, 0, count), start));
  return { shape: array.shape, data: inCOrder(array, data) };
}

function findArray(file: string, name: string): Promise<StoredNumbers> {
  const input = parseInput(file);
  return formatOf(input.path, 'array').array(input, name);
}

async function readInt32(array: StoredNumbers): Promise<Int32Array> {
  const { type, source } = array;
  if (isFloat(type)) throw wrongType(array, 'integers');
  const data = allocate(array, Int32Array);
  await readElements(array, windowBytes, (buffer, count, start) => {
    const decoded = int32Decoder(type, buffer)(0, count, data, start);
    if (decoded === count) return;
    const value = elementText(type, buffer, decoded);
    throw new NaanError(
      'BAD_INPUT',
      `${source.name}: element ${start + decoded} is ${value}, expected a 32-bit integer (${-(2 ** 31)}..${2 ** 31 - 1})`,
    );
  });
  return inCOrder(array, data);
}

function allocate<T>({ source, length, shape, fortran }: StoredNumbers, View: ArrayOf<T>): T {
  const copies = fortran && shape.length > 1 ? 2 : 1;
  requireMemory(copies * length * View.BYTES_PER_ELEMENT, `${source.name}: shape (${shape})`);
  try {
    return new View(length);
  } catch (cause) {
    throw new NaanError('OUT_OF_MEMORY', `${source.name}: memory for shape (${shape}) was refused`, { cause });
  }
}

function inCOrder<T extends Int32Array | Float32Array | Float64Array>({ fortran, shape }: StoredNumbers, data: T): T {
  if (!fortran || shape.length < 2) return data;
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  return gatherStrided(data, shape, strides, data.slice() as T);
}

function wrongType({ source, type }: StoredNumbers, expected: string): NaanError {
  return new NaanError('BAD_INPUT', `${source.name}: dtype ${type}, expected ${expected}`);
}
