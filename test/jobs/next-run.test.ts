import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { relabel } from '../../src/cluster/relabel.js';
import { RandomStream } from '../../src/graph/random.js';
import { locateSource } from '../../src/io/feature-source.js';
import { readLabels } from '../../src/io/labels.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { add } from '../../src/jobs/add.js';
import { label } from '../../src/jobs/label.js';
import { remove } from '../../src/jobs/remove.js';
import { findKnn } from '../../src/knn/find.js';
import { writeModel } from '../../src/model/model-file.js';
import { temporaryFolder } from '../cli/naan.js';
import { randomPairwise } from '../engine/fixture.js';

const folder = temporaryFolder(after);
const at = (...names: string[]) => join(folder, ...names);
const rowCount = 420;
const dim = 24;
const k = 8;
const threads = 1;
const partition = { partition: 'linkage', threshold: 0.3 } as const;
let values: Float32Array;
const names = Array.from({ length: rowCount }, (_, row) => `face-${row}.jpg`);

/** Rows around 30 centres; some are copies of earlier ones. */
before(async () => {
  const random = new RandomStream(5, 1, 0);
  values = new Float32Array(rowCount * dim);
  random.gaussians(values);
  const centres = new Float32Array(30 * dim);
  random.gaussians(centres);
  for (let row = 0; row < rowCount; row++) {
    const centre = random.below(30);
    for (let c = 0; c < dim; c++) values[row * dim + c] = centres[centre * dim + c] + 0.8 * values[row * dim + c];
  }
  for (const [copy, of] of [
    [60, 10],
    [300, 10],
    [401, 399],
    [350, 200],
  ]) {
    values.copyWithin(copy * dim, of * dim, (of + 1) * dim);
  }
  await writeModel(at('model.safetensors'), randomPairwise(k, 3));
});

/** A file of rows and one of their names. */
async function files(name: string, rows: readonly number[]) {
  const some = new Float32Array(rows.length * dim);
  rows.forEach((row, i) => void some.set(values.subarray(row * dim, (row + 1) * dim), i * dim));
  await writeNpy(at(`${name}.npy`), 'f4', [rows.length, dim], some);
  writeFileSync(at(`${name}.txt`), rows.map((row) => `${names[row]}\n`).join(''));
  return { features: at(`${name}.npy`), items: at(`${name}.txt`) };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

async function labelled(name: string, rows: readonly number[]) {
  const given = await files(name, rows);
  const out = at(`${name}-run`);
  const model = at('model.safetensors');
  const saveKnn = at(`${name}-knn.npy`);
  const wide = await findKnn(await locateSource(given.features), { k: k + 2, threads });
  await writeNpy(saveKnn, 'i4', [wide.graph.nodeCount, wide.graph.width], wide.graph.ids);
  await label({ ...given, ...partition, model, knn: saveKnn, out, threads, saveEdges: true, saveRounds: true });
  return { out, knn: saveKnn };
}

/** Graph, edges, all scores and clusters are those of a labelling of all rows. */
async function assertSame(run: string, whole: { out: string; knn: string }, name: string): Promise<void> {
  assert.deepEqual(readFileSync(join(run, 'knn.npy')), readFileSync(whole.knn));
  for (const kind of ['edges', 'scores', 'rounds']) {
    const [got, expected] = [join(run, `features_${kind}.npy`), join(whole.out, `${name}_${kind}.npy`)];
    assert.deepEqual(readFileSync(got), readFileSync(expected), kind);
  }
  const [got, expected] = await Promise.all([
    readLabels(join(run, 'features_labels.npy')),
    readLabels(join(whole.out, `${name}_labels.npy`)),
  ]);
  relabel(got.codes);
  assert.deepEqual(got.codes, expected.codes);
}

test('a set that grows in portions is what a labelling of all its rows is, to the bit', async () => {
  const { out } = await labelled('start', range(0, 330));
  const first = await add({ run: out, ...(await files('one', [330])), out: at('add-1'), threads });
  assert.equal(first.change.joined, 1);
  assert.ok(first.summary.scoredAnew! < first.summary.edges, `${first.summary.scoredAnew} of ${first.summary.edges}`);
  await assertSame(at('add-1'), await labelled('one-whole', range(0, 331)), 'one-whole');
  await add({ run: at('add-1'), ...(await files('two', range(331, 400))), out: at('add-2'), threads });
  // The runs before are not needed.
  rmSync(at('add-1'), { recursive: true });
  await add({ run: at('add-2'), ...(await files('three', range(400, 420))), out: at('add-3'), threads });
  await assertSame(at('add-3'), await labelled('whole', range(0, 420)), 'whole');
  const { notices, changes } = JSON.parse(readFileSync(join(at('add-3'), 'run.json'), 'utf8'));
  assert.equal(changes.gone, 0);
  assert.deepEqual(
    notices.filter((notice: string) => !notice.includes('not unit vectors')),
    [
      `${at('add-3', 'features.npy')}: 4 rows are copies of earlier ones and go with them, as row 60 with row 10; --duplicates keep takes each by itself`,
    ],
  );
});

test('single rows that join and leave, among them copies: of few edges all scores are made again, to the bit', async () => {
  let rows = range(0, 400);
  let { out: run } = await labelled('singles', rows);
  const steps: (readonly ['add' | 'remove', number])[] = [
    ['add', 400],
    ['remove', 37],
    ['remove', 10],
    ['add', 401],
    ['remove', 399],
    ['add', 37],
  ];
  let partly = 0;
  for (const [i, [kind, row]] of steps.entries()) {
    const given = await files(`single-${i}`, [row]);
    const out = at(`singles-${i}`);
    rows = kind === 'add' ? [...rows, row] : rows.filter((other) => other !== row);
    const { summary } =
      kind === 'add'
        ? await add({ run, ...given, out, threads })
        : await remove({ run, items: given.items, out, threads });
    if (summary.scoredAnew! < summary.edges) partly++;
    await assertSame(out, await labelled(`singles-whole-${i}`, rows), `singles-whole-${i}`);
    run = out;
  }
  assert.ok(partly >= 3, `${partly} times some of the edges were scored`);
});

test('where many lists change all edges are scored, to the bit as in a labelling of all', async () => {
  const { out } = await labelled('few', range(0, 120));
  await add({ run: out, ...(await files('kept', [120])), out: at('few-1'), threads });
  const { summary, change } = await add({
    run: at('few-1'),
    ...(await files('many', range(121, 123))),
    out: at('few-2'),
    threads,
  });
  // Of a model of three rounds already where one list in 32 has.
  assert.ok(change.displaced > 121 / 32 && change.displaced < 121 / 2, `${change.displaced} lists changed`);
  assert.equal(summary.scoredAnew, 3 * (summary.edges - summary.copies));
  await assertSame(at('few-2'), await labelled('few-whole', range(0, 123)), 'few-whole');
});

test('rows that leave leave no trace, and the rest is what a labelling of it is, to the bit', async () => {
  const { out } = await labelled('before', range(0, 420));
  // Among them 10, of which 60 and 300 are copies, and copies of rows that stay.
  const gone = [10, 37, 38, 128, 350, 401];
  const rest = range(0, 420).filter((row) => !gone.includes(row));
  writeFileSync(at('gone.txt'), gone.map((row) => `${names[row]}\n`).join(''));
  const decisions = [
    { id: '1', kind: 'same', items: [names[37], names[1]] },
    { id: '2', kind: 'same', items: [names[37], names[2]] },
    { id: '3', kind: 'different', items: [names[38], names[3]] },
    { id: '4', kind: 'name', items: [names[38]], name: 'Ada' },
    { id: '5', kind: 'same', items: [names[128], names[4]] },
    { id: '6', kind: 'undo', undoes: '5' },
    { id: '7', kind: 'different', items: [names[37]], from: [names[5]] },
  ].map((decision) => JSON.stringify({ ...decision, time: '2026-11-27T06:00:00Z' }));
  writeFileSync(join(out, 'decisions.jsonl'), decisions.map((line) => `${line}\n`).join(''));
  const { change } = await remove({ run: out, items: at('gone.txt'), out: at('left'), threads });
  assert.equal(change.left, gone.length);
  await assertSame(at('left'), await labelled('rest', rest), 'rest');
  for (const file of readdirSync(at('left'))) {
    const bytes = readFileSync(at('left', file));
    for (const row of gone) {
      assert.ok(!new RegExp(`\\b${names[row]}`).test(bytes.toString('latin1')), `${file} names ${names[row]}`);
      // Copies that stay have the same bytes.
      if ([10, 350, 401].includes(row)) continue;
      const stored = Buffer.from(values.buffer, 4 * row * dim, 4 * dim);
      assert.equal(bytes.indexOf(stored), -1, `${file} has row ${row}`);
    }
    assert.ok(!bytes.includes('Ada'), file);
  }
  const left = readFileSync(at('left', 'decisions.jsonl'), 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    left.map((line) => JSON.parse(line)).map(({ id, items, from }) => [id, items, from]),
    [
      ['1', [names[1]], undefined],
      ['2', [names[1], names[2]], undefined],
      ['7', [names[1]], [names[5]]],
    ],
  );
});

test('a run that is not as it was, names that do not fit and folders in use are refused, and nothing is left', async () => {
  const { out, knn } = await labelled('small', range(0, 60));
  const more = await files('more', [70, 71]);
  const given = { run: out, ...more, out: at('refused'), threads };
  const refuses = (work: Promise<unknown>, message: RegExp) => assert.rejects(work, { message });
  await refuses(add({ ...given, out }), /small-run: is there already and has files in it/);
  await refuses(add({ ...given, items: at('small.txt') }), /small\.txt: 60 items, expected one for each of 2 rows/);
  writeFileSync(at('unknown.txt'), 'nobody.jpg\n');
  await refuses(remove({ ...given, items: at('unknown.txt') }), /has no row of the name 'nobody\.jpg'/);
  await refuses(remove({ ...given, items: at('small.txt') }), /names all rows, expected some to stay/);
  await writeNpy(at('wide.npy'), 'f4', [2, 3], new Float32Array(6).fill(1));
  await refuses(add({ ...given, features: at('wide.npy') }), /wide\.npy: features have dimension 3, expected 24 as/);
  const bytes = readFileSync(knn);
  bytes[bytes.length - 4] ^= 1;
  writeFileSync(knn, bytes);
  await refuses(add(given), /small-knn\.npy: is not as .*small-run was made from it/);
  assert.ok(!existsSync(at('refused')));
});
