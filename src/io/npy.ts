/** NumPy's array files: the header of `.npy` (format versions 1, 2 and 3). */
import { NaanError } from '../errors.js';
import { type ByteSource, readHead } from './byte-source.js';
import { quoted } from './messages.js';
import type { NumberType } from './numbers.js';
import type { StoredArray } from './stored-array.js';

const magic = '\x93NUMPY';
/** Headers of plain arrays take some hundred bytes; NumPy itself has no more than 64 axes. */
const maxHeaderBytes = 2 ** 16;
const maxAxes = 64;

/** Whether a file that starts with these bytes is a `.npy`. */
export function isNpy(start: Uint8Array): boolean {
  return Buffer.from(start.subarray(0, magic.length)).toString('latin1') === magic;
}

/** Reads the header of an array, of whatever elements. Throws BAD_INPUT. */
export async function readHeader(source: ByteSource): Promise<StoredArray> {
  const fixed = Buffer.from(await readHead(source, 12));
  const bad = (what: string) => new NaanError('BAD_INPUT', `${source.name}: ${what}`);
  if (fixed.length < 10 || !isNpy(fixed)) throw bad('does not start like a .npy file');
  const version = fixed[6];
  if (version < 1 || version > 3) throw bad(`.npy format version ${version}, expected 1, 2 or 3`);
  if (version > 1 && fixed.length < 12) throw bad('ends within its header: it is truncated');
  const textStart = version === 1 ? 10 : 12;
  const dataStart = textStart + (version === 1 ? fixed.readUInt16LE(8) : fixed.readUInt32LE(8));
  if (dataStart > source.length) throw bad('ends within its header: it is truncated');
  if (dataStart > maxHeaderBytes) throw bad(`header of ${dataStart} bytes, expected at most ${maxHeaderBytes}`);
  const text = Buffer.from(await readHead(source, dataStart)).toString('latin1', textStart);

  const [, , descr] = /(['"])descr\1\s*:\s*(['"].*?['"]|\[)/.exec(text) ?? [];
  const [, , order] = /(['"])fortran_order\1\s*:\s*(True|False)/.exec(text) ?? [];
  const [, , sizes] = /(['"])shape\1\s*:\s*\(([\d\sL,]*)\)/.exec(text) ?? [];
  if (descr === undefined || order === undefined || sizes === undefined)
    throw bad(`header not understood: ${quoted(text.trimEnd())}`);
  const dtype = descr === '[' ? 'records' : descr.slice(1, -1);
  const shape = sizes.match(/\d+/g)?.map(Number) ?? [];
  if (shape.length > maxAxes) throw bad(`shape of ${shape.length} axes, expected at most ${maxAxes}`);
  // Zeros are left out of the product: a shape without elements may still be larger than any memory.
  const extent = shape.reduce((product, size) => product * (size || 1), 1);
  if (!Number.isSafeInteger(extent * 8)) throw bad(`shape (${shape}) is too large`);
  const length = shape.includes(0) ? 0 : extent;
  return {
    source,
    dataStart,
    dtype,
    type: numberTypeOf(dtype),
    littleEndian: dtype[0] !== '>',
    fortran: order === 'True',
    shape,
    length,
  };
}

function numberTypeOf(dtype: string): NumberType | undefined {
  const [, type] = /^[<>=|]?([fiu][1248])$/.exec(dtype) ?? [];
  return type === 'f1' ? undefined : (type as NumberType | undefined);
}
