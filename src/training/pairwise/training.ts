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

import { availableCores } from '../../cgroup.js';
import type { Differences } from '../../cluster/truth.js';
import { pairwiseTrainingDefaults, trainingDefaults } from '../../defaults.js';
import { NaanError } from '../../errors.js';
import { auc } from '../../evaluation/auc.js';
import type { Executor } from '../../execution/executor.js';
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import { reverseEdges } from '../../graph/reverse-edges.js';
import { checkLists, type NeighbourLists } from '../../heads/pairwise/neighbour-lists.js';
import { summaryWidth } from '../../heads/pairwise/score-features.js';
import { listSummaryWidth } from '../../heads/pairwise/structural-features.js';
import { sharedDoubles, sharedFloats, sharedInts } from '../../memory/shared-arrays.js';
import { SharedRows } from '../../memory/shared-rows.js';
import type { PairwiseModel, Tensor } from '../../model/model.js';
import { type CosineGuard, featureCount, type PairwiseConfig, structuralFeatureCount } from '../../model/pairwise.js';
import { roundTensors } from '../../model/round-network.js';
import type {
  EdgeSample,
  EpochResult,
  EpochTask,
  NetworkState,
  PairwiseEpoch,
  PairwiseSettings,
  PairwiseTrainingJob,
  RangeTask,
  ScoreTask,
  TrainingTask,
} from './job.js';
import { layersOf } from './mlp-step.js';
import { sampleEdges, type TrainingPairs, trainingPairs } from './pairs.js';
import { rangesOf, startTrainingThreads } from './threads.js';

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
  maxEdges: 2 ** 19,
};

export interface PairwiseTrainingSet {
  readonly lists: NeighbourLists;
  /** Keyed by the smaller end. */
  readonly edges: CandidateEdges;
  /** Identity of each node, −1 where not known [n]. */
  readonly labels: Int32Array;
  /** Groups of nodes that are held out together [n], −1 where the identity is not known; by default the identity. */
  readonly groups?: Int32Array | undefined;
  /** Which groups are known to be different, by their order of first appearance; by default any two. */
  readonly differences?: Differences | undefined;
}

/** The quality of the fold networks of a round on the edges between known identities that they did not see. */
export interface PairwiseRound {
  readonly round: number;
  readonly edges: number;
  readonly auc: number;
  readonly accuracy: number;
  readonly loss: number;
}

/**
 * The state of training between two epochs: plain numbers, and arrays by name. Random numbers need no state: they depend on
 * the seed, round, network and epoch.
 */
export interface PairwiseState {
  readonly round: number;
  /** Epochs that each network of the round has done [folds + 1]. */
  readonly done: readonly number[];
  /** Epochs by round, network and number. */
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
  /** Hears about each epoch, with the state after it, one at a time; its arrays are not changed any more. */
  readonly onEpoch?: ((epoch: PairwiseEpoch, state: PairwiseState) => void | Promise<void>) | undefined;
  /** Hears about each round, with the scores of all edges by its fold networks [E] and the epochs so far. */
  readonly onRound?:
    | ((round: PairwiseRound, scores: Float32Array, epochs: readonly PairwiseEpoch[]) => void)
    | undefined;
  /** Default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Threads of `startTrainingThreads`, where the caller has some; by default training starts and ends its own. */
  readonly executor?: Executor | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PairwiseTraining {
  readonly model: PairwiseModel;
  /** Scores of all edges, in the model's last round, by networks that saw neither end's identity: to calibrate by [E]. */
  readonly scores: Float32Array;
  readonly epochs: readonly PairwiseEpoch[];
  /** The results of all rounds that were trained; the last may be one that the model does without. */
  readonly rounds: readonly PairwiseRound[];
}

/**
 * Throws BAD_SHAPE when lists, edges and labels do not fit together, BAD_INPUT when the pairs of some network are all of
 * one kind, CANCELLED after an abort: the state that `onEpoch` was given last goes on from there.
 */
export async function trainPairwise(
  { lists, edges, labels, groups, differences }: PairwiseTrainingSet,
  options: PairwiseTrainingOptions = {},
): Promise<PairwiseTraining> {
  const settings = { ...pairwiseDefaults, ...options.settings };
  const { folds, hidden, rounds, k, sampleHops, seed } = settings;
  const { nodeCount, targets } = edges;
  if (labels.length !== nodeCount) {
    throw new NaanError('BAD_SHAPE', `labels: got ${labels.length}, expected one for each of ${nodeCount} nodes`);
  }
  checkLists(lists, edges, k);
  const pairs = trainingPairs(edges, labels, folds, seed, groups, differences);
  const sample = sampleEdges(pairs, settings.maxEdges, seed);
  checkFolds(sample, folds);
  const progress = new TrainingProgress(targets.length, folds, options.state);
  const executor = options.executor ?? startTrainingThreads(options.threads ?? availableCores());
  const run = new TrainingRun(executor, settings, { lists, edges, pairs, sample }, options);
  let guard: CosineGuard | undefined;
  try {
    await run.describeGraph();
    while (progress.round < rounds && !progress.isWorse) {
      const { round } = progress;
      const units = [featureCount(round), ...hidden, 1];
      await run.beginRound(round, units, progress.previous);
      await run.trainNetworks(progress);
      // Cosines are the same in every round.
      guard ??= guardOf(run.job.table, units[0], sample);
      const scores = await run.scoreByFold(progress.networks.slice(0, folds) as NetworkState[], guard);
      progress.finishRound(units, scores, judge(round, scores, pairs));
      options.onRound?.(progress.rounds[round], scores, progress.epochs);
    }
  } finally {
    run.end();
    if (!options.executor) await executor.close();
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

/** Nodes or edges of a task. */
const nodesAtOnce = 2 ** 14;
const edgesOfTask = 2 ** 16;

/** The threads and the memory that they share. */
class TrainingRun {
  job: PairwiseTrainingJob;
  private readonly stop = () => void Atomics.store(this.job.cancel, 0, 1);

  constructor(
    private readonly executor: Executor,
    settings: PairwiseSettings,
    given: { lists: NeighbourLists; edges: CandidateEdges; pairs: TrainingPairs; sample: EdgeSample },
    private readonly options: PairwiseTrainingOptions,
  ) {
    const { lists, edges, pairs, sample } = given;
    const { nodeCount, targets } = edges;
    this.job = {
      version: 0,
      round: 0,
      settings,
      units: [],
      lists,
      edges,
      reverse: reverseEdges(edges),
      listSummaries: sharedFloats(nodeCount * listSummaryWidth),
      scoreSummaries: sharedDoubles(nodeCount * summaryWidth),
      structure: SharedRows.allocate(targets.length, structuralFeatureCount).handle(),
      foldOfKey: pairs.foldOfKey,
      sample,
      table: sharedFloats(0),
      previous: sharedFloats(0),
      scores: sharedFloats(targets.length),
      cancel: sharedInts(1),
    };
    options.signal?.addEventListener('abort', this.stop);
    if (options.signal?.aborted) this.stop();
  }

  /** Computes the features of the graph that every round reads. */
  async describeGraph(): Promise<void> {
    const { nodeCount, targets } = this.job.edges;
    await this.inRanges('summariseLists', nodeCount, nodesAtOnce);
    await this.inRanges('structure', targets.length, edgesOfTask);
  }

  /** Features of the sample. `previous` [E]: the scores of the round before. */
  async beginRound(round: number, units: readonly number[], previous: Float32Array): Promise<void> {
    const { job } = this;
    const { length } = job.sample.edges;
    const size = length * units[0];
    const table = job.table.length === size ? job.table : sharedFloats(size);
    // The scores of the round before the last have been read.
    const scores =
      job.scores === previous ? (job.previous.length > 0 ? job.previous : sharedFloats(previous.length)) : job.scores;
    this.job = { ...job, version: job.version + 1, round, units, table, previous, scores };
    if (round > 0) await this.inRanges('summariseScores', job.edges.nodeCount, nodesAtOnce);
    await this.inRanges('tabulate', length, edgesOfTask);
  }

  /** All passes that are left of the networks of the round, side by side. */
  async trainNetworks(progress: TrainingProgress): Promise<void> {
    const { epochs } = this.job.settings;
    let told = Promise.resolve();
    const onEpoch = this.options.onEpoch ?? (() => {});
    const train = async (network: number) => {
      while (progress.done[network] < epochs) {
        const task: EpochTask = {
          kind: 'epoch',
          network,
          epoch: progress.done[network],
          state: progress.networks[network],
        };
        await this.runAll<EpochTask, EpochResult>([task], (_, { epoch, state }) => {
          progress.finishEpoch(epoch, state);
          const after = progress.state();
          told = told.then(() => onEpoch(epoch, after));
        });
        await told;
      }
    };
    const failures: unknown[] = [];
    await Promise.all(
      progress.done.map((_, network) =>
        train(network).catch((error) => {
          failures.push(error);
          this.stop();
        }),
      ),
    );
    if (failures.length > 0) throw failures[0];
  }

  /** Scores of all edges, each by the network that its fold was held out from. */
  async scoreByFold(networks: readonly NetworkState[], guard: CosineGuard | undefined): Promise<Float32Array> {
    const ranges = rangesOf(this.job.scores.length, edgesOfTask);
    await this.runAll(ranges.map((range): ScoreTask => ({ kind: 'score', ...range, networks, guard })));
    return this.job.scores;
  }

  end(): void {
    this.options.signal?.removeEventListener('abort', this.stop);
  }

  private inRanges(kind: RangeTask['kind'], count: number, atOnce: number): Promise<void> {
    return this.runAll(rangesOf(count, atOnce).map((range): RangeTask => ({ kind, ...range })));
  }

  private runAll<Task extends TrainingTask, Result>(
    tasks: readonly Task[],
    onDone?: (task: Task, result: Result) => void,
  ): Promise<void> {
    const { round } = this.job;
    const describe = (task: Task) =>
      task.kind === 'epoch'
        ? `epoch ${task.epoch + 1} of network ${task.network + 1}, round ${round + 1}`
        : `'${task.kind}' of round ${round + 1}`;
    const { signal } = this.options;
    return this.executor.runAll<Task, Result>(tasks, describe, {
      context: this.job,
      signal,
      ...(onDone && { onDone }),
    });
  }
}

/** Throws BAD_INPUT unless every network has pairs of one identity and of two to learn from. */
function checkFolds({ same, foldOfKey, foldOfTarget }: EdgeSample, folds: number): void {
  const pairCount = new Float64Array(folds);
  const positives = new Float64Array(folds);
  for (let row = 0; row < same.length; row++) {
    for (let fold = 0; fold < folds; fold++) {
      if (foldOfKey[row] === fold || foldOfTarget[row] === fold) continue;
      pairCount[fold]++;
      positives[fold] += same[row];
    }
  }
  const short = positives.findIndex((count, fold) => count === 0 || count === pairCount[fold]);
  if (short < 0) return;
  throw new NaanError(
    'BAD_INPUT',
    `labels: with one of ${folds} folds of identities held out, ${pairCount[short]} pairs of neighbours are left, ${positives[short]} of them of one identity: ` +
      'expected pairs of both kinds, from more identities or more rows of each, or from more decisions of both kinds',
  );
}

/** The moving parts, and how they become a state that can be written down. */
class TrainingProgress {
  round = 0;
  /** Epochs that each network of the round has done [folds + 1]. */
  done: number[];
  /** Scores of the round before, and in the end of the last one [E]. */
  previous: Float32Array;
  /** Epochs by round, network and number. */
  epochs: PairwiseEpoch[] = [];
  rounds: PairwiseRound[] = [];
  /** States of the networks of this round; undefined before the first epoch. */
  networks: (NetworkState | undefined)[];
  private finished = new Map<string, Tensor>();

  constructor(edgeCount: number, folds: number, state: PairwiseState | undefined) {
    this.previous = sharedFloats(edgeCount);
    this.done = new Array<number>(folds + 1).fill(0);
    this.networks = new Array<undefined>(folds + 1).fill(undefined);
    if (!state) return;
    const { tensors } = state;
    this.previous.set(tensors.get('previous')!);
    this.round = state.round;
    this.done = [...state.done];
    this.epochs = [...state.epochs];
    this.rounds = [...state.rounds];
    this.networks = this.done.map((epochs, n) => {
      const of = (part: keyof NetworkState) => tensors.get(`networks.${n}.${part}`)!.slice();
      return epochs === 0
        ? undefined
        : {
            mean: of('mean'),
            scale: of('scale'),
            parameters: of('parameters'),
            first: of('first'),
            second: of('second'),
          };
    });
    for (const [name, shape] of state.finished) this.finished.set(name, { shape, data: tensors.get(name)!.slice() });
  }

  state(): PairwiseState {
    const { round, done, epochs, rounds } = this;
    const tensors = new Map([['previous', this.previous]]);
    this.networks.forEach((network, n) => {
      for (const [part, data] of Object.entries(network ?? {})) tensors.set(`networks.${n}.${part}`, data);
    });
    const finished = [...this.finished].map(([name, { shape, data }]) => {
      tensors.set(name, data);
      return [name, shape] as const;
    });
    return { round, done: [...done], epochs: [...epochs], rounds: [...rounds], finished, tensors };
  }

  finishEpoch(epoch: PairwiseEpoch, state: NetworkState): void {
    this.networks[epoch.network] = state;
    this.done[epoch.network]++;
    const isLater = (other: PairwiseEpoch) => other.round === epoch.round && other.network > epoch.network;
    const at = this.epochs.findIndex(isLater);
    this.epochs.splice(at < 0 ? this.epochs.length : at, 0, epoch);
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
    const { mean, scale, parameters } = this.networks[this.networks.length - 1]!;
    const network = { mean, scale, layers: layersOf(parameters, units) };
    for (const [name, shape, data] of roundTensors(this.round, network)) {
      this.finished.set(name, { shape, data: data.slice() });
    }
    this.previous = scores;
    this.networks.fill(undefined);
    this.done.fill(0);
    this.round++;
  }

  modelTensors(): ReadonlyMap<string, Tensor> {
    return this.finished;
  }
}

/** Shares of the edges of one identity whose cosines are below the two ends of the guard. */
const guardShares = [0.001, 0.01];

/** The guard by the cosines of the sampled edges, the first of their features in every round. */
function guardOf(table: Float32Array, inputs: number, { same }: EdgeSample): CosineGuard | undefined {
  const cosines = new Float32Array(same.length);
  let count = 0;
  for (let row = 0; row < same.length; row++) if (same[row] === 1) cosines[count++] = table[row * inputs];
  const positives = cosines.subarray(0, count).sort();
  const [from, to] = guardShares.map((share) => positives[Math.floor(share * count)]);
  return from < to ? { from, to } : undefined;
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
  const edges = same.reduce((count, value) => count + (value >= 0 ? 1 : 0), 0);
  return { round, edges, auc: auc(scores, same), accuracy: correct / edges, loss: loss / edges };
}
