/** `naan train --head pairwise`: folds of identities take turns to be held out, so that the whole set calibrates. */

import { availableCores } from '../../cgroup.js';
import { labelsAt } from '../../cluster/partition.js';
import type { ScoredEdges } from '../../cluster/scored-edges.js';
import type { Truth } from '../../cluster/truth.js';
import { pairwiseTrainingDefaults as defaults, partitionDefaults, trainingDefaults } from '../../defaults.js';
import { profileOf } from '../../engine/set-profile.js';
import { NaanError } from '../../errors.js';
import { IdentityAgreement } from '../../evaluation/identity-sums.js';
import type { PrecisionRecall } from '../../evaluation/precision-recall.js';
import { sweep } from '../../evaluation/sweep.js';
import type { Executor } from '../../execution/executor.js';
import { candidateEdges } from '../../graph/candidate-edges.js';
import type { KnnGraph } from '../../graph/knn-graph.js';
import type { Whitening } from '../../heads/pairwise/whitening.js';
import { type MatrixLocation, shapeOf } from '../../io/matrix.js';
import type { PairwiseModel } from '../../model/model.js';
import { type PairwiseConfig, whiteningTensors } from '../../model/pairwise.js';
import { calibrate } from '../calibration.js';
import { readCheckpoint, writeCheckpoint } from '../checkpoint.js';
import { loadTrainingFeatures } from '../concat/training-engine.js';
import type { Judgement } from '../held-out.js';
import type { TrainOptions } from '../options.js';
import { calibrated, type Trained, type TrainingHooks } from '../trained.js';
import type { Trainer } from '../trainer.js';
import { checkPairs } from '../training-set.js';
import type { PairwiseEpoch, PairwiseSettings } from './job.js';
import { pairwiseBytes } from './memory.js';
import { labelledLists, type TrainingLists } from './strangers.js';
import { startTrainingThreads } from './threads.js';
import { type PairwiseRound, type PairwiseState, pairwiseDefaults, trainPairwise } from './training.js';
import { findWhitening } from './whitening.js';

const maxFolds = 10;

/** Settings from the options; neighbours are cut to those that there are, unless asked for. */
function pairwiseSettings(options: TrainOptions, listed: number, seed: number): PairwiseSettings {
  const { sampleHops = Math.min(defaults.sampleHops, listed), validation = defaults.validation } = options;
  const k = Math.min(pairwiseDefaults.k, listed);
  if (sampleHops > k) {
    const where = typeof options.knn === 'string' ? `${options.knn}: ` : '';
    throw new NaanError(
      'BAD_USAGE',
      `${where}sample-hops is ${sampleHops}, expected at most the ${k} neighbours of the lists`,
    );
  }
  if (validation === 0) {
    throw new NaanError('BAD_USAGE', 'validation is 0: head pairwise learns from folds held out, expected 0.1 to 0.5');
  }
  return {
    ...pairwiseDefaults,
    k,
    sampleHops,
    seed,
    folds: Math.min(maxFolds, Math.max(2, Math.round(1 / validation))),
    epochs: options.epochs ?? defaults.epochs,
    batch: options.batch ?? defaults.batch,
    learningRate: options.lr ?? defaults.lr,
    weightDecay: options.weightDecay ?? defaults.weightDecay,
  };
}

type Saved = Omit<PairwiseState, 'tensors'>;

interface PairwiseRunOptions extends TrainingHooks {
  readonly provenance: PairwiseConfig['provenance'];
  readonly threads?: number | undefined;
}

async function runPairwise(
  location: MatrixLocation,
  graph: KnnGraph,
  { labels, differences }: Truth,
  settings: PairwiseSettings,
  options: PairwiseRunOptions,
): Promise<Trained> {
  const { signal, onNotice, threads = availableCores() } = options;
  checkPairs(
    { graph, labels, differences },
    settings.sampleHops,
    `the rows of ${location.name}`,
    differences ? 'more decisions of both kinds, or --labels' : 'more --sample-hops or other labels',
  );
  const { rows, normalisedRows } = loadTrainingFeatures(location);
  if (normalisedRows > 0) {
    onNotice?.(`${location.name}: ${normalisedRows} rows were not unit vectors and were normalised`);
  }
  const { dim } = shapeOf(location);
  const found = await findWhitening({ rows, dim, graph, labels, differences });
  if (found) {
    onNotice?.('whitening by how rows of one identity differ tells identities held out apart better: the model has it');
  }
  const executor = startTrainingThreads(threads);
  try {
    const set = await labelledLists(rows, graph, labels, {
      k: settings.k,
      seed: settings.seed,
      whitening: found,
      threads,
      executor,
      signal,
    });
    const trained = await trainOn({ ...set, differences }, { features: location, graph }, settings, executor, options);
    return found ? withWhitening(trained, dim, found.whitening) : trained;
  } finally {
    await executor.close();
  }
}

async function trainOn(
  set: TrainingLists & Pick<Truth, 'differences'>,
  { features, graph }: { readonly features: MatrixLocation; readonly graph: KnnGraph },
  settings: PairwiseSettings,
  executor: Executor,
  options: PairwiseRunOptions,
): Promise<Trained> {
  const { checkpoint, signal, observer, onProgress, onNotice, onReport, provenance } = options;
  const edges = candidateEdges(set.lists, settings.sampleHops);
  const state = restored(checkpoint, onNotice);
  // A checkpoint has a score of every pair, and takes its time.
  const every = checkpoint.every ?? Math.max(trainingDefaults.checkpointEvery, edges.targets.length / 1024);
  const networks = settings.folds + 1;
  const total = settings.rounds * networks * settings.epochs;
  const began = state?.epochs.length ?? 0;
  let pairsDone = 0;
  let stepsSaved = stepsOf(state?.epochs ?? []);
  let latest = state;
  const save = async () => {
    if (checkpoint.path === undefined || latest === undefined) return;
    const { tensors, ...rest } = latest;
    await checkpoint.checkOwned?.();
    await writeCheckpoint<Saved>(checkpoint.path, { identity: checkpoint.identity, state: rest, tensors });
  };
  const onEpoch = async (epoch: PairwiseEpoch, after: PairwiseState) => {
    const { steps, pairs, loss, learningRate, gradientNorm } = epoch;
    const fold = epoch.network < settings.folds ? String(epoch.network + 1) : undefined;
    observer?.steps({ round: epoch.round + 1, fold, steps, pairs, loss, learningRate, gradientNorm });
    pairsDone += pairs;
    const done = after.epochs.length;
    const perEpoch = pairsDone / (done - began);
    onProgress?.({
      stage: 'train',
      unit: 'pairs',
      total: Math.round(total * perEpoch),
      from: Math.round(began * perEpoch),
      done: Math.round(done * perEpoch),
    });
    latest = after;
    if (stepsOf(after.epochs) - stepsSaved < every) return;
    stepsSaved = stepsOf(after.epochs);
    await save();
  };
  /** Held-out F by round of this run. */
  const fOfRound = new Map<number, number>();
  const onRound = (round: PairwiseRound, scores: Float32Array, epochs: readonly PairwiseEpoch[]) => {
    const { learningRate, loss, accuracy } = epochs[epochs.length - 1];
    const best = bestThreshold({ ...edges, scores }, set);
    fOfRound.set(round.round, best.bcubed.f);
    onReport?.({
      unit: 'round',
      index: round.round + 1,
      count: settings.rounds,
      learningRate,
      loss,
      accuracy,
      heldOut: { loss: round.loss, auc: round.auc, accuracy: round.accuracy, partition: 'threshold', ...best },
    });
  };

  try {
    const trained = await trainPairwise(
      { ...set, edges },
      { settings, provenance, state, onEpoch, onRound, executor, signal },
    );
    const { model, scores, epochs, rounds } = trained;
    const kept = model.config.rounds;
    if (kept < rounds.length) {
      onNotice?.(`round ${rounds.length} does not lower the loss on identities held out: the model has ${kept}`);
    }
    const last = rounds[kept - 1];
    const judgement: Judgement = {
      edges: last.edges,
      auc: last.auc,
      accuracy: last.accuracy,
      loss: last.loss,
      // The threshold is for sets such as this one: rows of the copy are clustered with the others and not judged.
      ...(await calibrate({ ...edges, scores }, set.own, { signal, differences: set.differences, executor })),
    };
    // The set itself comes before its copy.
    const { nodeCount } = graph;
    const own = edges.offsets[nodeCount];
    const scored = {
      nodeCount,
      offsets: edges.offsets.subarray(0, nodeCount + 1),
      targets: edges.targets.subarray(0, own),
      scores: scores.subarray(0, own),
    };
    const trainedOn = profileOf({ features, graph, edges: scored });
    return {
      model: calibrated({ ...model, config: { ...model.config, trainedOn } }, judgement),
      judgement,
      scored,
      steps: stepsOf(epochs),
      pairs: epochs.reduce((sum, { pairs }) => sum + pairs, 0),
      history: { heldOutNodes: set.labels.length, rounds, epochs },
      course: {
        unit: 'round',
        until: settings.rounds,
        trainingLoss: epochs
          .filter(({ network }) => network === settings.folds)
          .map(({ round, epoch, loss }) => [round + (epoch + 1) / settings.epochs, loss] as const),
        heldOut: rounds.map(({ round, loss, auc, accuracy }) => {
          const f = fOfRound.get(round);
          return { at: round + 1, loss, auc, accuracy, ...(f !== undefined && { f }) };
        }),
      },
    };
  } catch (error) {
    if (signal?.aborted) await save();
    throw error;
  }
}

/** The threshold whose components agree best with what is known, for reports. */
function bestThreshold(scored: ScoredEdges, { labels, own, differences }: TrainingLists & Pick<Truth, 'differences'>) {
  const better = <P extends { bcubed: PrecisionRecall }>(a: P, b: P) => (b.bcubed.f > a.bcubed.f ? b : a);
  if (!differences) {
    const points = sweep(scored, scored.scores, { truth: labels });
    return points.map(({ threshold, bcubed }) => ({ threshold, bcubed: bcubed! })).reduce(better);
  }
  const agreement = new IdentityAgreement(own, differences);
  const thresholds = Array.from({ length: 49 }, (_, i) => (i + 1) / 50);
  const points: { threshold: number; bcubed: PrecisionRecall }[] = [];
  for (const cut of labelsAt(scored, 'threshold', partitionDefaults, thresholds)) {
    const { bcubed } = agreement.agreement(agreement.sums(cut));
    points.push({ threshold: thresholds[points.length], bcubed });
  }
  return points.reduce(better);
}

/** A trained model that whitens features first. */
function withWhitening(trained: Trained, dim: number, { weight, bias }: Whitening): Trained {
  const { config, tensors } = trained.model as PairwiseModel;
  const added = whiteningTensors(dim).map(
    ([name, shape], i) => [name, { shape, data: i === 0 ? weight : bias }] as const,
  );
  return { ...trained, model: { config: { ...config, dim }, tensors: new Map([...added, ...tensors]) } };
}

function restored({ path, identity, resume }: TrainingHooks['checkpoint'], onNotice: TrainingHooks['onNotice']) {
  if (!resume || path === undefined) return undefined;
  const found = readCheckpoint<Saved>(path, identity);
  if (!found) {
    onNotice?.(`${path}: no checkpoint yet, training starts from the beginning`);
    return undefined;
  }
  const { round, epochs } = found.state;
  onNotice?.(`goes on from step ${stepsOf(epochs)}, round ${round + 1}`);
  return { ...found.state, tensors: found.tensors };
}

function stepsOf(epochs: readonly PairwiseEpoch[]): number {
  return epochs.reduce((sum, { steps }) => sum + steps, 0);
}

export const pairwiseTrainer: Trainer<PairwiseSettings> = {
  defaults,
  without: ['kHops', 'heads', 'alpha', 'lrDecay', 'clip', 'dropout', 'passes'],
  takesDecisions: true,
  takesAll: false,
  fewestIdentities: () => 3,
  neighbours: () => pairwiseDefaults.k,
  settings: pairwiseSettings,
  memory: (set, settings, { threads }) => pairwiseBytes(set, settings, threads),
  lessMemory: 'fewer --threads or --sample-hops',
  run: ({ location, graph, ...truth }, settings, options) => runPairwise(location, graph, truth, settings, options),
};
