import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { RandomStream } from '../../src/graph/random.js';
import { knn, label, readModel, train } from '../../src/index.js';
import { temporaryFolder } from '../io/python.js';

const dim = 32;

/** People whose images differ most in a few directions that all people share, as in embeddings that were made for other images. */
function people(count: number, size: number, nuisance: number, seed: number) {
  const shared = new RandomStream(3, 0, 0);
  const directions = Array.from({ length: 6 }, () => Float64Array.from({ length: dim }, () => shared.gaussian()));
  const random = new RandomStream(seed, 0, 0);
  const rows = new Float32Array(count * size * dim);
  const truth = Int32Array.from({ length: count * size }, (_, row) => Math.floor(row / size));
  let centre = new Float64Array(0);
  for (let row = 0; row < truth.length; row++) {
    if (row % size === 0) centre = Float64Array.from({ length: dim }, () => random.gaussian());
    const amounts = directions.map(() => nuisance * random.gaussian());
    for (let c = 0; c < dim; c++) {
      const variation = directions.reduce((sum, direction, m) => sum + amounts[m] * direction[c], 0);
      rows[row * dim + c] = centre[c] + 0.5 * random.gaussian() + variation;
    }
  }
  return { features: { rows, dim }, truth };
}

const graphOf = async (features: { rows: Float32Array; dim: number }) =>
  (await knn(features, { k: 20, method: 'exact' })).graph;

const trained = async (set: ReturnType<typeof people>, out: string) => {
  const graph = await graphOf(set.features);
  await train({ features: set.features, labels: set.truth, knn: graph, epochs: 3, batch: 256, out });
  return readModel(out);
};

test('a model whitens features where that tells identities held out apart, and then wants features of as many columns', async (t) => {
  const folder = temporaryFolder(t);
  const model = await trained(people(60, 12, 0.5, 1), join(folder, 'whitening.safetensors'));
  assert.ok(model.config.head === 'pairwise' && model.config.dim === dim);
  const met = people(40, 12, 0.5, 2);
  const graph = await graphOf(met.features);
  const found = await label({ features: met.features, knn: graph, model, threads: 1, saveEdges: true });
  const again = await label({ features: met.features, knn: graph, model, threads: 2, shards: 5, saveEdges: true });
  assert.deepEqual(again.edges, found.edges);
  const { bcubed } = evaluate(found.labels, met.truth).all;
  assert.ok(bcubed.f > 0.9, JSON.stringify(bcubed));
  const plain = await label({ features: met.features, knn: graph, model, backend: 'reference', saveEdges: true });
  const { scores } = plain.edges!;
  assert.ok(scores.every((score, e) => Math.abs(score - found.edges!.scores[e]) < 1e-3));

  const narrow = { rows: met.features.rows.subarray(0, 100 * (dim - 1)), dim: dim - 1 };
  await assert.rejects(label({ features: narrow, model }), { code: 'BAD_SHAPE' });
});

test('a model of embeddings that suit the set leaves them as they are', async (t) => {
  const folder = temporaryFolder(t);
  const model = await trained(people(60, 12, 0, 1), join(folder, 'plain.safetensors'));
  assert.ok(model.config.head === 'pairwise' && model.config.dim === undefined);
});
