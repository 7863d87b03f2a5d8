/**
 * Whether training by blocks arrives where the published training arrives: held-out loss and AUC of `concat` trained by
 * blocks, and by batches of random pairs, over as many steps at the same learning rates, on a generated set, for several seeds.
 *
 *     node dist/bench/destination.js [--ids 2000] [--dim 32] [--seeds 3] [--epochs 3] [--batch 512] [--passes 20]
 */
import { parseArgs } from 'node:util';
import { plantKnn } from '../src/graph/knn-planted.js';
import { RandomStream } from '../src/graph/random.js';
import { SyntheticSet } from '../src/graph/synthetic-set.js';
import { SharedRows } from '../src/memory/shared-rows.js';
import type { ConcatConfig } from '../src/model/concat.js';
import type { ConcatModel } from '../src/model/model.js';
import { type ConcatSettings, trainConcat } from '../src/training/concat/training.js';
import { TrainingEngine } from '../src/training/concat/training-engine.js';
import { type HeldOut, judge } from '../src/training/held-out.js';
import type { TrainingPart } from '../src/training/training-set.js';
import { report, spread } from './report.js';

const { values } = parseArgs({
  options: {
    ids: { type: 'string', default: '2000' },
    dim: { type: 'string', default: '32' },
    seeds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '3' },
    batch: { type: 'string', default: '512' },
    passes: { type: 'string', default: '20' },
    lr: { type: 'string', default: '0.002' },
  },
});
const [ids, dim, seeds, epochs] = [values.ids, values.dim, values.seeds, values.epochs].map(Number);
const hops = { k1: 10, k2: 5, sampleHops: 10 };
/** Pairs of a step as published. */
const pairsOfAStep = 512;

async function partOf(split: 0 | 1): Promise<TrainingPart> {
  const set = new SyntheticSet({ seed: 1, split, dim, extent: { ids }, shuffle: false });
  const features = SharedRows.allocate(set.nodeCount, dim);
  for (let row = 0; row < set.nodeCount; row++) set.rows(row, 1, features.row(row));
  return { features, graph: await plantKnn(set, { k: 10 }), labels: set.labels() };
}

function shuffle(order: Int32Array, random: RandomStream): void {
  for (let q = order.length - 1; q > 0; q--) {
    const other = random.below(q + 1);
    [order[q], order[other]] = [order[other], order[q]];
  }
}

/** As published: each step takes the next 512 of all directed candidate pairs in random order. */
async function trainByPairs(
  part: TrainingPart,
  settings: ConcatSettings,
  config: ConcatConfig,
  stepsOfAnEpoch: number,
) {
  const { alpha, seed, learningRate, decay, weightDecay, clip, heads } = settings;
  const architecture = { head: 'concat', dim, heads } as const;
  const engine = new TrainingEngine({ architecture, alpha, hops, seed, ...part });
  engine.parameters.initialise(seed);
  const { nodeCount, width, ids: lists } = part.graph;
  const all: number[] = [];
  for (let i = 0; i < nodeCount; i++) {
    for (let c = 1; c <= hops.sampleHops; c++) if (lists[i * width + c] >= 0) all.push(i, lists[i * width + c]);
  }
  const order = Int32Array.from({ length: all.length / 2 }, (_, q) => q);
  const random = new RandomStream(seed, 1000, 0);
  let next = order.length;
  for (let step = 0; step < stepsOfAnEpoch * settings.epochs; step++) {
    if (next + pairsOfAStep > order.length) {
      shuffle(order, random);
      next = 0;
    }
    const start = next;
    const pairs = Int32Array.from({ length: 2 * pairsOfAStep }, (_, i) => all[2 * order[start + (i >> 1)] + (i & 1)]);
    next += pairsOfAStep;
    const epoch = Math.floor(step / stepsOfAnEpoch);
    const closure = engine.prepare({ nodes: Int32Array.from(new Set(pairs)), pairs });
    await engine.step(closure, { learningRate: learningRate * decay ** epoch, weightDecay, clip });
  }
  await engine.close();
  return { model: engine.parameters.toModel(config), steps: engine.steps };
}

const training = await partOf(0);
const other = await partOf(1);
const heldOut: HeldOut = {
  features: { kind: 'memory', name: 'held out', rows: other.features.handle() },
  graph: other.graph,
  labels: other.labels,
};
const found = { blocks: [] as Record<string, number>[], pairs: [] as Record<string, number>[] };
for (let seed = 1; seed <= seeds; seed++) {
  const settings: ConcatSettings = {
    heads: 1,
    alpha: 0.2,
    hops,
    learningRate: Number(values.lr),
    decay: 0.1,
    weightDecay: 5e-4,
    clip: 2,
    dropout: 0,
    batch: Number(values.batch),
    epochs,
    passes: Number(values.passes),
    seed,
  };
  const config: ConcatConfig = { head: 'concat', dim, heads: 1, alpha: 0.2, ...hops, provenance: {} };
  const checkpoint = { path: undefined, identity: {}, every: 1e9, resume: false };
  const judged = async (way: 'blocks' | 'pairs', train: () => Promise<{ model: ConcatModel; steps: number }>) => {
    const began = performance.now();
    const { model, steps } = await train();
    const seconds = (performance.now() - began) / 1000;
    const { loss, auc, accuracy, partitions } = await judge(model, heldOut, {});
    found[way].push({ seed, loss, auc, accuracy, f: partitions.threshold.bcubed.f, steps, seconds });
    console.error(way, found[way].at(-1));
    return steps;
  };
  const steps = await judged('blocks', () => trainConcat(training, undefined, { settings, config, checkpoint }));
  await judged('pairs', () => trainByPairs(training, settings, config, Math.round(steps / epochs)));
}
const over = (runs: Record<string, number>[], key: string) => spread(runs.map((run) => run[key]));
report('destination', {
  ids,
  dim,
  nodes: training.graph.nodeCount,
  ...hops,
  epochs,
  batch: Number(values.batch),
  passes: Number(values.passes),
  pairsOfAStep,
  ...found,
  loss: { blocks: over(found.blocks, 'loss'), pairs: over(found.pairs, 'loss') },
  auc: { blocks: over(found.blocks, 'auc'), pairs: over(found.pairs, 'auc') },
});
