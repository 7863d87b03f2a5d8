/** Feature files: n × d numbers in any format that has `features` (see formats/formats.ts). */
import { NaanError } from '../errors.js';
import { formatOf } from './formats/formats.js';
import { inputsOf, parseInput } from './input-file.js';
import { inflate } from './locate-matrix.js';
import { type FeatureLocation, type MatrixLocation, shapeOf } from './matrix.js';
import { oneLine } from './messages.js';
import { joinFeatures } from './several-files.js';

interface FeatureOptions {
  readonly dim?: number | undefined;
}

/**
 * Finds the features in `file`, `file:array`, or the files of a pattern or of several lines, without reading them, only headers. `dim` is needed for raw files, and
 * otherwise checked when given.
 * Throws BAD_INPUT (damaged, truncated, wrong type), BAD_SHAPE, or BAD_USAGE when `dim` is missing.
 */
export async function findFeatures(file: string, options: FeatureOptions = {}): Promise<FeatureLocation> {
  const files = inputsOf(file);
  const parts: FeatureLocation[] = [];
  for (const one of files) {
    const input = parseInput(one);
    parts.push(await formatOf(input.path, 'features').features(input, options.dim));
  }
  const location = parts.length === 1 ? parts[0] : joinFeatures(oneLine(file), parts);
  const { dim } = shapeOf(location);
  if (options.dim !== undefined && dim !== options.dim) {
    throw new NaanError('BAD_SHAPE', `${location.name}: dimension ${dim}, expected ${options.dim}`);
  }
  return location;
}

/** Finds features to be read by rows: deflated ones go into shared memory. Throws OUT_OF_MEMORY when it has no room for them. */
export async function locateFeatures(file: string, options: FeatureOptions = {}): Promise<MatrixLocation> {
  return inflate(await findFeatures(file, options));
}
