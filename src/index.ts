/** The public API: what the commands do, as functions. */

export type { BackendName } from './backends/backend.js';
export { type Embeddings, type LabelOptions, type LabelResult, type LabelSummary, label } from './engine/label.js';
export { type ErrorCode, NaanError } from './errors.js';
export type { KnnGraph } from './graph/knn-graph.js';
export { importCheckpoint } from './model/import-checkpoint.js';
export type { ModelConfig, NaanModel, Tensor } from './model/model.js';
export { readModel, writeModel } from './model/model-file.js';
export type { ProgressEvent, ProgressListener } from './progress.js';
