/** From a labelled set to a calibrated model. */
import { dirname, join } from 'node:path';
import type { Partition } from '../cluster/partition.js';
import { type FeatureSource, locateSource, shapeOf } from '../engine/feature-source.js';
import { NaanError } from '../errors.js';
import type { PrecisionRecall } from '../evaluation/precision-recall.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { digestFile } from '../io/digest.js';
import { locateFeatures } from '../io/features.js';
import { readKnn } from '../io/knn.js';
import { readLabels } from '../io/labels.js';
import type { MatrixLocation } from '../io/matrix.js';
import { checkWritableDirectory, prepareOutput, writeJson, writeText } from '../io/output-file.js';
import type { ConcatConfig, ModelConfig, NaanModel } from '../model/model.js';
import { writeModel } from '../model/model-file.js';
import type { ProgressListener } from '../progress.js';
import { version } from '../version.js';
import { checkpointPath, removeCheckpoint } from './checkpoint.js';
import { type ConcatSettings, type TrainedEpoch, trainConcat } from './concat-training.js';
import { labellingHops, trainingDefaults } from './defaults.js';
import { plotTraining } from './plot.js';
import type { TrainingObserver } from './training-observer.js';
import { checkPairs, loadTrainingSet } from './training-set.js';

export interface TrainOptions {
  readonly features: FeatureSource;
  /** Values a row of a raw `.bin` feature file. */
  readonly dim?: number | undefined;
  /** Identity of each row, −1 where not known: a file, or in memory. Default: `labels` of the feature file. */
  readonly labels?: string | Int32Array | undefined;
  /** kNN file, or a graph such as `buildKnn` returns. */
  readonly knn: string | KnnGraph;
  /** Model file to write; beside it a history, a plot and, while training lasts, a checkpoint. Without it nothing is written. */
  readonly out?: string | undefined;
  /** Default `concat`. */
  readonly head?: 'concat' | undefined;
  /** Neighbours of hop one and hop two in training; default: 100 and 10 as published, or as many as the lists hold. */
  readonly kHops?: readonly [number, number] | undefined;
  /** Pairs go to this many nearest neighbours; default: 120 as published, or as many as the lists hold. */
  readonly sampleHops?: number | undefined;
  /** Attention heads; default 1. */
  readonly heads?: number | undefined;
  /** Slope of LeakyReLU below zero; default 0.2. */
  readonly alpha?: number | undefined;
  /** Of Adam in the first epoch, multiplied by `lrDecay` after each; default 0.002 and 0.1. */
  readonly lr?: number | undefined;
  readonly lrDecay?: number | undefined;
  /** L2; default 5e-4. */
  readonly weightDecay?: number | undefined;
  /** Largest norm of the gradient of all parameters together; default 2. */
  readonly clip?: number | undefined;
  /** Share of attention entries dropped in a step; default 0. */
  readonly dropout?: number | undefined;
  /** Nodes of a block, whose candidate pairs make a step; default 512. */
  readonly batch?: number | undefined;
  readonly epochs?: number | undefined;
  /** Times that every node is in a block in an epoch. */
  readonly passes?: number | undefined;
  /** Of all random numbers: the same seed gives the same model, whatever the threads. Default 1. */
  readonly seed?: number | undefined;
  /** Share of the identities that is held out to judge and calibrate by; default 0.1, 0 for none. */
  readonly validation?: number | undefined;
  /** Steps between checkpoints; default 200. */
  readonly checkpointEvery?: number | undefined;
  /** Go on from the checkpoint beside `out`, if there is one. */
  readonly resume?: boolean | undefined;
  /** Where the history goes, and a plot under the same name with `.svg`; default: train.json beside `out`. */
  readonly history?: string | undefined;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `read`, `knn` and `train`. */
  readonly onProgress?: ProgressListener | undefined;
  readonly observer?: TrainingObserver | undefined;
  /** Hears about each epoch when it is over. */
  readonly onEpoch?: ((epoch: TrainedEpoch) => void) | undefined;
  /** Hears what a user should know. */
  readonly onNotice?: ((message: string) => void) | undefined;
  /** Where each option came from, for the history. */
  readonly optionSources?: Readonly<Record<string, string>> | undefined;
}

/** What `naan train --json` prints. */
export interface TrainSummary {
  readonly head: ModelConfig['head'];
  readonly nodes: number;
  readonly identities: number;
  readonly heldOutNodes: number;
  readonly heldOutIdentities: number;
  readonly epochs: number;
  /** The epoch that the model is of. */
  readonly bestEpoch: number;
  readonly steps: number;
  /** Pairs trained on, over all epochs. */
  readonly pairs: number;
  /** On the held-out identities; absent without any. */
  readonly heldOut?: {
    readonly auc: number;
    readonly accuracy: number;
    readonly loss: number;
    readonly partition: Partition;
    readonly threshold: number;
    readonly bcubed: PrecisionRecall;
  };
  readonly seconds: number;
  readonly peakRssBytes: number;
}

export interface TrainResult {
  readonly model: NaanModel;
  readonly summary: TrainSummary;
  readonly epochs: readonly TrainedEpoch[];
}

/**
 * Trains a scorer on a labelled set with the published objective (NAAN 2020): cross-entropy of pairs of a node and one of
 * its neighbours, by Adam. Identities held out choose the best epoch, and the partition and threshold that `label` takes.
 *
 * Throws BAD_INPUT, BAD_SHAPE or BAD_USAGE for what cannot be used, NOT_WRITABLE for `out`, CANCELLED after an abort,
 * when a checkpoint has been written from which `resume` goes on to the same model, bit for bit.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const began = performance.now();
  const { out, threads, signal, onNotice, onProgress } = options;
  const seed = options.seed ?? trainingDefaults.seed;
  const validation = options.validation ?? trainingDefaults.validation;
  if (out !== undefined) await checkWritableDirectory(dirname(out));

  const { location, labels } = await findLabelled(options);
  const { rowCount, dim } = shapeOf(location);
  const given = await findGraph(options, rowCount);
  const settings = settingsOf(options, given.width - 1, onNotice);
  const { hops } = settings;
  const config: ConcatConfig = {
    ...{ head: 'concat', dim, heads: settings.heads, alpha: settings.alpha },
    k1: Math.min(hops.k1, labellingHops.k1),
    k2: Math.min(hops.k2, labellingHops.k2),
    sampleHops: Math.min(hops.sampleHops, labellingHops.sampleHops),
    provenance: { trainedBy: `naan ${version}`, seed: String(seed) },
  };
  const neighbours = Math.max(config.k1, config.k2, config.sampleHops);
  const split = { validation, seed, neighbours, threads, signal, onProgress };
  const { training, heldOut, normalisedRows } = await loadTrainingSet(location, given, labels, split);
  if (normalisedRows > 0)
    onNotice?.(`${location.name}: ${normalisedRows} rows were not unit vectors and were normalised`);
  checkPairs(training, hops.sampleHops, 'the rows to train on', 'more --sample-hops or other labels');

  const path = out === undefined ? undefined : checkpointPath(out);
  if (out !== undefined) await prepareOutput(out);
  const checkpoint = {
    path,
    identity: { head: config.head, dim, validation, ...settings, ...describeInputs(options) },
    every: options.checkpointEvery ?? trainingDefaults.checkpointEvery,
    resume: options.resume === true,
  };
  const { onEpoch, observer } = options;
  const run = { settings, config, checkpoint, threads, signal, onNotice, onProgress, onEpoch, observer };
  const trained = await trainConcat(training, heldOut, run);
  const judgement = trained.epochs[trained.bestEpoch - 1].heldOut;
  const model = judgement ? calibrated(trained.model, judgement) : trained.model;

  const identitiesOf = (labels: Int32Array | undefined) => new Set(labels?.filter((label) => label >= 0)).size;
  const summary: TrainSummary = {
    ...{ head: config.head, nodes: rowCount },
    identities: identitiesOf(training.labels) + identitiesOf(heldOut?.labels),
    heldOutNodes: heldOut?.labels.length ?? 0,
    heldOutIdentities: identitiesOf(heldOut?.labels),
    ...{ epochs: trained.epochs.length, bestEpoch: trained.bestEpoch, steps: trained.steps },
    pairs: trained.epochs.reduce((sum, { pairs }) => sum + pairs, 0),
    ...(judgement && {
      heldOut: {
        ...{ auc: judgement.auc, accuracy: judgement.accuracy, loss: judgement.loss },
        ...{ partition: judgement.partition, ...judgement.partitions[judgement.partition] },
      },
    }),
    seconds: (performance.now() - began) / 1000,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
  if (out !== undefined && path !== undefined) {
    const history = options.history ?? join(dirname(out), 'train.json');
    await writeJson(history, {
      ...{ naan: version, node: process.version },
      options: { ...describeOptions(options), ...settings, validation },
      ...(options.optionSources && { optionSources: options.optionSources }),
      inputs: describeInputs(options),
      model: { ...model.config },
      ...summary,
      history: trained.epochs,
    });
    await writeText(`${history.replace(/\.json$/, '')}.svg`, plotTraining(trained.epochs, `training of ${out}`));
    // The model comes last: when it is there, so is the rest, and the checkpoint has done its work.
    await writeModel(out, model);
    await removeCheckpoint(path);
  }
  return { model, summary, epochs: trained.epochs };
}

function calibrated(model: NaanModel, { partition, partitions }: NonNullable<TrainedEpoch['heldOut']>): NaanModel {
  const thresholds = Object.fromEntries(Object.entries(partitions).map(([name, { threshold }]) => [name, threshold]));
  const { threshold } = partitions[partition];
  return { ...model, config: { ...model.config, partition, threshold, thresholds } };
}

/** The features, and the identity of each row. Throws BAD_INPUT without labels, BAD_SHAPE when they are not one a row. */
async function findLabelled(options: TrainOptions): Promise<{ location: MatrixLocation; labels: Int32Array }> {
  const { features, labels: source, dim } = options;
  const stored =
    typeof features === 'string'
      ? await locateFeatures(features, { dim })
      : { location: await locateSource(features), labels: undefined };
  const { location } = stored;
  const labels = typeof source === 'string' ? await readLabels(source) : (source ?? stored.labels);
  if (labels === undefined) {
    throw new NaanError('BAD_INPUT', `${location.name}: no labels are with the features: give --labels`);
  }
  const { rowCount } = shapeOf(location);
  if (labels.length !== rowCount) {
    const name = typeof source === 'string' ? source : 'labels';
    throw new NaanError(
      'BAD_SHAPE',
      `${name}: ${labels.length} labels, expected one for each of the ${rowCount} rows of ${location.name}`,
    );
  }
  return { location, labels };
}

async function findGraph({ knn, kHops, sampleHops, onProgress }: TrainOptions, rowCount: number): Promise<KnnGraph> {
  if (typeof knn === 'string') {
    const [k1, k2] = kHops ?? trainingDefaults.kHops;
    const columns = Math.max(k1, k2, sampleHops ?? trainingDefaults.sampleHops) + 1;
    return readKnn(knn, { nodeCount: rowCount, columns, onProgress });
  }
  if (knn.nodeCount !== rowCount) {
    throw new NaanError('BAD_SHAPE', `the kNN graph has ${knn.nodeCount} rows, but there are ${rowCount} features`);
  }
  return knn;
}

/** Defaults of hops are cut to the neighbours that there are; hops asked for are not. */
function settingsOf(
  options: TrainOptions,
  listed: number,
  onNotice: ((message: string) => void) | undefined,
): ConcatSettings {
  const d = trainingDefaults;
  const [k1, k2] = options.kHops ?? d.kHops.map((hops) => Math.min(hops, listed));
  const sampleHops = options.sampleHops ?? Math.min(d.sampleHops, listed);
  const longest = Math.max(k1, k2, sampleHops);
  if (longest > listed) {
    throw new NaanError(
      'BAD_USAGE',
      `the kNN graph has ${listed} neighbours a node, expected at least ${longest} for k-hops ${k1} ${k2} and sample-hops ${sampleHops}`,
    );
  }
  const cut =
    (options.kHops === undefined && k1 < d.kHops[0]) || (options.sampleHops === undefined && sampleHops < d.sampleHops);
  if (cut) onNotice?.(`the kNN graph has ${listed} neighbours a node: k-hops ${k1} ${k2}, sample-hops ${sampleHops}`);
  return {
    ...{ heads: options.heads ?? d.heads, alpha: options.alpha ?? d.alpha, hops: { k1, k2, sampleHops } },
    ...{ learningRate: options.lr ?? d.lr, decay: options.lrDecay ?? d.lrDecay },
    ...{ weightDecay: options.weightDecay ?? d.weightDecay, clip: options.clip ?? d.clip },
    ...{ dropout: options.dropout ?? d.dropout, batch: options.batch ?? d.batch },
    ...{ epochs: options.epochs ?? d.epochs, passes: options.passes ?? d.passes, seed: options.seed ?? d.seed },
  };
}

function describeOptions({ features, knn, labels, out }: TrainOptions) {
  const named = (value: unknown) => (typeof value === 'string' ? value : 'in memory');
  return { features: named(features), knn: named(knn), ...(labels && { labels: named(labels) }), out };
}

function describeInputs({ features, knn, labels }: TrainOptions) {
  const digest = (input: unknown) => (typeof input === 'string' ? digestFile(input) : undefined);
  return { features: digest(features), knn: digest(knn), labels: digest(labels) };
}
