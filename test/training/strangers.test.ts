import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { RandomStream } from '../../src/graph/random.js';
import { knn, label, train } from '../../src/index.js';

const dim = 64;

/** People of some rows each, then strangers of one, about a direction that all rows share. */
function people(count: number, size: number, strangers: number, seed: number) {
  const random = new RandomStream(seed, 0, 0);
  const vector = () => Float64Array.from({ length: dim }, () => random.gaussian() / Math.sqrt(dim));
  const common = vector();
  const rows = new Float32Array((count * size + strangers) * dim);
  const truth = new Int32Array(count * size + strangers);
  let centre = common;
  for (let row = 0; row < truth.length; row++) {
    const person = row < count * size ? Math.floor(row / size) : count + row;
    if (row === 0 || person !== truth[row - 1]) centre = vector();
    truth[row] = person;
    const noise = vector();
    for (let c = 0; c < dim; c++) rows[row * dim + c] = centre[c] + 0.7 * noise[c] + 0.5 * common[c];
  }
  return { features: { rows, dim }, truth };
}

test('a model that was trained on people of many images does not trust strangers', async () => {
  const known = people(60, 15, 0, 1);
  const { model } = await train({
    features: known.features,
    labels: known.truth,
    knn: (await knn(known.features, { k: 20, method: 'exact' })).graph,
    epochs: 4,
    batch: 256,
  });
  assert.ok(model.config.head === 'pairwise' && model.config.guard);

  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  const labelled = async (features: { rows: Float32Array; dim: number }) => {
    const { graph } = await knn(features, { k: 20, method: 'exact' });
    notices.length = 0;
    return label({ features, knn: graph, model, onNotice });
  };
  // Other people of as many images are what it was trained on, and nothing is said.
  await labelled(people(30, 15, 0, 3).features);
  assert.deepEqual(
    notices.filter((notice) => notice.includes('outside')),
    [],
  );

  const met = people(20, 15, 300, 2);
  const { labels } = await labelled(met.features);
  const { bcubed } = evaluate(labels, met.truth).all;
  assert.ok(bcubed.f > 0.99, JSON.stringify(bcubed));

  const rows = new Float32Array(dim * dim);
  for (let i = 0; i < dim; i++) rows[i * dim + i] = 1;
  const { summary } = await labelled({ rows, dim });
  assert.equal(summary.clusters, dim);
  const outside = notices.filter((notice) => notice.includes('outside what the model was trained on'));
  assert.equal(outside.length, 1);
  assert.match(outside[0], /cosines to the nearest neighbour of 0 at the median, in training 0\.\d+; /);
});
