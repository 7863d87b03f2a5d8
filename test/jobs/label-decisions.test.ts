import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { locateSource } from '../../src/io/feature-source.js';
import { openRows } from '../../src/io/matrix.js';
import { type LabelOptions, label } from '../../src/jobs/label.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { temporaryFolder } from '../io/python.js';

const fixture = 'test/fixtures/four_heads';
const model = await importCheckpoint(`${fixture}/zip.ckpt`);
const reader = openRows(await locateSource(`${fixture}/feats.npz`));
const { rowCount, dim } = reader;
const rows = new Float32Array((rowCount + 3) * dim);
reader.read(0, rowCount, rows);
reader.close();
// Two copies of row 5, and a row of zeros, behind the others.
rows.copyWithin(rowCount * dim, 5 * dim, 6 * dim);
rows.copyWithin((rowCount + 1) * dim, 5 * dim, 6 * dim);
const [copy, otherCopy, zeros] = [rowCount, rowCount + 1, rowCount + 2];

function labelled(t: TestContext, decisions: readonly object[], more: Partial<LabelOptions> = {}) {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  const time = new Date(0).toISOString();
  writeFileSync(path, decisions.map((one, i) => `${JSON.stringify({ id: `${i}`, time, ...one })}\n`).join(''));
  const features = { rows, dim };
  return label({ features, model, constraints: path, badRows: 'skip', threads: 2, ...more });
}

test('decisions hold for copies and for rows that are left out', async (t) => {
  const { labels: plain } = await labelled(t, []);
  assert.equal(plain[zeros], -1);
  assert.equal(plain[copy], plain[5]);
  const mate = plain.findIndex((one, row) => one === plain[5] && row !== 5 && row < rowCount);
  const stranger = plain.findIndex((one) => one !== plain[5]);
  assert.ok(mate >= 0 && stranger >= 0);
  const { labels } = await labelled(t, [
    { kind: 'same', items: [zeros, stranger] },
    { kind: 'different', items: [copy, mate] },
    { kind: 'different', items: [otherCopy, zeros] },
  ]);
  assert.equal(labels[zeros], labels[stranger]);
  assert.deepEqual([labels[copy], labels[otherCopy]], [labels[5], labels[5]]);
  assert.notEqual(labels[5], labels[mate]);
  assert.notEqual(labels[5], labels[stranger]);
});

test('copies that are decided to be two identities are a contradiction, or two rows with duplicates kept', async (t) => {
  const decisions = [{ kind: 'different', items: [5, copy] }];
  await assert.rejects(labelled(t, decisions), {
    code: 'CONTRADICTION',
    message: /row 5 = row 232 \(equal to the bit\)/,
  });
  const { labels } = await labelled(t, decisions, { duplicates: 'keep' });
  assert.notEqual(labels[5], labels[copy]);
});
