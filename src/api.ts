/** Functions of the public API that no command has a job for. */
import { type FeatureSource, locateSource } from './io/feature-source.js';
import { type FindKnnOptions, type FoundKnn, findKnn } from './knn/find.js';
import { devicesForKnn, type KnnComputing } from './machine/choose-knn.js';

export interface KnnOptions extends Omit<FindKnnOptions, 'onDevices'>, KnnComputing {
  /** Values of a row, which a raw file does not say. */
  readonly dim?: number | undefined;
}

/**
 * The kNN graph of features by cosine: the node itself in column 0, then its k nearest by falling cosine, ties by smaller id.
 * `method: 'exact'` gives the exact graph, the same for any number of threads. Other methods may miss neighbours; above some ten
 * thousand rows they are much faster. Their recall is measured on a sample, and a search that misses `minRecall` (default
 * 0.99) is made again with more effort. Throws BAD_INPUT, BAD_SHAPE, BAD_USAGE (k too large), CANCELLED after an abort, and
 * BACKEND_UNAVAILABLE for method `hnsw` where the package usearch is not installed.
 */
export async function knn(features: FeatureSource, options: KnnOptions = {}): Promise<FoundKnn> {
  const located = await locateSource(features, options.dim);
  return findKnn(located, { ...options, onDevices: await devicesForKnn(located, options, options) });
}
