/** Training: from a labelled set to a calibrated model. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { availableCores } from '../cgroup.js';
import type { Partition } from '../cluster/partition.js';
import { type TrainedHead, trainingDefaults } from '../defaults.js';
import { checkGraph } from '../engine/graph-check.js';
import { checkRows } from '../engine/usable-rows.js';
import { NaanError } from '../errors.js';
import type { PrecisionRecall } from '../evaluation/precision-recall.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { digestFile } from '../io/digest.js';
import { type FeatureSource, findSource } from '../io/feature-source.js';
import { readKnn } from '../io/knn.js';
import { type Labels, nameOf } from '../io/label-codes.js';
import { readLabels, readLabelsBeside } from '../io/labels.js';
import { inflate } from '../io/locate-matrix.js';
import { type FeatureLocation, shapeOf } from '../io/matrix.js';
import { quoted } from '../io/messages.js';
import { writeJson, writeText } from '../io/output-file.js';
import { checkOutputs, isOurDrawing, isOurJson } from '../io/outputs.js';
import { peakResidentBytes } from '../memory/peak.js';
import type { NaanModel } from '../model/model.js';
import { isModelFile, writeModel } from '../model/model-file.js';
import { checkpointPath, removeCheckpoint } from '../training/checkpoint.js';
import { planTraining, type TrainingPlan } from '../training/memory-plan.js';
import type { TrainOptions } from '../training/options.js';
import { plotCourse } from '../training/plot.js';
import { bestOf, type Trained } from '../training/trained.js';
import type { Trainer } from '../training/trainer.js';
import { trainers } from '../training/trainers.js';
import { identityOf } from '../training/training-identity.js';
import { type CheckOwned, ownCheckpoint } from '../training/training-lock.js';
import { version } from '../version.js';
import { describeRun } from './run-description.js';
import { compareOnDecisions, type DecidedComparison, scoreBefore, truthOfRows } from './train-decisions.js';

/** The result of training, as `naan train --json` prints it. */
export interface TrainSummary {
  readonly head: TrainedHead;
  readonly nodes: number;
  readonly identities: number;
  /** Steps and pairs trained on, over all epochs and networks. */
  readonly steps: number;
  readonly pairs: number;
  /** Measures on identities that were not trained on; absent without any. */
  readonly heldOut?: {
    readonly auc: number;
    readonly accuracy: number;
    readonly loss: number;
    readonly partition: Partition;
    readonly threshold: number;
    readonly bcubed: PrecisionRecall;
    readonly pairwise: PrecisionRecall;
    /** Standard deviation of both F over resamples of the identities. */
    readonly deviation: { readonly bcubed: number; readonly pairwise: number };
  };
  /** With decisions. */
  readonly decided?: DecidedComparison;
  readonly seconds: number;
  readonly peakRssBytes: number;
}

export interface TrainResult {
  readonly model: NaanModel;
  readonly summary: TrainSummary;
}

/**
 * Trains a scorer on a labelled set: cross-entropy of pairs of a node and one of its neighbours (NAAN 2020). Identities
 * held out choose the best epoch, and the partition and threshold that `label` takes.
 *
 * Throws BAD_INPUT, BAD_SHAPE or BAD_USAGE for what cannot be used, NOT_WRITABLE for `out`, CANCELLED after an abort,
 * when a checkpoint has been written from which `resume` goes on to the same model, bit for bit.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const began = performance.now();
  const { out, onNotice } = options;
  const head = options.head ?? trainingDefaults.head;
  const trainer = trainers[head];
  const seed = options.seed ?? trainingDefaults.seed;
  const files = out === undefined ? undefined : filesOf(out, options.history);
  if (files) await checkFiles(files, options);

  if (options.decisions !== undefined && !trainer.takesDecisions) {
    throw new NaanError('BAD_USAGE', `decisions: head ${head} cannot learn from them, expected head pairwise`);
  }
  const { location: found, labels, labelsName } = await findLabelled(options);
  const truth = await truthOfRows(options, { rowCount: shapeOf(found).rowCount, labels, labelsName });
  const { labels: identities } = truth;
  const identityCount = truth.labels.reduce((most, identity) => Math.max(most, identity), -1) + 1;
  const validation = options.validation ?? trainer.defaults.validation;
  checkIdentities(labels, identityCount, { trainer, validation, name: labelsName, decisions: options.decisions });
  const { rowCount, dim } = shapeOf(found);
  const graph = await findGraph(options, trainer, rowCount);
  const listed = graph.width - 1;
  const settings = trainer.settings(options, listed, seed);
  const plan = await planMemory(options, trainer, settings, { found, graph, labels: identities, validation });
  options.onPlan?.(plan);
  const location = await inflate(found, plan.parts.features);
  checkRows(location);
  if (options.graphCheck !== 'skip') {
    const name = typeof options.knn === 'string' ? options.knn : 'the kNN graph';
    checkGraph(location, { name, graph }, onNotice);
  }
  const before = truth.differences && (await scoreBefore(options, { truth, labels, graph }));
  const provenance = { trainedBy: `naan ${version}`, seed: String(seed) };
  const inputs = await describeInputs(options);
  const contents = files && identityOf(location, graph, truth);
  const meaningless = trainer.without.filter((name) => options[name] !== undefined);
  const forDecisions = (['items', 'model'] as const).filter((name) => options[name] !== undefined);
  if (options.decisions === undefined && forDecisions.length > 0) {
    onNotice?.(`${forDecisions.join(', ')}: not used, as no decisions are given`);
  }
  if (meaningless.length > 0) onNotice?.(`${meaningless.join(', ')}: not an option of head ${head}, not used`);
  const set = { location, dim, graph, ...truth };
  const run = (checkOwned?: CheckOwned) => {
    const identity = { naan: version, head, dim, validation, ...settings, ...contents };
    const every = options.checkpointEvery;
    const checkpoint = { path: files?.checkpoint, identity, every, resume: options.resume === true, checkOwned };
    return trainer.run(set, settings, { ...options, validation, provenance, checkpoint });
  };
  const finish = async (trained: Trained, checkOwned?: CheckOwned): Promise<TrainResult> => {
    const { model, judgement, scored, steps, pairs } = trained;
    const decided = before && scored && compareOnDecisions(options, before, { truth, labels, scored, model });
    const summary: TrainSummary = {
      head,
      nodes: rowCount,
      identities: identityCount,
      steps,
      pairs,
      ...(judgement && { heldOut: bestOf(judgement) }),
      ...(decided && { decided }),
      seconds: (performance.now() - began) / 1000,
      peakRssBytes: peakResidentBytes(),
    };
    if (files) {
      await checkOwned?.();
      await writeJson(files.history, {
        naan: version,
        node: process.version,
        options: { ...describeOptions(options), head, validation, ...settings },
        ...(options.config && { config: options.config }),
        ...(options.optionSources && { optionSources: options.optionSources }),
        run: describeRun(began, { commandLine: options.commandLine }),
        plan,
        inputs,
        model: { ...model.config },
        ...summary,
        ...(judgement && { calibration: judgement.partitions }),
        ...trained.history,
      });
      await writeText(files.plot, plotCourse(trained.course, `training of ${files.model}`));
      // The model comes last: when it is there, so is the rest, and the checkpoint has done its work.
      await writeModel(files.model, model);
      await removeCheckpoint(files.checkpoint);
    }
    return { model, summary };
  };
  if (!files) return finish(await run());
  return ownCheckpoint(files.checkpoint, options, async (checkOwned) => {
    if (existsSync(files.checkpoint) && !options.resume) {
      onNotice?.(`${files.checkpoint}: is replaced, as training starts anew: --resume would go on from it`);
    }
    return finish(await run(checkOwned), checkOwned);
  });
}

interface TrainingFiles {
  readonly model: string;
  readonly checkpoint: string;
  readonly history: string;
  readonly plot: string;
}

function filesOf(model: string, history = join(dirname(model), 'train.json')): TrainingFiles {
  const plot = `${history.replace(/\.json$/, '')}.svg`;
  return { model, checkpoint: checkpointPath(model), history, plot };
}

/** The memory that the training takes. Throws OUT_OF_MEMORY when that is more than it may take. */
async function planMemory(
  { memory, threads = availableCores() }: TrainOptions,
  trainer: Trainer,
  settings: object,
  set: { found: FeatureLocation; graph: KnnGraph; labels: Int32Array; validation: number },
): Promise<TrainingPlan> {
  const { found, graph, labels, validation } = set;
  const { rowCount, dim } = shapeOf(found);
  const parts = await trainer.memory({ dim, graph, labels }, settings, { validation, threads });
  const features = found.kind === 'deflated' ? 4 * rowCount * dim : 0;
  return planTraining(features > 0 ? { features, ...parts } : parts, {
    memory,
    what: `${found.name}: a set of ${rowCount} rows × ${dim}`,
    advice: trainer.lessMemory,
  });
}

/** Before anything is computed. A checkpoint has a name that nothing else has, and may be damaged: it may be replaced. */
async function checkFiles({ model, checkpoint, history, plot }: TrainingFiles, options: TrainOptions): Promise<void> {
  const { features, labels, decisions, items, model: before, knn, overwrite } = options;
  const historyOption = options.history === undefined ? 'out' : 'history';
  const files = [
    { name: 'out', path: model, isOurs: isModelFile, otherwise: 'is no model of naan' },
    { name: 'out', path: checkpoint, isOurs: () => true, otherwise: '' },
    { name: historyOption, path: history, isOurs: isOurJson, otherwise: 'is no history of naan' },
    { name: historyOption, path: plot, isOurs: isOurDrawing, otherwise: 'is no plot of naan' },
  ];
  await checkOutputs(files, { features, labels, decisions, items, model: before, knn }, overwrite);
}

/** Throws BAD_INPUT for fewer identities than it takes to learn from some and to hold out others. */
function checkIdentities(
  labels: Labels,
  count: number,
  {
    trainer,
    validation,
    name,
    decisions,
  }: { trainer: Trainer; validation: number; name: string; decisions: string | undefined },
): void {
  const fewest = trainer.fewestIdentities(validation);
  if (count >= fewest) return;
  if (decisions !== undefined) {
    const enough = `expected ${fewest} identities or more, of two rows or known to be different`;
    throw new NaanError('BAD_INPUT', `${decisions}: says of ${count} identities of these rows, ${enough}`);
  }
  const only = labels.codes.find((code) => code !== -1);
  const one = only === undefined ? 'every row is -1' : `all rows are of one identity (${quoted(nameOf(labels, only))})`;
  const found = count < 2 ? one : `${count} identities`;
  const use = validation > 0 ? ', some to learn from and some to hold out' : '';
  const advice = trainer.takesAll && count >= 2 ? ': give more, or --validation 0 to hold none out' : '';
  throw new NaanError('BAD_INPUT', `${name}: ${found}, expected ${fewest} identities or more${use}${advice}`);
}

/** The features, and the identity of each row. Throws BAD_INPUT without labels, BAD_SHAPE when they are not one a row. */
async function findLabelled(options: TrainOptions) {
  const { features, labels: source, dim } = options;
  const location = await findSource(features, dim);
  const labels = await findLabels(features, source);
  if (labels === undefined && options.decisions !== undefined) {
    return { location, labels: { codes: new Int32Array(shapeOf(location).rowCount).fill(-1) }, labelsName: '' };
  }
  if (labels === undefined) {
    throw new NaanError(
      'BAD_INPUT',
      `${location.name}: no labels are with the features: give --labels, or --decisions`,
    );
  }
  const { rowCount } = shapeOf(location);
  const labelsName = typeof source === 'string' ? source : `labels of ${location.name}`;
  if (labels.codes.length !== rowCount) {
    throw new NaanError(
      'BAD_SHAPE',
      `${labelsName}: ${labels.codes.length} labels, expected one for each of the ${rowCount} rows of ${location.name}`,
    );
  }
  return { location, labels, labelsName };
}

async function findLabels(features: FeatureSource, source: TrainOptions['labels']): Promise<Labels | undefined> {
  if (typeof source === 'string') return readLabels(source);
  if (source !== undefined) return { codes: source };
  return typeof features === 'string' ? readLabelsBeside(features) : undefined;
}

async function findGraph(options: TrainOptions, trainer: Trainer, rowCount: number): Promise<KnnGraph> {
  const { knn, onProgress, sampleHops = trainer.defaults.sampleHops } = options;
  if (typeof knn === 'string') {
    const columns = Math.max(trainer.neighbours(options), sampleHops) + 1;
    return readKnn(knn, { nodeCount: rowCount, columns, onProgress });
  }
  if (knn.nodeCount !== rowCount) {
    throw new NaanError('BAD_SHAPE', `the kNN graph has ${knn.nodeCount} rows, but there are ${rowCount} features`);
  }
  return knn;
}

function describeOptions({ features, knn, labels, decisions, items, out }: TrainOptions) {
  const named = (value: unknown) => (typeof value === 'string' ? value : 'in memory');
  return {
    features: named(features),
    knn: named(knn),
    ...(labels && { labels: named(labels) }),
    ...(decisions !== undefined && { decisions }),
    ...(items !== undefined && { items }),
    out,
  };
}

async function describeInputs({ features, knn, labels, decisions, items }: TrainOptions) {
  const digest = async (input: unknown) => (typeof input === 'string' ? digestFile(input) : undefined);
  return {
    features: await digest(features),
    knn: await digest(knn),
    labels: await digest(labels),
    decisions: await digest(decisions),
    items: await digest(items),
  };
}
