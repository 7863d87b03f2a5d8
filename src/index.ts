/** The public API: what the commands do, as functions. docs/library.md shows them at work. */
export { type KnnOptions, knn } from './api.js';
export type { BackendName } from './backends/names.js';
export type { Change, Identities } from './cluster/identities.js';
export type { Partition } from './cluster/partition.js';
export { type ErrorCode, NaanError } from './errors.js';
export { type Agreement, type EvaluateOptions, type Evaluation, evaluate } from './evaluation/evaluate.js';
export type { PrecisionRecall } from './evaluation/precision-recall.js';
export { type SweepOptions, type SweepPoint, sweep } from './evaluation/sweep.js';
export { type CandidateEdges, edgesFromPairs } from './graph/candidate-edges.js';
export type { KnnGraph } from './graph/knn-graph.js';
export {
  appendDecisions,
  type Decision,
  type DecisionAt,
  type Item,
  inForce,
  readDecisions,
  type Statement,
} from './io/decisions.js';
export type { Embeddings, FeatureSource } from './io/feature-source.js';
export { type ReadKnnOptions, readKnn } from './io/knn.js';
export { type Labels, nameOf } from './io/label-codes.js';
export { readLabels } from './io/labels.js';
export { type AddOptions, add } from './jobs/add.js';
export { type AssignOptions, type AssignResult, type AssignSummary, assign } from './jobs/assign.js';
export { type ClusterOptions, cluster, type ScoredPairs } from './jobs/cluster.js';
export { type Diagnosis, type DoctorOptions, diagnose } from './jobs/doctor.js';
export { type ExportOptions, type ExportSummary, exportSet } from './jobs/export.js';
export { type ExtractOptions, type ExtractSummary, extract } from './jobs/extract.js';
export { type GenerateOptions, type GenerateSummary, generate } from './jobs/generate.js';
export { type LabelOptions, type LabelResult, type LabelSummary, type LabelTrust, label } from './jobs/label.js';
export type { RunRecord } from './jobs/label-files.js';
export type { NextRunOptions, NextRunResult, NextRunSummary } from './jobs/next-run.js';
export { type RemoveOptions, remove } from './jobs/remove.js';
export { type TrainResult, type TrainSummary, train } from './jobs/train.js';
export type { DecidedComparison } from './jobs/train-decisions.js';
export type { FoundKnn } from './knn/find.js';
export type { ConcatConfig } from './model/concat.js';
export { importCheckpoint } from './model/import-checkpoint.js';
export type { ConcatModel, ModelConfig, NaanModel, PairwiseModel, Tensor } from './model/model.js';
export { readModel, writeModel } from './model/model-file.js';
export type { PairwiseConfig } from './model/pairwise.js';
export type { ProgressEvent, ProgressListener } from './progress.js';
export type { TrainOptions } from './training/options.js';
export type { TrainingReport } from './training/trained.js';
export { type TuneOptions, type TuneResult, tune } from './tuning/tune.js';
