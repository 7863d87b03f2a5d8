/** Features as callers give them: a file, or rows that are in memory already. */
import { NaanError } from '../errors.js';
import { SharedRows } from '../memory/shared-rows.js';
import { findFeatures } from './features.js';
import { checkDim, inflate } from './locate-matrix.js';
import type { FeatureLocation, MatrixLocation } from './matrix.js';

/** Rows in memory [n × dim]. */
export interface Embeddings {
  readonly rows: Float32Array;
  readonly dim: number;
}

/** A feature file, `file:array`, or a pattern; several of them, one a line; or rows in memory. */
export type FeatureSource = string | Embeddings;

/** Where the rows lie. `fileDim`: values a row of a file, which a raw one does not say. Rows in memory are copied once. */
export async function findSource(source: FeatureSource, fileDim?: number): Promise<FeatureLocation> {
  if (typeof source === 'string') return findFeatures(source, { dim: fileDim });
  const { rows, dim } = source;
  if (!(dim >= 1) || rows.length % dim !== 0) {
    throw new NaanError('BAD_SHAPE', `features in memory: ${rows.length} values, expected rows of dimension ${dim}`);
  }
  checkDim(dim, 'features in memory');
  const shared = SharedRows.allocate(rows.length / dim, dim);
  shared.eachRun(0, shared.rowCount, (view, first) => view.set(rows.subarray(first * dim, first * dim + view.length)));
  return { kind: 'memory', name: 'features in memory', rows: shared.handle() };
}

/** Finds features to be read by rows: deflated ones go into memory. Throws OUT_OF_MEMORY when it has no room for them. */
export async function locateSource(source: FeatureSource, fileDim?: number): Promise<MatrixLocation> {
  return inflate(await findSource(source, fileDim));
}
