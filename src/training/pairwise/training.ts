/**
 * Trains the `pairwise` head. Its rounds are stacked (Wolpert 1992): a round must not learn from scores that are better
 * than those it will meet in labelling, so every score of the training set that a later round reads, or that calibration
 * judges, comes from a network that saw no pair of the edge's identity.
 *
 *   for each round:  X = features of all edges, from the second round on also by the scores p
 *                    network f < folds: trained on edges with neither end in fold f, scores the edges of fold f
 *                    network `folds`: trained on all edges, goes into the model
 *                    p = the scores of the fold networks
 *
 * A round that does not lower the loss of these scores is left out, and the model ends with the one before.
 *
 * Identities, not edges, are dealt to folds, so p of the last round says how well identities never seen are told apart,
 * over the whole graph and so among as many others as in labelling. Features look at no label, so nodes of unknown
 * identity take part in all but the loss.
 */

import { setImmediate } from 'node:timers/promises';
import { pairwiseTrainingDefaults, trainingDefaults } from '../../defaults.js';
import { NaanError } from '../../errors.js';
import { auc } from '../../evaluation/auc.js';
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import { RandomStream } from '../../graph/random.js';
import { reverseEdges } from '../../graph/reverse-edges.js';
import { allocatePairwiseJob } from '../../heads/pairwise/job.js';
import { roundTensors, scoreOf } from '../../heads/pairwise/mlp.js';
import type { NeighbourLists } from '../../heads/pairwise/neighbour-lists.js';
import { PairwiseMlp } from '../../heads/pairwise/network.js';
import { quantiseScore } from '../../heads/pairwise/score-features.js';
import { EdgeFeatures } from '../../heads/pairwise/scorer.js';
import type { PairwiseModel, Tensor } from '../../model/model.js';
import { type CosineGuard, featureCount, type PairwiseConfig } from '../../model/pairwise.js';
import { adamw } from './adamw.js';
import { layersOf, MlpStep } from './mlp-step.js';
import { sampleEdges, shuffled, type TrainingPairs, trainingPairs } from './pairs.js';

export interface PairwiseSettings {
  /** Neighbours of a list that features look at. */
  readonly k: number;
  readonly sampleHops: number;
  readonly rounds: number;
  readonly hidden: readonly number[];
  readonly folds: number;
  readonly epochs: number;
  /** Pairs of a step. */
  readonly batch: number;
  /** Of the first step, falling to 0 over all steps of a network along half a cosine. */
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
  /** Edges whose features are in memory: of more, a random part is trained on. */
  readonly maxEdges: number;
}

export const pairwiseDefaults: PairwiseSettings = {
  k: 20,
  sampleHops: pairwiseTrainingDefaults.sampleHops,
  rounds: 3,
  hidden: [64, 32],
  folds: Math.round(1 / pairwiseTrainingDefaults.validation),
  epochs: pairwiseTrainingDefaults.epochs,
  batch: pairwiseTrainingDefaults.batch,
  learningRate: pairwiseTrainingDefaults.lr,
  weightDecay: pairwiseTrainingDefaults.weightDecay,
  seed: trainingDefaults.seed,
  maxEdges: 2 ** 21,
};

export interface PairwiseTrainingSet {
  readonly lists: NeighbourLists;
  /** Keyed by the smaller end. */
  readonly edges: CandidateEdges;
  /** Identity of each node, −1 where not known [n]. */
  readonly labels: Int32Array;
  /** What is held out together, −1 where the identity is not known; by default the identity [n]. */
  readonly groups?: Int32Array | undefined;
}

/** What one pass over the pairs of one network did. */
export interface PairwiseEpoch {
  /** From 0; `network` = folds is the one for the model. */
  readonly round: number;
  readonly network: number;
  readonly epoch: number;
  readonly steps: number;
  readonly pairs: number;
  readonly positives: number;
  readonly learningRate: number;
  /** Means over the epoch: cross-entropy in nats, share right at 0.5, norm of the gradient. */
  readonly loss: number;
  readonly accuracy: number;
  readonly gradientNorm: number;
}

/** How well the fold networks of a round score the edges between known identities that they did not see. */
export interface PairwiseRound {
  readonly round: number;
  readonly edges: number;
  readonly auc: number;
  readonly accuracy: number;
  readonly loss: number;
}

/**
 * Where training stands between two epochs: plain numbers, and arrays by name. `epoch` is the next of `network` of
 * `round`. Random numbers need no state: they depend on the seed, round, network and epoch.
 */
export interface PairwiseState {
  readonly round: number;
  readonly network: number;
  readonly epoch: number;
  readonly epochs: readonly PairwiseEpoch[];
  readonly rounds: readonly PairwiseRound[];
  /** Tensors of the model that are finished, with their shapes; their values are in `tensors` too. */
  readonly finished: readonly (readonly [name: string, shape: readonly number[]])[];
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

export interface PairwiseTrainingOptions {
  readonly settings?: Partial<PairwiseSettings> | undefined;
  readonly provenance?: Readonly<Record<string, string>> | undefined;
  /** Goes on from here to the same model, bit for bit. */
  readonly state?: PairwiseState | undefined;
  /** Hears about each epoch, with the state after it; its arrays are valid until the promise resolves. */
  readonly onEpoch?: ((epoch: PairwiseEpoch, state: PairwiseState) => void | Promise<void>) | undefined;
  /** Hears about each round, with the scores of all edges by its fold networks [E] and the epochs so far. */
  readonly onRound?:
    | ((round: PairwiseRound, scores: Float32Array, epochs: readonly PairwiseEpoch[]) => void)
    | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PairwiseTraining {
  readonly model: PairwiseModel;
  /** Scores of all edges, in the model's last round, by networks that saw neither end's identity: to calibrate by [E]. */
  readonly scores: Float32Array;
  readonly epochs: readonly PairwiseEpoch[];
  /** Of all rounds that were trained; the last may be one that the model does without. */
  readonly rounds: readonly PairwiseRound[];
}

/** Purposes of random streams. */
const initialPurpose = 82;
const shufflePurpose = 83;

const edgesAtOnce = 1024;
/** Steps after which the thread looks up: for signals, and for an abort. */
const stepsAtOnce = 32;

/** Parameters W₀, b₀, W₁ … end to end, and what standardises the features. */
interface Network {
  readonly mean: Float32Array;
  readonly scale: Float32Array;
  readonly parameters: Float32Array;
}

/**
 * Throws BAD_SHAPE when lists, edges and labels do not fit together, BAD_INPUT when the pairs of some network are all of
 * one kind, CANCELLED after an abort: the state that `onEpoch` was given last goes on from there.
 */
export async function trainPairwise(
  { lists, edges, labels, groups }: PairwiseTrainingSet,
  options: PairwiseTrainingOptions = {},
): Promise<PairwiseTraining> {
  const settings = { ...pairwiseDefaults, ...options.settings };
  const { folds, hidden, rounds, k, sampleHops, seed } = settings;
  const { nodeCount, targets } = edges;
  if (labels.length !== nodeCount) {
    throw new NaanError('BAD_SHAPE', `labels: got ${labels.length}, expected one for each of ${nodeCount} nodes`);
  }
  const features = new EdgeFeatures(allocatePairwiseJob(lists, edges, reverseEdges(edges), k), k);
  features.summariseLists(0, nodeCount);
  const pairs = trainingPairs(edges, labels, folds, seed, groups);
  const sample = sampleEdges(pairs, settings.maxEdges, seed);
  checkFolds(pairs, sample, folds);
  const progress = new Progress(targets.length, options.state);
  // Later rounds read what round 0 writes down of the graph.
  if (progress.round > 0) eachTile(features, targets.length, 0, progress.previous, () => {});

  let guard: CosineGuard | undefined;
  for (; progress.round < rounds && !progress.isWorse; ) {
    const { round } = progress;
    const units = [featureCount(round), ...hidden, 1];
    if (round > 0) features.summariseScores(progress.previous, 0, nodeCount);
    const table = sampledFeatures(features, round, progress.previous, sample);
    for (let network = progress.network; network <= folds; network++) {
      await trainNetwork(network, { settings, units, table, sample, pairs, progress, options });
    }
    guard = guardOf(table, units[0], sample, pairs);
    const scores = await scoreByFold(features, units, pairs, progress, { folds, guard });
    if (round < rounds - 1) for (let e = 0; e < scores.length; e++) scores[e] = quantiseScore(scores[e]);
    progress.finishRound(units, scores, judge(round, scores, pairs));
    options.onRound?.(progress.rounds[round], scores, progress.epochs);
  }
  const { previous: scores, epochs, rounds: judged } = progress;
  const config: PairwiseConfig = {
    head: 'pairwise',
    k,
    rounds: progress.isWorse ? judged.length - 1 : judged.length,
    hidden,
    guard,
    sampleHops,
    provenance: options.provenance ?? {},
  };
  return { model: { config, tensors: progress.modelTensors() }, scores, epochs, rounds: judged };
}

/** Throws BAD_INPUT unless every network has pairs of one identity and of two to learn from. */
function checkFolds({ foldOfKey, foldOfTarget, same }: TrainingPairs, sample: Uint32Array, folds: number): void {
  const pairCount = new Float64Array(folds);
  const positives = new Float64Array(folds);
  for (const e of sample) {
    for (let fold = 0; fold < folds; fold++) {
      if (foldOfKey[e] === fold || foldOfTarget[e] === fold) continue;
      pairCount[fold]++;
      positives[fold] += same[e];
    }
  }
  const short = positives.findIndex((count, fold) => count === 0 || count === pairCount[fold]);
  if (short < 0) return;
  throw new NaanError(
    'BAD_INPUT',
    `labels: with one of ${folds} folds of identities held out, ${pairCount[short]} pairs of neighbours are left, ${positives[short]} of them of one identity: ` +
      'expected pairs of both kinds, from more identities or more rows of each',
  );
}

/** The moving parts, and how they become a state that can be written down. */
class Progress {
  round = 0;
  /** The next or current network, and its next epoch. */
  network = 0;
  epoch = 0;
  /** Of the round before; of the last one in the end [E]. */
  previous: Float32Array;
  epochs: PairwiseEpoch[] = [];
  rounds: PairwiseRound[] = [];
  /** Of this round, the current one last. */
  networks: Network[] = [];
  moments = { first: new Float32Array(0), second: new Float32Array(0) };
  private finished = new Map<string, Tensor>();

  constructor(edgeCount: number, state: PairwiseState | undefined) {
    this.previous = new Float32Array(edgeCount);
    if (!state) return;
    const { tensors } = state;
    const copy = (name: string) => tensors.get(name)!.slice();
    Object.assign(this, { round: state.round, network: state.network, epoch: state.epoch, previous: copy('previous') });
    this.epochs = [...state.epochs];
    this.rounds = [...state.rounds];
    for (let n = 0; tensors.has(`networks.${n}.parameters`); n++) {
      const [mean, scale, parameters] = ['mean', 'scale', 'parameters'].map((part) => copy(`networks.${n}.${part}`));
      this.networks.push({ mean, scale, parameters });
    }
    this.moments = { first: copy('moments.first'), second: copy('moments.second') };
    for (const [name, shape] of state.finished) this.finished.set(name, { shape, data: copy(name) });
  }

  state(): PairwiseState {
    const { round, network, epoch, epochs, rounds } = this;
    const tensors = new Map([
      ['previous', this.previous],
      ['moments.first', this.moments.first],
      ['moments.second', this.moments.second],
    ]);
    this.networks.forEach(({ mean, scale, parameters }, n) => {
      tensors.set(`networks.${n}.mean`, mean).set(`networks.${n}.scale`, scale);
      tensors.set(`networks.${n}.parameters`, parameters);
    });
    const finished = [...this.finished].map(([name, { shape, data }]) => {
      tensors.set(name, data);
      return [name, shape] as const;
    });
    return { round, network, epoch, epochs, rounds, finished, tensors };
  }

  /** Whether the last round that was judged does not lower the loss of the one before: the model does without it. */
  get isWorse(): boolean {
    const [before, last] = this.rounds.slice(-2);
    return last !== undefined && last.loss >= before.loss;
  }

  /** The last network of the round goes into the model, if the round lowers the loss on what was held out. */
  finishRound(units: readonly number[], scores: Float32Array, judgement: PairwiseRound): void {
    this.rounds.push(judgement);
    if (this.isWorse) return;
    const { mean, scale, parameters } = this.networks[this.networks.length - 1];
    const network = { mean, scale, layers: layersOf(parameters, units) };
    for (const [name, shape, data] of roundTensors(this.round, network)) {
      this.finished.set(name, { shape, data: data.slice() });
    }
    this.previous = scores;
    this.networks = [];
    this.round++;
    this.network = 0;
    this.epoch = 0;
  }

  modelTensors(): ReadonlyMap<string, Tensor> {
    return this.finished;
  }
}

/** Calls visit(features, first, until) for tiles of edges; features [until − first × F] are valid until it returns. */
function eachTile(
  features: EdgeFeatures,
  edgeCount: number,
  round: number,
  previous: Float32Array,
  visit: (out: Float32Array, first: number, until: number) => void,
): void {
  const out = new Float32Array(edgesAtOnce * featureCount(round));
  for (let first = 0; first < edgeCount; first += edgesAtOnce) {
    const until = Math.min(first + edgesAtOnce, edgeCount);
    features.write(round, first, until, previous, out);
    visit(out, first, until);
  }
}

/** Features of the sampled edges [S × F]. */
function sampledFeatures(
  features: EdgeFeatures,
  round: number,
  previous: Float32Array,
  sample: Uint32Array,
): Float32Array {
  const inputs = featureCount(round);
  const table = new Float32Array(sample.length * inputs);
  let next = 0;
  eachTile(features, previous.length, round, previous, (out, first, until) => {
    for (; next < sample.length && sample[next] < until; next++) {
      const from = (sample[next] - first) * inputs;
      table.set(out.subarray(from, from + inputs), next * inputs);
    }
  });
  return table;
}

interface Round {
  readonly settings: PairwiseSettings;
  readonly units: readonly number[];
  /** Features of `sample` [S × F]. */
  readonly table: Float32Array;
  readonly sample: Uint32Array;
  readonly pairs: TrainingPairs;
  readonly progress: Progress;
  readonly options: PairwiseTrainingOptions;
}

async function trainNetwork(network: number, round: Round): Promise<void> {
  const { settings, units, table, sample, pairs, progress, options } = round;
  const { seed, epochs, learningRate, weightDecay } = settings;
  const { foldOfKey, foldOfTarget, same } = pairs;
  const [inputs] = units;
  const rows = Uint32Array.from(sample.keys()).filter(
    (row) => foldOfKey[sample[row]] !== network && foldOfTarget[sample[row]] !== network,
  );
  const step = await MlpStep.create(units, Math.min(settings.batch, rows.length));
  const stream = progress.round * 256 + network;
  if (progress.epoch === 0) {
    const random = new RandomStream(seed, initialPurpose, stream);
    progress.networks.push({ ...standardiser(table, inputs, rows), parameters: initialParameters(units, random) });
    const { parameterCount } = step;
    progress.moments = { first: new Float32Array(parameterCount), second: new Float32Array(parameterCount) };
  }
  const { parameters, mean, scale } = progress.networks[network];
  const { moments } = progress;
  const stepsOfEpoch = Math.floor(rows.length / step.batch);

  for (; progress.epoch < epochs; ) {
    const { epoch } = progress;
    const order = shuffled(rows.length, new RandomStream(seed, shufflePurpose, stream * 4096 + epoch));
    const sums = { loss: 0, correct: 0, positives: 0, norm: 0 };
    let rate = 0;
    for (let s = 0; s < stepsOfEpoch; s++) {
      if (s % stepsAtOnce === 0) await setImmediate();
      if (options.signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
      for (let i = 0; i < step.batch; i++) {
        const row = rows[order[s * step.batch + i]];
        for (let f = 0; f < inputs; f++) step.features[i * inputs + f] = table[row * inputs + f];
        step.targets[i] = same[sample[row]];
      }
      sums.loss += await step.run(parameters, mean, scale);
      for (let i = 0; i < step.batch; i++) {
        sums.positives += step.targets[i];
        if (step.logits[i] >= 0 === (step.targets[i] === 1)) sums.correct++;
      }
      sums.norm += Math.sqrt(step.gradients.reduce((sum, g) => sum + g * g, 0));
      const done = epoch * stepsOfEpoch + s;
      rate = (learningRate / 2) * (1 + Math.cos((Math.PI * done) / (epochs * stepsOfEpoch)));
      adamw(parameters, step.gradients, moments, { step: done + 1, learningRate: rate, weightDecay });
    }
    const pairsDone = stepsOfEpoch * step.batch;
    const result: PairwiseEpoch = {
      round: progress.round,
      network,
      epoch,
      steps: stepsOfEpoch,
      pairs: pairsDone,
      positives: sums.positives,
      learningRate: rate,
      loss: sums.loss / stepsOfEpoch,
      accuracy: sums.correct / pairsDone,
      gradientNorm: sums.norm / stepsOfEpoch,
    };
    if (!Number.isFinite(result.loss)) {
      throw new NaanError(
        'DIVERGED',
        `the loss of round ${progress.round + 1}, epoch ${epoch + 1} is ${result.loss}: expected a lower --lr than ${learningRate}`,
      );
    }
    progress.epochs.push(result);
    progress.epoch++;
    await options.onEpoch?.(result, progress.state());
  }
  progress.network++;
  progress.epoch = 0;
  await step.release();
}

/** Mean and one by standard deviation of each feature over the rows of a table [S × F]. */
function standardiser(table: Float32Array, inputs: number, rows: Uint32Array) {
  const mean = new Float32Array(inputs);
  const scale = new Float32Array(inputs);
  for (let f = 0; f < inputs; f++) {
    const average = rows.reduce((sum, row) => sum + table[row * inputs + f], 0) / rows.length;
    const variance = rows.reduce((sum, row) => sum + (table[row * inputs + f] - average) ** 2, 0) / rows.length;
    mean[f] = average;
    scale[f] = 1 / (Math.sqrt(variance) + leastDeviation);
  }
  return { mean, scale };
}

/** So that a feature that is always the same stays a number. */
const leastDeviation = 1e-6;

/** Uniform in ±1/√inputs for weights and biases, as torch.nn.Linear has them. */
function initialParameters(units: readonly number[], random: RandomStream): Float32Array {
  const length = units.slice(1).reduce((sum, size, l) => sum + size * (units[l] + 1), 0);
  const parameters = new Float32Array(length);
  layersOf(parameters, units).forEach(({ weight, bias }, l) => {
    const bound = 1 / Math.sqrt(units[l]);
    for (const values of [weight, bias]) {
      for (let i = 0; i < values.length; i++) values[i] = (2 * random.uniform() - 1) * bound;
    }
  });
  return parameters;
}

/** Shares of the edges of one identity whose cosines are below the two ends of the guard. */
const guardShares = [0.001, 0.01];

/** By the cosines of the sampled edges, the first of their features in every round. */
function guardOf(
  table: Float32Array,
  inputs: number,
  sample: Uint32Array,
  { same }: TrainingPairs,
): CosineGuard | undefined {
  const positives = Uint32Array.from(sample.keys()).filter((row) => same[sample[row]] === 1);
  const cosines = Float32Array.from(positives, (row) => table[row * inputs]).sort();
  const [from, to] = guardShares.map((share) => cosines[Math.floor(share * cosines.length)]);
  return from < to ? { from, to } : undefined;
}

/** Scores of all edges, each by the network that its fold was held out from. */
async function scoreByFold(
  features: EdgeFeatures,
  units: readonly number[],
  { foldOfKey }: TrainingPairs,
  { networks, previous, round }: Progress,
  { folds, guard }: { folds: number; guard: CosineGuard | undefined },
): Promise<Float32Array> {
  const [inputs] = units;
  const scores = new Float32Array(previous.length);
  const tile = new Float32Array(edgesAtOnce * inputs);
  const mlps: PairwiseMlp[] = [];
  for (const { mean, scale, parameters } of networks.slice(0, folds)) {
    mlps.push(await PairwiseMlp.create({ mean, scale, layers: layersOf(parameters, units) }, edgesAtOnce));
  }
  for (let first = 0; first < scores.length; first += edgesAtOnce) {
    const until = Math.min(first + edgesAtOnce, scores.length);
    features.write(round, first, until, previous, tile);
    for (const [fold, mlp] of mlps.entries()) {
      const mine = Uint32Array.from({ length: until - first }, (_, i) => i).filter(
        (i) => foldOfKey[first + i] === fold,
      );
      if (mine.length === 0) continue;
      mine.forEach((row, i) => {
        mlp.features.set(tile.subarray(row * inputs, (row + 1) * inputs), i * inputs);
      });
      await mlp.run(mine.length);
      mine.forEach((row, i) => {
        scores[first + row] = scoreOf(mlp.logits[i], mlp.features[i * inputs], guard);
      });
    }
  }
  for (const mlp of mlps) await mlp.release();
  return scores;
}

/** Scores are float32: further from 0 and 1 they cannot be told from these. */
const leastProbability = 2 ** -24;

function judge(round: number, scores: Float32Array, { same }: TrainingPairs): PairwiseRound {
  let correct = 0;
  let loss = 0;
  for (let e = 0; e < scores.length; e++) {
    if (same[e] < 0) continue;
    if (scores[e] >= 0.5 === (same[e] === 1)) correct++;
    loss -= Math.log(Math.max(same[e] === 1 ? scores[e] : 1 - scores[e], leastProbability));
  }
  const known = scores.filter((_, e) => same[e] >= 0);
  const edges = known.length;
  const score = auc(
    known,
    same.filter((value) => value >= 0),
  );
  return { round, edges, auc: score, accuracy: correct / edges, loss: loss / edges };
}
