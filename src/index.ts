/** The public API: what the commands do, as functions. */

import type { KnnGraph } from './graph/knn-graph.js';
import { type FeatureSource, locateSource } from './io/feature-source.js';
import { type BuildKnnOptions, buildKnn as searchKnn } from './knn/exact.js';
import { type FindKnnOptions, type FoundKnn, findKnn as searchBy } from './knn/find.js';

export type { BackendName } from './backends/backend.js';
export { type ErrorCode, NaanError } from './errors.js';
export { type Agreement, type EvaluateOptions, type Evaluation, evaluate } from './evaluation/evaluate.js';
export type { PrecisionRecall } from './evaluation/precision-recall.js';
export { type SweepOptions, type SweepPoint, sweep } from './evaluation/sweep.js';
export { type CandidateEdges, edgesFromPairs } from './graph/candidate-edges.js';
export type { Embeddings, FeatureSource } from './io/feature-source.js';
export { readKnn } from './io/knn.js';
export { type Labels, nameOf } from './io/label-codes.js';
export { readLabels } from './io/labels.js';
export { type GenerateOptions, type GenerateSummary, generate } from './jobs/generate.js';
export { type LabelOptions, type LabelResult, type LabelSummary, label } from './jobs/label.js';
export { type TrainResult, type TrainSummary, train } from './jobs/train.js';
export { importCheckpoint } from './model/import-checkpoint.js';
export type { ConcatConfig, ModelConfig, NaanModel, PairwiseConfig, Tensor } from './model/model.js';
export { readModel, writeModel } from './model/model-file.js';
export type { ProgressEvent, ProgressListener } from './progress.js';
export type { TrainingReport } from './training/trained.js';
export type { BuildKnnOptions, FindKnnOptions, FoundKnn, KnnGraph };

/**
 * Exact kNN graph by cosine: the node itself in column 0, then its k nearest by falling cosine, ties by smaller id; the
 * same for any number of threads. `dim`: values a row, which a raw file does not say.
 * Throws BAD_INPUT, BAD_SHAPE, BAD_USAGE (k too large), or CANCELLED after an abort.
 */
export async function buildKnn(
  features: FeatureSource,
  options: BuildKnnOptions & { readonly dim?: number | undefined },
): Promise<KnnGraph> {
  return searchKnn(await locateSource(features, options.dim), options);
}

/**
 * kNN graph by cosine, as `buildKnn`, by a method that may be approximate: above some ten thousand rows much faster. Its
 * recall is measured on a sample; a search that misses `minRecall` (default 0.99) is made again with more effort.
 * Throws as `buildKnn`, and BACKEND_UNAVAILABLE for method `hnsw` where the package usearch is not installed.
 */
export async function findKnn(
  features: FeatureSource,
  options: FindKnnOptions & { readonly dim?: number | undefined },
): Promise<FoundKnn> {
  return searchBy(await locateSource(features, options.dim), options);
}
export type { TrainOptions } from './training/options.js';
