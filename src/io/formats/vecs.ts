/**
 * faiss's and TEXMEX's `.fvecs` and `.ivecs`: each row is its length d (int32) and d values, float32 or int32, all
 * little-endian. Values alone do not distinguish the two: features are read from the one, a graph from the other.
 * Format: http://corpus-texmex.irisa.fr/, "Vector File Formats".
 */
import { extname } from 'node:path';
import { NaanError } from '../../errors.js';
import { wholeFile } from '../byte-source.js';
import { readStart } from '../input-file.js';
import { locateMatrix } from '../locate-matrix.js';
import type { StoredNumbers } from '../stored-array.js';
import type { Format, Sniffed } from './format.js';

const maxDims = 2 ** 20;
const rowsLookedAt = 16;

export const vecs: Format = {
  name: 'an .fvecs or .ivecs file',
  claims,
  features: async ({ path }) => locateMatrix(rowsOf(path, 'f4')),
  graph: async ({ path }) => rowsOf(path, 'i4'),
};

/** Whether rows all over the file start with the same length, or its name claims so: then reading it says what is wrong. */
function claims({ path, size, start, read }: Sniffed): boolean {
  if (isNamed(path)) return true;
  const dim = dimAt(start);
  const rowBytes = 4 + 4 * dim;
  if (!(dim >= 1 && dim <= maxDims) || size % rowBytes !== 0) return false;
  const rowCount = size / rowBytes;
  const looked = Math.min(rowCount, rowsLookedAt);
  for (let i = 1; i <= looked; i++) {
    if (dimAt(read((Math.floor((i * rowCount) / looked) - 1) * rowBytes, 4)) !== dim) return false;
  }
  return true;
}

function rowsOf(path: string, type: 'f4' | 'i4'): StoredNumbers {
  const expected = type === 'f4' ? '.fvecs' : '.ivecs';
  if (isNamed(path) && extname(path) !== expected) {
    throw new NaanError('BAD_INPUT', `${path}: expected ${type === 'f4' ? 'features' : 'a kNN graph'} as ${expected}`);
  }
  const source = wholeFile(path);
  const dim = dimAt(readStart(path, 4));
  const rowBytes = 4 + 4 * dim;
  if (!(dim >= 1 && dim <= maxDims) || source.length % rowBytes !== 0) {
    const rows = `rows of a dimension (int32) and as many values`;
    throw new NaanError('BAD_INPUT', `${path}: ${source.length} bytes, the first dimension ${dim}, expected ${rows}`);
  }
  const rowCount = source.length / rowBytes;
  return {
    source,
    dataStart: 0,
    dtype: type,
    type,
    littleEndian: true,
    fortran: false,
    shape: [rowCount, dim],
    length: rowCount * (dim + 1),
    dimBeforeRow: true,
  };
}

function isNamed(path: string): boolean {
  return extname(path) === '.fvecs' || extname(path) === '.ivecs';
}

/** NaN when there are no four bytes. */
function dimAt(bytes: Uint8Array): number {
  return bytes.length < 4 ? Number.NaN : new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
}
