/** `naan train --head concat`: splits the set, trains by blocks, and calibrates on the identities held out. */

import { concatTrainingDefaults as defaults, labellingHops } from '../../defaults.js';
import { NaanError } from '../../errors.js';
import type { KnnGraph } from '../../graph/knn-graph.js';
import type { MatrixLocation } from '../../io/matrix.js';
import type { ConcatConfig } from '../../model/concat.js';
import type { TrainOptions } from '../options.js';
import { bestOf, calibrated, type Trained, type TrainingHooks } from '../trained.js';
import type { Trainer } from '../trainer.js';
import { checkPairs, loadTrainingSet } from '../training-set.js';
import { concatBytes } from './memory.js';
import { type ConcatSettings, type TrainedEpoch, trainConcat } from './training.js';

/** Settings from the options. Defaults of hops are cut to the neighbours that there are; hops asked for are not. */
export function concatSettings(options: Partial<TrainOptions>, listed: number, seed: number): ConcatSettings {
  const [k1, k2] = options.kHops ?? defaults.kHops.map((hops) => Math.min(hops, listed));
  const sampleHops = options.sampleHops ?? Math.min(defaults.sampleHops, listed);
  const longest = Math.max(k1, k2, sampleHops);
  const where = typeof options.knn === 'string' ? `${options.knn}: ` : '';
  if (longest > listed) {
    throw new NaanError(
      'BAD_USAGE',
      `${where}the kNN graph has ${listed} neighbours a node, expected at least ${longest} for k-hops ${k1} ${k2} and sample-hops ${sampleHops}`,
    );
  }
  if (options.kHops === undefined && k1 < defaults.kHops[0]) {
    options.onNotice?.(
      `${where}the kNN graph has ${listed} neighbours a node: k-hops ${k1} ${k2}, sample-hops ${sampleHops}`,
    );
  }
  const { heads, alpha, lr, lrDecay, weightDecay, clip, dropout, batch, epochs, passes } = {
    ...defaults,
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  };
  return {
    heads,
    alpha,
    hops: { k1, k2, sampleHops },
    learningRate: lr,
    decay: lrDecay,
    weightDecay,
    clip,
    dropout,
    batch,
    epochs,
    passes,
    seed,
  };
}

export async function runConcat(
  location: MatrixLocation,
  dim: number,
  graph: KnnGraph,
  labels: Int32Array,
  settings: ConcatSettings,
  options: TrainingHooks & {
    readonly validation: number;
    readonly provenance: ConcatConfig['provenance'];
    readonly threads?: number | undefined;
  },
): Promise<Trained> {
  const { hops, heads, alpha, seed } = settings;
  const { validation, threads, signal, onProgress, onNotice, onReport } = options;
  const config: ConcatConfig = {
    head: 'concat',
    dim,
    heads,
    alpha,
    k1: Math.min(hops.k1, labellingHops.k1),
    k2: Math.min(hops.k2, labellingHops.k2),
    sampleHops: Math.min(hops.sampleHops, labellingHops.sampleHops),
    provenance: options.provenance,
  };
  const neighbours = Math.max(config.k1, config.k2, config.sampleHops);
  const split = { validation, seed, neighbours, threads, signal, onProgress };
  const { training, heldOut, normalisedRows } = await loadTrainingSet(location, graph, labels, split);
  if (normalisedRows > 0) {
    onNotice?.(`${location.name}: ${normalisedRows} rows were not unit vectors and were normalised`);
  }
  checkPairs(training, hops.sampleHops, `the rows of ${location.name}`, 'more --sample-hops or other labels');

  const onEpoch = (epoch: TrainedEpoch) => {
    const { learningRate, loss, accuracy, heldOut: judgement } = epoch;
    onReport?.({
      unit: 'epoch',
      index: epoch.epoch,
      count: settings.epochs,
      learningRate,
      loss,
      accuracy,
      ...(judgement && { heldOut: bestOf(judgement) }),
    });
  };
  const { model, epochs, bestEpoch, steps } = await trainConcat(training, heldOut, {
    ...options,
    settings,
    config,
    onEpoch,
  });
  const { heldOut: judgement } = epochs[bestEpoch - 1];
  const losses = epochs.flatMap(({ epoch, passes }) =>
    passes.map((loss, i) => [epoch - 1 + (i + 1) / passes.length, loss] as const),
  );
  const judged = epochs.flatMap(({ epoch, heldOut }) => {
    if (!heldOut) return [];
    const { bcubed, ...measures } = bestOf(heldOut);
    return [{ at: epoch, ...measures, f: bcubed.f }];
  });
  return {
    model: judgement ? calibrated(model, judgement) : model,
    judgement,
    steps,
    pairs: epochs.reduce((sum, { pairs }) => sum + pairs, 0),
    history: { bestEpoch, heldOutNodes: heldOut?.labels.length ?? 0, epochs },
    course: { unit: 'epoch', until: epochs.length, trainingLoss: losses, heldOut: judged },
  };
}

export const concatTrainer: Trainer<ConcatSettings> = {
  defaults,
  without: [],
  takesDecisions: false,
  takesAll: true,
  fewestIdentities: (validation) => (validation > 0 ? 4 : 2),
  neighbours: ({ kHops = defaults.kHops }) => Math.max(...kHops),
  settings: concatSettings,
  memory: async (set, settings, options) => concatBytes(set, settings, options),
  lessMemory: 'a smaller --batch, or fewer --k-hops or --threads',
  run: ({ location, dim, graph, labels }, settings, options) =>
    runConcat(location, dim, graph, labels, settings, options),
};
