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

/** People whose images differ most in a few directions that all people share, as in embeddings that were made for other images. */
function people(count: number, size: number, nuisance: number, seed: number, noise = 0.5) {
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
      rows[row * dim + c] = centre[c] + noise * random.gaussian() + variation;
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

test('cosines that training learns from are no better than those of other people after the same whitening', async () => {
  const [known, met] = [people(40, 3, 0.5, 1, 1), people(40, 3, 0.5, 2, 1)];
  const rowsOf = ({ features: { rows } }: typeof known) => {
    const shared = SharedRows.allocate(rows.length / dim, dim);
    for (let row = 0; row < shared.rowCount; row++) {
      const own = rows.slice(row * dim, (row + 1) * dim);
      normaliseRows(own, 0, 1, dim, 'rows');
      shared.row(row).set(own);
    }
    return shared;
  };
  const aucOf = ({ ids, similarities, width }: NeighbourLists, truth: Int32Array) => {
    const listed = Array.from(truth.keys()).flatMap((row) => Array.from({ length: 8 }, (_, c) => row * width + c + 1));
    const same = listed.map((at) => Number(truth[Math.floor(at / width)] === truth[ids[at]]));
    return auc(
      Float32Array.from(listed, (at) => similarities[at]),
      Uint8Array.from(same),
    );
  };
  const rows = rowsOf(known);
  const graph = await graphOf(known.features);
  const whitening = await findWhitening({ rows, dim, graph, labels: known.truth });
  assert.ok(whitening);
  const { lists } = await labelledLists(rows, graph, known.truth, { k: 8, seed: 1, whitening });
  const others = rowsOf(met);
  await whitenRows(others, whitening.whitening);
  const unseen = aucOf(withSimilarities(await graphOf(met.features), others), met.truth);
  const learntFrom = aucOf(lists, known.truth);
  assert.ok(learntFrom < unseen + 0.08, `${learntFrom} of the set, ${unseen} of others`);
});

test('a model of embeddings that suit the set leaves them as they are', async (t) => {
  const folder = temporaryFolder(t);
  const model = await trained(people(60, 12, 0, 1), join(folder, 'plain.safetensors'));
  assert.ok(model.config.head === 'pairwise' && model.config.dim === undefined);
});
