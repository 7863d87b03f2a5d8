/** People whose images lie in tight groups far from their mean, as of an age or a camera: what was decided of them holds when rows join. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { RandomStream } from '../../src/graph/random.js';
import { readLabels } from '../../src/io/labels.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { add } from '../../src/jobs/add.js';
import { label } from '../../src/jobs/label.js';
import { generalModel } from '../../src/model/general.js';
import { temporaryFolder } from '../cli/naan.js';

const folder = temporaryFolder(after);
const people = 200;
const lobes = 3;
const rowsOfALobe = 5;
const dim = 64;
const threads = 1;
const oldCount = people * lobes * rowsOfALobe;
const newCount = people * lobes;
const personOf = (row: number) => Math.floor((row < oldCount ? row / rowsOfALobe : row - oldCount) / lobes);

/** Unit rows [n × d], those that join behind the others: a lobe is as much of a look that many people have as of its person. */
function madeRows(): Float32Array {
  const random = new RandomStream(11, 1, 0);
  const gaussians = (count: number) => {
    const values = new Float32Array(count * dim);
    random.gaussians(values);
    return values;
  };
  const [looks, persons, ways] = [gaussians(8), gaussians(people), gaussians(people * lobes)];
  const rows = gaussians(oldCount + newCount);
  for (let row = 0; row < oldCount + newCount; row++) {
    const lobe = row < oldCount ? Math.floor(row / rowsOfALobe) : row - oldCount;
    const person = Math.floor(lobe / lobes);
    const look = (person * 5 + (lobe % lobes) * (1 + (person % 3))) % 8;
    let sum = 0;
    for (let c = 0; c < dim; c++) {
      const of = persons[person * dim + c] + 1.2 * looks[look * dim + c] + 0.6 * ways[lobe * dim + c];
      rows[row * dim + c] = of + 0.45 * rows[row * dim + c];
      sum += rows[row * dim + c] ** 2;
    }
    for (let c = 0; c < dim; c++) rows[row * dim + c] /= Math.sqrt(sum);
  }
  return rows;
}

/** The identity whose mean is nearest to each of some rows. */
function nearestMeans(rows: Float32Array, labels: Int32Array, some: readonly number[]): number[] {
  const sums = new Map<number, Float64Array>();
  labels.forEach((id, row) => {
    const sum = sums.get(id) ?? new Float64Array(dim);
    for (let c = 0; c < dim; c++) sum[c] += rows[row * dim + c];
    sums.set(id, sum);
  });
  const means = [...sums].map(([id, sum]) => ({ id, sum, norm: Math.hypot(...sum) }));
  return some.map((row) => {
    let best = { id: -1, cosine: -2 };
    for (const { id, sum, norm } of means) {
      let cosine = 0;
      for (let c = 0; c < dim; c++) cosine += (rows[row * dim + c] * sum[c]) / norm;
      if (cosine > best.cosine) best = { id, cosine };
    }
    return best.id;
  });
}

test('of 30 % of people who were curated all rows keep their identity when a fifth as many rows join, where the nearest mean loses some', async (t) => {
  const rows = madeRows();
  const at = (name: string) => join(folder, name);
  await writeNpy(at('old.npy'), 'f4', [oldCount, dim], rows.subarray(0, oldCount * dim));
  await writeNpy(at('new.npy'), 'f4', [newCount, dim], rows.subarray(oldCount * dim));
  const model = generalModel;
  const first = { features: at('old.npy'), saveKnn: at('knn.npy'), model, out: at('first'), threads };
  await label(first);
  const isCurated = (row: number) => personOf(row) % 10 < 3;
  const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);
  const decisions = range(0, people).filter((person) => person % 10 < 3);
  const each = lobes * rowsOfALobe;
  const lines = decisions.map((person) =>
    JSON.stringify({
      id: String(person),
      time: '2026-11-27T06:00:00Z',
      kind: 'name',
      name: `person ${person}`,
      items: range(person * each, (person + 1) * each),
    }),
  );
  writeFileSync(at('decisions.jsonl'), `${lines.join('\n')}\n`);
  const curated = { features: at('old.npy'), knn: at('knn.npy'), model, previous: at('first'), threads };
  await label({ ...curated, constraints: at('decisions.jsonl'), out: at('curated') });
  await add({ run: at('curated'), features: at('new.npy'), out: at('added'), threads });

  const { codes: before } = await readLabels(at('curated/old_labels.npy'));
  const { codes: now } = await readLabels(at('added/features_labels.npy'));
  const some = range(0, oldCount).filter(isCurated);
  const kept = some.filter((row) => now[row] === before[row]);
  assert.equal(kept.length, some.length);
  const means = nearestMeans(rows, before, some);
  const keptByMean = some.filter((row, i) => means[i] === before[row]).length;
  assert.ok(keptByMean < 0.99 * some.length, `${keptByMean} of ${some.length}`);

  const joined = range(oldCount, oldCount + newCount).filter(isCurated);
  const identityOf = (row: number) => before[personOf(row) * each];
  const came = joined.filter((row) => now[row] === identityOf(row)).length;
  const nearest = nearestMeans(rows, before, joined);
  const cameByMean = joined.filter((row, i) => nearest[i] === identityOf(row)).length;
  t.diagnostic(
    `curated rows that keep their identity: ${kept.length} of ${some.length}, by the nearest mean ${keptByMean}; ` +
      `new rows of these people that come to them: ${came} of ${joined.length}, by the nearest mean ${cameByMean}`,
  );
  assert.ok(came > cameByMean, `${came} of ${joined.length}, by the nearest mean ${cameByMean}`);
});
