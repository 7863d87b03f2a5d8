/** Raw little-endian float32, row after row, as learn-to-cluster keeps features. No bytes say so: the user does, by --dim. */
import { NaanError } from '../../errors.js';
import { inputSize } from '../input-file.js';
import { checkDim } from '../locate-matrix.js';
import type { Format } from './format.js';

export const raw: Format = {
  name: 'no known kind of file, nor UTF-8 text',
  claims: () => true,
  features: async ({ path }, dim) => {
    if (dim === undefined) {
      throw new NaanError(
        'BAD_USAGE',
        `${path}: is no known kind of file by its bytes: if it is raw float32, which does not say its dimension, give --dim`,
      );
    }
    checkDim(dim, path);
    const size = inputSize(path);
    if (size % (4 * dim) !== 0) {
      throw new NaanError(
        'BAD_SHAPE',
        `${path}: ${size} bytes, expected rows of ${4 * dim} (raw float32 × dimension ${dim})`,
      );
    }
    const rowCount = size / (4 * dim);
    return { kind: 'file', path, name: path, offset: 0, rowCount, dim, type: 'f4', littleEndian: true, fortran: false };
  },
};
