import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { locateSource } from '../../src/io/feature-source.js';
import { readLabels } from '../../src/io/labels.js';
import { openRows } from '../../src/io/matrix.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (name: string) => join(folder, name);
const dim = 32;
const count = 300;
let inputs: Inputs;
let labels: Int32Array;

/** New rows: rows of the set, moved a little. */
before(async () => {
  inputs = await fixtureInputs(folder);
  const out = at('run');
  const labelled = await naan([
    ...labelFlags(inputs, out),
    '--k-hops',
    '10',
    '4',
    '--sample-hops',
    '8',
    '--threshold',
    '0.5',
  ]);
  assert.equal(labelled.code, 0, labelled.stderr);
  labels = (await readLabels(join(out, 'split1_labels.txt'))).codes;
  const reader = openRows(await locateSource(inputs.features));
  const known = new Float32Array(165 * dim);
  reader.read(0, 165, known);
  reader.close();
  const rows = Float32Array.from({ length: count * dim }, (_, i) => known[i % known.length] + 0.01 * Math.sin(i * i));
  await writeNpy(at('new.npy'), 'f4', [count, dim], rows);
  await writeNpy(at('some.npy'), 'f4', [7, dim], rows.subarray(100 * dim, 107 * dim));
  await writeNpy(at('wide.npy'), 'f4', [1, 8], new Float32Array(8).fill(1));
});

const assign = (features: string, out: string, ...more: string[]) =>
  naan(['assign', '--run', at('run'), '--features', at(features), '--out', at(out), ...more]);
const table = (name: string) => readFileSync(at(name), 'utf8').trimEnd().split('\n').slice(1);

test('new rows get the identity that they are of, each by itself, and the run stays as it is', async () => {
  const digest = () =>
    readdirSync(at('run')).map((name) =>
      createHash('sha256')
        .update(readFileSync(join(at('run'), name)))
        .digest('hex'),
    );
  const digestBefore = digest();
  const all = await assign('new.npy', 'all.csv', '--json');
  assert.equal(all.code, 0, all.stderr);
  const { rows, assigned, threshold } = JSON.parse(all.stdout);
  assert.equal(rows, count);
  assert.equal(threshold, 0.5);
  assert.equal(readFileSync(at('all.csv'), 'utf8').split('\n')[0], 'item,label,nearness,margin');
  const given = table('all.csv').map((line) => line.split(',').map(Number));
  assert.deepEqual(
    given.map(([item]) => item),
    Array.from({ length: count }, (_, row) => row),
  );
  assert.equal(given.filter(([, label]) => label >= 0).length, assigned);
  for (const [, label, nearness, margin] of given) {
    assert.equal(label >= 0, nearness >= threshold);
    assert.ok(margin >= 0 && margin <= nearness);
  }
  const right = given.filter(([row, label]) => label === labels[row % 165]).length;
  assert.ok(right > 0.8 * count, `${right}`);
  assert.deepEqual(digest(), digestBefore);

  // More than are scored at once, or few; with names.
  writeFileSync(at('some.txt'), Array.from({ length: 7 }, (_, i) => `${100 + i}\n`).join(''));
  const some = await assign('some.npy', 'some.csv', '--items', at('some.txt'), '--threads', '1');
  assert.equal(some.code, 0, some.stderr);
  assert.deepEqual(table('some.csv'), table('all.csv').slice(100, 107));

  const none = await assign('some.npy', 'none.csv', '--threshold', '1', '--json');
  assert.equal(JSON.parse(none.stdout).threshold, 1);
});

test('a model that asks what chance gives in a set is told of the set, however few the new rows are', async () => {
  const out = at('general');
  const { features, knn } = inputs;
  const labelled = await naan(['label', '--features', features, '--knn', knn, '--out', out]);
  assert.equal(labelled.code, 0, labelled.stderr);
  const given = await naan(['assign', '--run', out, '--features', at('new.npy'), '--out', at('general.csv')]);
  assert.equal(given.code, 0, given.stderr);
  const few = await naan(['assign', '--run', out, '--features', at('some.npy'), '--out', at('few.csv')]);
  assert.equal(few.code, 0, few.stderr);
  assert.deepEqual(
    table('few.csv').map((line) => line.split(',').slice(1)),
    table('general.csv')
      .slice(100, 107)
      .map((line) => line.split(',').slice(1)),
  );
  const known = (await readLabels(join(out, 'split1_labels.txt'))).codes;
  const right = table('general.csv').filter((line, row) => Number(line.split(',')[1]) === known[row % 165]).length;
  assert.ok(right >= 200, `${right}`);
});

test('what does not fit the run is refused, and no file is replaced unasked', async () => {
  const refused = async (message: RegExp, features: string, out: string, ...more: string[]) => {
    const { code, stderr } = await assign(features, out, ...more);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  };
  await refused(/wide\.npy: features have dimension 8, expected 32 as \S+split1_feats/, 'wide.npy', 'x.csv');
  await refused(/--out would replace the features/, 'some.npy', 'some.npy', '--overwrite');
  writeFileSync(at('hand.csv'), 'by hand\n');
  await refused(/hand\.csv: is there already and naan did not write it/, 'some.npy', 'hand.csv');
  await refused(/7 rows, expected 165 as the run has labels/, 'some.npy', 'x.csv', '--known', at('some.npy'));
  writeFileSync(at('short.txt'), 'a\n');
  await refused(
    /short\.txt: 1 items, expected one for each of 7 rows/,
    'some.npy',
    'x.csv',
    '--items',
    at('short.txt'),
  );
  const other = await naan(['assign', '--run', folder, '--features', at('some.npy'), '--out', at('x.csv')]);
  assert.match(other.stderr, /has no run\.json of naan label/);
  const record = JSON.parse(readFileSync(join(at('run'), 'run.json'), 'utf8'));
  record.options.knn = 'in memory';
  writeFileSync(join(at('run'), 'run.json'), JSON.stringify(record));
  await refused(
    /run\.json: says no file of the kNN graph: give it with --knn: naan label --save-knn keeps one/,
    'some.npy',
    'x.csv',
  );
});
