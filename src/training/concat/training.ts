/**
 * Trains attention and the concat head by blocks (training-engine.ts), epoch after epoch, each followed by a judgement on
 * the held-out identities; the best epoch's parameters are the model.
 *
 * One *cut* puts every node in one block. An epoch is `passes` cuts, as a cut holds only a part of the candidate pairs
 * and gives few steps; the learning rate falls from epoch to epoch.
 */
import { trainingDefaults } from '../../defaults.js';
import { NaanError } from '../../errors.js';
import type { ConcatConfig } from '../../model/concat.js';
import type { ConcatModel } from '../../model/model.js';
import type { ProgressListener } from '../../progress.js';
import { readCheckpoint, writeCheckpoint } from '../checkpoint.js';
import { type HeldOut, type Judgement, judge } from '../held-out.js';
import type { TrainingHooks } from '../trained.js';
import type { TrainingPart } from '../training-set.js';
import { balancedWeights, coverageOf, cutBlocks } from './blocks.js';
import type { Hops } from './closure.js';
import { TrainingEngine } from './training-engine.js';

export interface ConcatSettings {
  /** Attention heads M. */
  readonly heads: number;
  /** Slope of LeakyReLU below zero. */
  readonly alpha: number;
  /** Neighbourhoods and candidate pairs in training. */
  readonly hops: Hops;
  readonly learningRate: number;
  /** The learning rate is multiplied by this after each epoch. */
  readonly decay: number;
  readonly weightDecay: number;
  readonly clip: number;
  /** Share of attention entries dropped. */
  readonly dropout: number;
  /** Nodes of a block. */
  readonly batch: number;
  readonly epochs: number;
  /** Cuts of an epoch. */
  readonly passes: number;
  readonly seed: number;
}

export interface TrainedEpoch {
  readonly epoch: number;
  readonly learningRate: number;
  readonly steps: number;
  /** Pairs trained on, and those of one identity among them. */
  readonly pairs: number;
  readonly positives: number;
  /** Means over the pairs of the epoch, in training. */
  readonly loss: number;
  readonly accuracy: number;
  /** Mean over steps, before clipping. */
  readonly gradientNorm: number;
  /** Mean loss of each pass. */
  readonly passes: readonly number[];
  /** Measures on identities held out; undefined where there are none. */
  readonly heldOut?: Judgement;
}

export interface ConcatTrainingOptions extends Omit<TrainingHooks, 'onReport'> {
  readonly settings: ConcatSettings;
  /** The model's configuration: what it is labelled with, without what calibration adds. */
  readonly config: ConcatConfig;
  readonly threads?: number | undefined;
  readonly onEpoch?: ((epoch: TrainedEpoch) => void) | undefined;
}

export interface ConcatTraining {
  readonly model: ConcatModel;
  readonly epochs: readonly TrainedEpoch[];
  /** The epoch that the model is of. */
  readonly bestEpoch: number;
  readonly steps: number;
}

/** The values that a checkpoint holds besides tensors. The counts `steps` are the engine's. */
interface State {
  epoch: number;
  pass: number;
  /** The next block of the pass. */
  block: number;
  steps: number;
  /** Sums over the epoch so far, and the loss over the pass so far. */
  sums: { steps: number; pairs: number; positives: number; correct: number; loss: number; norm: number };
  passSums: { pairs: number; loss: number };
  passes: number[];
  epochs: TrainedEpoch[];
  best: { epoch: number; f: number };
}

/** Epochs without a better one after which training stops. */
const patience = 2;
/**
 * Nodes of the cells that blocks are made of. Small ones mix more identities in a block: at equal steps cells of 16 reached
 * a held-out AUC of .859 where cells of 64 reached .847 (bench/destination.ts).
 */
export const cellNodes = 16;
const progressIntervalMs = 200;

const emptySums = () => ({ steps: 0, pairs: 0, positives: 0, correct: 0, loss: 0, norm: 0 });

/** Throws what `TrainingEngine` throws; CANCELLED after an abort, once a checkpoint is written. */
export async function trainConcat(
  training: TrainingPart,
  heldOut: HeldOut | undefined,
  options: ConcatTrainingOptions,
): Promise<ConcatTraining> {
  const { settings, config, checkpoint, threads, signal, observer } = options;
  const { every = trainingDefaults.checkpointEvery } = checkpoint;
  const { alpha, hops, seed } = settings;
  const architecture = { head: 'concat', dim: config.dim, heads: config.heads } as const;
  const engine = new TrainingEngine({ architecture, alpha, hops, seed, threads, ...training });
  engine.parameters.initialise(seed);
  const best = engine.parameters.data.slice();
  let state: State = {
    epoch: 0,
    pass: 0,
    block: 0,
    steps: 0,
    sums: emptySums(),
    passSums: { pairs: 0, loss: 0 },
    passes: [],
    epochs: [],
    best: { epoch: -1, f: -1 },
  };
  const tensors = new Map([
    ['parameters', engine.parameters.data],
    ['moments.first', engine.firstMoments],
    ['moments.second', engine.secondMoments],
    ['best', best],
  ]);
  const save = async () => {
    if (checkpoint.path === undefined) return;
    await checkpoint.checkOwned?.();
    await writeCheckpoint<State>(checkpoint.path, { identity: checkpoint.identity, state, tensors });
  };
  const restore = (path: string) => {
    const found = readCheckpoint<State>(path, checkpoint.identity);
    if (!found) return options.onNotice?.(`${path}: no checkpoint yet, training starts from the beginning`);
    for (const [name, data] of tensors) data.set(found.tensors.get(name)!);
    state = found.state;
    engine.steps = state.steps;
    options.onNotice?.(`goes on from step ${state.steps}, epoch ${state.epoch + 1} of ${settings.epochs}`);
  };
  const progress = progressOf(settings, options.onProgress);

  /** One pass over the blocks of a cut. */
  const runPass = async (learningRate: number) => {
    const cut = state.epoch * settings.passes + state.pass;
    const blocks = cutBlocks(training.graph, {
      blockNodes: settings.batch,
      cellNodes,
      seed,
      epoch: cut,
    });
    const classWeights = balancedWeights(coverageOf(training.graph, training.labels, hops.sampleHops, blocks));
    const { weightDecay, clip, dropout } = settings;
    let next = state.block < blocks.length ? engine.prepare(blocks[state.block]) : undefined;
    while (next !== undefined) {
      signal?.throwIfAborted();
      const closure = next;
      const hasPairs = closure.targets.length > 0;
      const step = hasPairs
        ? engine.step(closure, { learningRate, weightDecay, clip, dropout, classWeights })
        : undefined;
      next = state.block + 1 < blocks.length ? engine.prepare(blocks[state.block + 1]) : undefined;
      const result = await step;
      state.block++;
      if (result === undefined) continue;
      const { loss, pairs, positives, correct, gradientNorm } = result;
      if (!Number.isFinite(loss)) {
        throw new NaanError(
          'DIVERGED',
          `the loss of step ${engine.steps} is ${loss}: expected a lower --lr than ${learningRate}`,
        );
      }
      state.steps = engine.steps;
      const { sums, passSums } = state;
      sums.steps++;
      sums.pairs += pairs;
      sums.positives += positives;
      sums.correct += correct;
      sums.loss += loss * pairs;
      sums.norm += gradientNorm;
      passSums.pairs += pairs;
      passSums.loss += loss * pairs;
      observer?.steps({ round: state.epoch + 1, steps: 1, pairs, loss, learningRate, gradientNorm });
      progress(state, pairs, blocks.length);
      if (state.steps % every === 0) await save();
    }
    state.passes.push(state.passSums.loss / state.passSums.pairs);
    state.passSums = { pairs: 0, loss: 0 };
    state.block = 0;
    state.pass++;
  };

  try {
    if (checkpoint.resume && checkpoint.path !== undefined) restore(checkpoint.path);
    for (; state.epoch < settings.epochs && !hasStopped(state); ) {
      const learningRate = settings.learningRate * settings.decay ** state.epoch;
      while (state.pass < settings.passes) await runPass(learningRate);
      signal?.throwIfAborted();
      const judgement = heldOut && (await judge(engine.parameters.toModel(config), heldOut, { threads, signal }));
      const { steps, pairs, positives, correct, loss, norm } = state.sums;
      const epoch: TrainedEpoch = {
        epoch: state.epoch + 1,
        learningRate,
        steps,
        pairs,
        positives,
        loss: loss / pairs,
        accuracy: correct / pairs,
        gradientNorm: norm / steps,
        passes: state.passes,
        ...(judgement && { heldOut: judgement }),
      };
      const f = judgement ? judgement.partitions[judgement.partition].bcubed.f : state.epoch;
      if (f > state.best.f) {
        best.set(engine.parameters.data);
        state.best = { epoch: epoch.epoch, f };
      }
      state.epochs.push(epoch);
      Object.assign(state, { epoch: state.epoch + 1, pass: 0, sums: emptySums(), passes: [] });
      await save();
      options.onEpoch?.(epoch);
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
    // A step that had begun has ended, so the state is that after a whole number of steps.
    await save();
    throw new NaanError('CANCELLED', 'cancelled', { cause: error });
  } finally {
    await engine.close();
  }
  engine.parameters.data.set(best);
  const { epochs, steps } = state;
  return { model: engine.parameters.toModel(config), epochs, bestEpoch: state.best.epoch, steps };
}

function hasStopped({ epochs, best }: State): boolean {
  return epochs.length - best.epoch >= patience && best.epoch > 0;
}

/** Tells about pairs done; how many there will be is reckoned from the blocks done so far. */
function progressOf(
  { epochs, passes }: ConcatSettings,
  onProgress: ProgressListener | undefined,
): (state: State, pairs: number, blocks: number) => void {
  let told = 0;
  let pairsDone = 0;
  let begun: number | undefined;
  return (state, pairs, blocks) => {
    pairsDone += pairs;
    const share = (state.epoch + (state.pass + state.block / blocks) / passes) / epochs;
    begun ??= share - 1 / blocks / passes / epochs;
    if (onProgress === undefined || performance.now() - told < progressIntervalMs) return;
    told = performance.now();
    const perShare = pairsDone / (share - begun);
    const from = Math.round(begun * perShare);
    onProgress({ stage: 'train', done: from + pairsDone, total: Math.round(perShare), from, unit: 'pairs' });
  };
}
