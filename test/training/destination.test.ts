import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auc } from '../../src/evaluation/auc.js';
import { RandomStream } from '../../src/graph/random.js';
import { buildKnn } from '../../src/knn/exact.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import type { ConcatConfig } from '../../src/model/concat.js';
import { Parameters, parameterCount } from '../../src/training/concat/parameters.js';
import { type ConcatSettings, trainConcat } from '../../src/training/concat/training.js';
import type { TrainingInput } from '../../src/training/concat/training-engine.js';
import { Reference } from './reference.js';

type AnyTensors = ReadonlyMap<string, ArrayLike<number>>;

const dim = 8;
const hops = { k1: 3, k2: 2, sampleHops: 6 };
const architecture = { head: 'concat', dim, heads: 1 } as const;
const learningRate = 0.01;
const weightDecay = 5e-4;
const clip = 2;
const batchPairs = 32;

/** 80 identities of six images each, near enough to each other to be confused, far enough to be told apart. */
async function problem(seed: number): Promise<TrainingInput> {
  const random = new RandomStream(seed, 1, 0);
  const labels = Int32Array.from({ length: 480 }, (_, node) => Math.floor(node / 6));
  const centres = Float32Array.from({ length: 80 * dim }, () => random.gaussian());
  const features = SharedRows.allocate(labels.length, dim);
  for (let node = 0; node < labels.length; node++) {
    const row = features.row(node);
    for (let c = 0; c < dim; c++) row[c] = centres[labels[node] * dim + c] + 0.2 * random.gaussian();
    const norm = Math.hypot(...row);
    for (let c = 0; c < dim; c++) row[c] /= norm;
  }
  const location = { kind: 'memory', name: 'problem', rows: features.handle() } as const;
  const graph = await buildKnn(location, { k: hops.sampleHops, threads: 1 });
  return { architecture, alpha: 0.2, hops, features, graph, labels, seed, threads: 1 };
}
const training = await problem(1);
const other = await problem(2);

/** All directed candidate pairs [Q × 2]. */
function candidatePairs({ graph }: TrainingInput): Int32Array {
  const pairs: number[] = [];
  for (let i = 0; i < graph.nodeCount; i++) {
    for (const j of graph.ids.subarray(i * graph.width + 1, i * graph.width + 1 + hops.sampleHops)) {
      if (j >= 0) pairs.push(i, j);
    }
  }
  return Int32Array.from(pairs);
}

interface Destination {
  readonly loss: number;
  readonly auc: number;
}

/** Loss and AUC over all candidate pairs of a set. */
function judged(input: TrainingInput, tensors: AnyTensors): Destination {
  const pairs = candidatePairs(input);
  const { loss, logits } = new Reference(input, tensors).batch(pairs);
  const gaps = Float32Array.from({ length: pairs.length / 2 }, (_, q) => logits[2 * q + 1] - logits[2 * q]);
  const same = Uint8Array.from(gaps, (_, q) => Number(input.labels[pairs[2 * q]] === input.labels[pairs[2 * q + 1]]));
  return { loss, auc: auc(gaps, same) };
}

async function byBlocks(seed: number): Promise<{ tensors: AnyTensors; steps: number }> {
  const settings: ConcatSettings = {
    heads: 1,
    alpha: 0.2,
    hops,
    learningRate,
    decay: 0.1,
    weightDecay,
    clip,
    dropout: 0,
    batch: 50,
    epochs: 2,
    passes: 60,
    seed,
  };
  const config: ConcatConfig = { ...architecture, alpha: 0.2, ...hops, provenance: {} };
  const checkpoint = { path: undefined, identity: {}, every: Number.POSITIVE_INFINITY, resume: false };
  const { model, steps } = await trainConcat(training, undefined, { settings, config, checkpoint, threads: 1 });
  return { tensors: new Map([...model.tensors].map(([name, { data }]) => [name, data])), steps };
}

/** As published: random pairs, each with its own two-hop neighbourhood, from the same initial parameters. */
function byRandomPairs(seed: number, steps: number): AnyTensors {
  const initial = new Parameters(architecture, new Float32Array(parameterCount(architecture)));
  initial.initialise(seed);
  const reference = new Reference(training, new Map(initial.names.map((name) => [name, initial.get(name)])));
  const pairs = candidatePairs(training);
  const random = new RandomStream(seed, 1000, 0);
  for (let step = 0; step < steps; step++) {
    const batch = new Int32Array(2 * batchPairs);
    for (let q = 0; q < batchPairs; q++) {
      const from = 2 * random.below(pairs.length / 2);
      batch.set(pairs.subarray(from, from + 2), 2 * q);
    }
    const rate = step < steps / 2 ? learningRate : learningRate / 10;
    reference.update(reference.batch(batch).gradient, { learningRate: rate, weightDecay, clip });
  }
  return reference.parameters;
}

test('training by blocks arrives where training by random pairs arrives', async (t) => {
  const found = { blocks: { seen: [] as Destination[], unseen: [] as Destination[] }, pairs: { seen: [], unseen: [] } };
  const keep = (runs: Record<'seen' | 'unseen', Destination[]>, tensors: AnyTensors) => {
    runs.seen.push(judged(training, tensors));
    runs.unseen.push(judged(other, tensors));
  };
  for (const seed of [1, 2, 3]) {
    const { tensors, steps } = await byBlocks(seed);
    keep(found.blocks, tensors);
    keep(found.pairs, byRandomPairs(seed, steps));
  }
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = (values: number[]) =>
    values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1);
  for (const set of ['seen', 'unseen'] as const) {
    for (const measure of ['loss', 'auc'] as const) {
      const [a, b] = [found.blocks, found.pairs].map((runs) => runs[set].map((run) => run[measure]));
      const noise = Math.sqrt((variance(a) + variance(b)) / a.length);
      const told = `${measure}, ${set}: ${a.map((x) => x.toFixed(4))} by blocks, ${b.map((x) => x.toFixed(4))} by pairs`;
      t.diagnostic(told);
      assert.ok(Math.abs(mean(a) - mean(b)) <= 3 * noise + 0.01, told);
    }
  }
  assert.ok(
    found.blocks.seen.every(({ auc }) => auc > 0.75),
    'and that is a place worth arriving at',
  );
});
