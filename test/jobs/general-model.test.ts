/** The model that comes with naan labels sets that it knows nothing of. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { RandomStream } from '../../src/graph/random.js';
import { generate, label } from '../../src/index.js';
import { digestFile } from '../../src/io/digest.js';
import { readLabels } from '../../src/io/labels.js';
import { generalModel } from '../../src/model/general.js';
import { temporaryFolder } from '../io/python.js';

const digest = createHash('sha256').update(readFileSync(generalModel)).digest('hex');

test('the packed model is the one that its script says it wrote', () => {
  const record = JSON.parse(readFileSync(generalModel.replace('.safetensors', '.json'), 'utf8'));
  assert.equal(digest, record.sha256);
  assert.ok(record.bytes < 50_000);
});

test('label takes it when no model is given, says so once, and names it in run.json', async (t) => {
  const folder = temporaryFolder(t);
  const out = join(folder, 'set');
  await generate({ out, ids: 200, labeledIds: 0, dim: 256, k: 20, seed: 3 });
  const file = (name: string) => join(out, 'unlabeled', `split1_${name}`);
  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  const labels = join(folder, 'labels');
  const result = await label({ features: file('feats.npz'), knn: file('knn.npy'), out: labels, onNotice });
  assert.equal(notices.filter((notice) => notice.includes('general model')).length, 1);
  const { codes: truth } = await readLabels(file('labels.txt'));
  const { bcubed } = evaluate(result.labels, truth).all;
  assert.ok(bcubed.f > 0.8, JSON.stringify(bcubed));
  const run = JSON.parse(readFileSync(join(labels, 'run.json'), 'utf8'));
  assert.equal(run.options.model, generalModel);
  const named = run.inputs.find(({ path }: { path: string }) => path === generalModel);
  assert.deepEqual(named, await digestFile(generalModel));
});

const dim = 64;

test('rows at right angles are clusters of their own', async () => {
  const rows = new Float32Array(dim * dim);
  for (let i = 0; i < dim; i++) rows[i * dim + i] = 1;
  const { summary } = await label({ features: { rows, dim } });
  assert.equal(summary.clusters, dim);
});

test('people are found among strangers, whatever direction all rows share', async () => {
  for (const shared of [0, 0.6]) {
    const random = new RandomStream(5, 0, 0);
    const vector = () => Float64Array.from({ length: dim }, () => random.gaussian() / Math.sqrt(dim));
    const common = vector();
    const truth = Int32Array.from({ length: 600 }, (_, row) => (row < 300 ? Math.floor(row / 15) : row));
    const rows = new Float32Array(truth.length * dim);
    let centre = vector();
    for (const [row, person] of truth.entries()) {
      if (row > 0 && person !== truth[row - 1]) centre = vector();
      const noise = vector();
      for (let c = 0; c < dim; c++) rows[row * dim + c] = centre[c] + 0.7 * noise[c] + shared * common[c];
    }
    const { labels } = await label({ features: { rows, dim } });
    const { bcubed } = evaluate(labels, truth).all;
    assert.ok(bcubed.f > 0.99, `${shared}: ${JSON.stringify(bcubed)}`);
  }
});
