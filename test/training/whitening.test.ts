import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { auc } from '../../src/evaluation/auc.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { RandomStream } from '../../src/graph/random.js';
import type { NeighbourLists } from '../../src/heads/pairwise/neighbour-lists.js';
import { withSimilarities } from '../../src/heads/pairwise/similarities.js';
import { knn, label, readModel, train } from '../../src/index.js';
import { normaliseRows } from '../../src/io/normalise.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import { labelledLists } from '../../src/training/pairwise/strangers.js';
import { findWhitening, whitenRows } from '../../src/training/pairwise/whitening.js';
import { temporaryFolder } from '../io/python.js';

const dim = 32;

/**
 * People whose images differ most in a few directions that all people share, as in embeddings that were made for other images; then
 * strangers, of one image each. `common`: how far all of the set lie to one side, which is another one in every set.
 */
function people(
  count: number,
  size: number,
  nuisance: number,
  seed: number,
  { noise = 0.5, strangers = 0, common = 0 }: { noise?: number; strangers?: number; common?: number } = {},
) {
  const shared = new RandomStream(3, 0, 0);
  const vector = (random: RandomStream) => Float64Array.from({ length: dim }, () => random.gaussian());
  const directions = Array.from({ length: 6 }, () => vector(shared));
  const side = vector(new RandomStream(seed, 1, 0));
  const random = new RandomStream(seed, 0, 0);
  const known = count * size;
  const truth = Int32Array.from({ length: known + strangers }, (_, row) =>
    row < known ? Math.floor(row / size) : count + row - known,
  );
  const rows = new Float32Array(truth.length * dim);
  let centre = new Float64Array(0);
  for (let row = 0; row < truth.length; row++) {
    if (row === 0 || truth[row] !== truth[row - 1]) centre = vector(random);
    const amounts = directions.map(() => nuisance * random.gaussian());
    for (let c = 0; c < dim; c++) {
      const variation = directions.reduce((sum, direction, m) => sum + amounts[m] * direction[c], 0);
      rows[row * dim + c] = centre[c] + noise * random.gaussian() + variation + common * side[c];
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

const rowsOf = ({ features: { rows } }: ReturnType<typeof people>) => {
  const shared = SharedRows.allocate(rows.length / dim, dim);
  for (let row = 0; row < shared.rowCount; row++) {
    const own = rows.slice(row * dim, (row + 1) * dim);
    normaliseRows(own, 0, 1, dim, 'rows');
    shared.row(row).set(own);
  }
  return shared;
};

/** Of the cosines of the first neighbours in the lists. */
const aucOf = ({ ids, similarities, width }: NeighbourLists, truth: Int32Array) => {
  const listed = Array.from(truth.keys()).flatMap((row) => Array.from({ length: 8 }, (_, c) => row * width + c + 1));
  const same = listed.map((at) => Number(truth[Math.floor(at / width)] === truth[ids[at]]));
  return auc(
    Float32Array.from(listed, (at) => similarities[at]),
    Uint8Array.from(same),
  );
};

test('cosines that training learns from are no better than those of other people after the same whitening', async () => {
  const [known, met] = [people(40, 3, 0.5, 1, { noise: 1 }), people(40, 3, 0.5, 2, { noise: 1 })];
  const rows = rowsOf(known);
  const graph = await graphOf(known.features);
  const whitening = await findWhitening({ rows, dim, graph, labels: known.truth });
  assert.ok(whitening);
  const { lists } = await labelledLists(rows, graph, known.truth, { k: 8, seed: 1, whitening });
  const others = rowsOf(met);
  const handle = others.handle();
  await whitenRows({ rows: handle, whitened: handle, whitening: whitening.whitening }, 0, others.rowCount);
  const unseen = aucOf(withSimilarities(await graphOf(met.features), others), met.truth);
  const learntFrom = aucOf(lists, known.truth);
  assert.ok(learntFrom < unseen + 0.08, `${learntFrom} of the set, ${unseen} of others`);
});

test('a whitening is taken from embeddings that are good already, where it leaves far fewer pairs the wrong way round', async () => {
  const set = people(60, 12, 0.1, 1);
  const rows = rowsOf(set);
  const graph = await graphOf(set.features);
  assert.ok(aucOf(withSimilarities(graph, rows), set.truth) > 0.98);
  assert.ok(await findWhitening({ rows, dim, graph, labels: set.truth }));
});

test('a whitening does not join strangers of a set that lies to another side than the set which it was found from', async (t) => {
  const folder = temporaryFolder(t);
  const model = await trained(people(60, 12, 0.5, 1, { common: 0.7 }), join(folder, 'shifted.safetensors'));
  assert.ok(model.config.head === 'pairwise' && model.config.dim === dim);
  const met = people(20, 12, 0.5, 2, { common: 0.7, strangers: 200 });
  const { labels } = await label({ features: met.features, knn: await graphOf(met.features), model });
  const { bcubed } = evaluate(labels, met.truth).all;
  assert.ok(bcubed.f > 0.85, JSON.stringify(bcubed));
});

test('a model of embeddings that suit the set leaves them as they are', async (t) => {
  const folder = temporaryFolder(t);
  const model = await trained(people(60, 12, 0, 1), join(folder, 'plain.safetensors'));
  assert.ok(model.config.head === 'pairwise' && model.config.dim === undefined);
});
