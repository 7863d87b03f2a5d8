/**
 * Raw little-endian float32, row after row, as learn-to-cluster keeps features: in features/NAME.bin, with identities in
 * labels/NAME.meta. No bytes say so: the user does, by --dim.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { NaanError } from '../../errors.js';
import { inputSize } from '../input-file.js';
import { readLabelText } from '../label-text.js';
import { checkDim } from '../locate-matrix.js';
import type { Format } from './format.js';

/** The text of identities that belongs to a file of features: beside it, or in `labels` beside its folder. */
function metaOf(path: string): string | undefined {
  const name = `${basename(path, '.bin')}.meta`;
  const places = [join(dirname(path), name), join(dirname(path), '..', 'labels', name)];
  return path.endsWith('.bin') ? places.find((place) => existsSync(place)) : undefined;
}

export const raw: Format = {
  name: 'no known kind of file, nor UTF-8 text',
  claims: () => true,
  labelsBeside: async (path) => {
    const meta = metaOf(path);
    return meta === undefined ? undefined : readLabelText({ path: meta });
  },
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
