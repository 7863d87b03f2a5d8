/** NumPy arrays in: the header of `.npy` (format versions 1, 2 and 3), and arrays of `.npy` and `.npz` files. */
import { NaanError } from '../errors.js';
import { type ByteSource, readHead, readWindows, wholeFile } from './byte-source.js';
import { readStart } from './input-file.js';
import { quoted } from './messages.js';
import { itemBytes, type NumberType, swapBytes } from './numbers.js';
import { listZip } from './zip.js';

/** One array: its header and where its bytes are. */
export interface NpyArray {
  /** Where the array's file or member lies; its elements start `dataStart` bytes into it. */
  readonly source: ByteSource;
  readonly dataStart: number;
  readonly type: NumberType;
  readonly littleEndian: boolean;
  /** Column-major. */
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Product of the shape. */
  readonly length: number;
}

/** `.npy`, `.npz` by their first bytes; everything else is `other`. */
export function sniffFormat(path: string): 'npy' | 'npz' | 'other' {
  const start = Buffer.from(readStart(path, 6)).toString('latin1');
  if (start === '\x93NUMPY') return 'npy';
  return start.startsWith('PK\x03\x04') || start.startsWith('PK\x05\x06') ? 'npz' : 'other';
}

/**
 * Finds an array: the one of a `.npy`, or of an `.npz` the first member that `names` lists.
 * Throws BAD_INPUT when the file is neither, is damaged or truncated, or has no such member.
 */
export async function findArray(path: string, names: readonly string[]): Promise<NpyArray> {
  const format = sniffFormat(path);
  if (format === 'npy') return readHeader(wholeFile(path));
  if (format === 'other') throw new NaanError('BAD_INPUT', `${path}: is neither .npy nor .npz by its first bytes`);
  const members = await listArrays(path);
  for (const name of names) {
    const source = members.get(name);
    if (source) return await readHeader(source);
  }
  const wanted = names.map(quoted).join(' or ');
  const found = [...members.keys()].slice(0, 20).map(quoted).join(', ') || 'none';
  throw new NaanError('BAD_INPUT', `${path}: has no array ${wanted}, found: ${found}`);
}

/** Arrays of an `.npz` by name, without `.npy`. */
export async function listArrays(path: string): Promise<Map<string, ByteSource>> {
  const arrays = new Map<string, ByteSource>();
  for (const [name, source] of await listZip(path)) {
    if (name.endsWith('.npy')) arrays.set(name.slice(0, -4), { ...source, name: source.name.slice(0, -4) });
  }
  return arrays;
}

/** Reads the header of one array and checks that its elements are there. Throws BAD_INPUT. */
export async function readHeader(source: ByteSource): Promise<NpyArray> {
  const fixed = Buffer.from(await readHead(source, 12));
  const bad = (what: string) => new NaanError('BAD_INPUT', `${source.name}: ${what}`);
  if (fixed.length < 10 || fixed.toString('latin1', 0, 6) !== '\x93NUMPY') throw bad('does not start like a .npy file');
  const version = fixed[6];
  if (version < 1 || version > 3) throw bad(`.npy format version ${version}, expected 1, 2 or 3`);
  if (version > 1 && fixed.length < 12) throw bad('ends within its header: it is truncated');
  const textStart = version === 1 ? 10 : 12;
  const dataStart = textStart + (version === 1 ? fixed.readUInt16LE(8) : fixed.readUInt32LE(8));
  if (dataStart > source.length) throw bad('ends within its header: it is truncated');
  if (dataStart > 2 ** 20) throw bad(`header of ${dataStart} bytes, expected a plain array`);
  const text = Buffer.from(await readHead(source, dataStart)).toString('latin1', textStart);

  const [, , descr] = /(['"])descr\1\s*:\s*(['"].*?['"]|\[)/.exec(text) ?? [];
  const [, , order] = /(['"])fortran_order\1\s*:\s*(True|False)/.exec(text) ?? [];
  const [, , sizes] = /(['"])shape\1\s*:\s*\(([\d\sL,]*)\)/.exec(text) ?? [];
  if (descr === undefined || order === undefined || sizes === undefined)
    throw bad(`header not understood: ${quoted(text.trimEnd())}`);
  const [, byteOrder, kind, bytes] = /^['"]([<>=|]?)([fiu])([1248])['"]$/.exec(descr) ?? [];
  if (kind === undefined || (kind === 'f' && bytes === '1')) {
    throw bad(
      `dtype ${descr === '[' ? 'of records' : quoted(descr.slice(1, -1))}, expected a number type such as '<f4' or '<i8'`,
    );
  }
  const shape = sizes.match(/\d+/g)?.map(Number) ?? [];
  const length = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(length * 8)) throw bad(`shape (${shape}) is too large`);
  const needed = dataStart + length * Number(bytes);
  if (needed > source.length) {
    throw bad(`${source.length} bytes, expected ${needed} for shape (${shape}): it is truncated`);
  }
  return {
    source,
    dataStart,
    type: (kind + bytes) as NumberType,
    littleEndian: byteOrder !== '>',
    fortran: order === 'True',
    shape,
    length,
  };
}

/**
 * Reads the elements of an array in file order. `visit` gets a buffer of `count` little-endian elements from its byte 0,
 * the first of them being element `start`; all but the last come by windowBytes (a multiple of the element's size).
 */
export async function readElements(
  { source, dataStart, type, littleEndian, length }: NpyArray,
  windowBytes: number,
  visit: (buffer: ArrayBuffer, count: number, start: number) => void,
): Promise<void> {
  const size = itemBytes(type);
  await readWindows(source, dataStart, windowBytes, (window, byteStart) => {
    const start = byteStart / size;
    const count = Math.min(Math.floor(window.length / size), length - start); // bytes may follow the array
    if (count <= 0) return;
    if (!littleEndian) swapBytes(window.subarray(0, count * size), type);
    visit(window.buffer, count, start);
  });
}
