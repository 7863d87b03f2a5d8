import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readFloat32Array } from '../../src/io/arrays.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
const names = Array.from({ length: 165 }, (_, i) => `人/${i}, "x".jpg`);
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
});

test('label --items writes labels by name, which evaluate matches in any order', async () => {
  const [items, out, truth] = [join(folder, 'items.txt'), join(folder, 'named'), join(folder, 'truth.csv')];
  writeFileSync(items, names.join('\n'));
  const labelled = await naan([...labelFlags(inputs, out), ...hops, '--items', items]);
  assert.equal(labelled.code, 0, labelled.stderr);
  const record = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
  assert.ok(record.outputs.some((file: { name: string }) => file.name === 'labels.csv'));
  assert.equal(record.options.items, items);

  const columns = (name: string) =>
    readFileSync(join(out, name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split(',').slice(-6));
  const trustOf = new Map(columns('clusters.csv').map((line) => [line[0], line[5]]));
  const [titles, ...lines] = columns('labels.csv').map((line) => line.slice(-2));
  assert.deepEqual(titles, ['label', 'trust']);
  assert.equal(lines.length, 165);
  for (const [label, trust] of lines) assert.equal(trust, label === '-1' ? '' : trustOf.get(label));

  const identities = readFileSync(inputs.truth, 'utf8').trimEnd().split('\n');
  const rows = names.map((name, i) => `"${name.replaceAll('"', '""')}",${identities[i]}`).reverse();
  writeFileSync(truth, `item,label\n${rows.join('\n')}\n`);
  const judge = async (labels: string, known: string) =>
    JSON.parse((await naan(['evaluate', '--labels', join(out, labels), '--truth', known, '--json'])).stdout);
  const byRow = await judge('split1_labels.txt', inputs.truth);
  const byName = await judge('labels.csv', truth);
  assert.deepEqual(byName, { ...byRow, items: { matched: 165, onlyInLabels: 0, onlyInTruth: 0, ambiguous: 0 } });

  writeFileSync(truth, `item,label\n${rows.slice(1).join('\n')}\nelse,7\n`);
  const missing = await naan(['evaluate', '--labels', join(out, 'labels.csv'), '--truth', truth]);
  assert.match(
    missing.stdout,
    /^164 items matched by name\n1 of \S+labels\.csv are not in \S+\n1 of \S+truth\.csv are not/m,
  );
  writeFileSync(truth, 'item,label\nelse,7\n');
  const none = await naan(['evaluate', '--labels', join(out, 'labels.csv'), '--truth', truth]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /has none of the items of \S+truth\.csv, expected the same names in both/);
});

test('items that are not one a row stop label at the start; labels.csv by hand is not replaced', async () => {
  const [items, out] = [join(folder, 'short.txt'), join(folder, 'short')];
  writeFileSync(items, names.slice(1).join('\n'));
  const short = await naan([...labelFlags(inputs, out), ...hops, '--items', items]);
  assert.equal(short.code, 2);
  assert.match(short.stderr, /short\.txt: 164 items, expected 165 as \S+feats\.npz:embs has rows/);
  assert.ok(!existsSync(out));
  writeFileSync(items, names.join('\n'));
  const again = join(folder, 'named', 'labels.csv');
  writeFileSync(again, 'item,label\nmine,1\n');
  const kept = await naan([...labelFlags(inputs, join(folder, 'named')), ...hops, '--items', items]);
  assert.equal(kept.code, 2);
  assert.match(kept.stderr, /labels\.csv: is there already and naan did not write it/);
  assert.equal(readFileSync(again, 'utf8'), 'item,label\nmine,1\n');
});

test('several files and a pipe are features and names as one file is', async () => {
  const { shape, data } = await readFloat32Array(inputs.features, 'embs');
  const [rowCount, dim] = shape;
  const [one, two] = [join(folder, 'b.npy'), join(folder, 'a.npy')];
  await writeNpy(one, 'f4', [100, dim], data.subarray(0, 100 * dim));
  await writeNpy(two, 'f4', [rowCount - 100, dim], data.subarray(100 * dim));
  const items = join(folder, 'all.txt');
  writeFileSync(items, names.join('\n'));
  writeFileSync(`${items}-1`, names.slice(0, 70).join('\n'));
  writeFileSync(`${items}-2`, names.slice(70).join('\n'));
  const others = ['--knn', inputs.knn, '--model', inputs.model, ...hops];
  const labelled = async (out: string, flags: readonly string[], within: readonly string[] = []) => {
    const { code, stderr } = await naan(['label', ...flags, ...others, '--out', join(folder, out)], { within });
    assert.equal(code, 0, stderr);
    return readFileSync(join(folder, out, 'labels.csv'), 'utf8');
  };
  const expected = await labelled('one-file', ['--features', inputs.features, '--items', items]);
  const parts = ['--features', one, two, '--items', `${items}-1`, '--items', `${items}-2`];
  assert.equal(await labelled('two-files', parts), expected);
  assert.ok(existsSync(join(folder, 'two-files', 'features_labels.npy')));
  const again = ['--config', join(folder, 'two-files', 'run.json'), '--out', join(folder, 'again')];
  assert.equal((await naan(['label', ...again])).code, 0);
  assert.equal(readFileSync(join(folder, 'again', 'labels.csv'), 'utf8'), expected);

  const piped = (path: string) => ['sh', '-c', `cat '${path}' | "$@"`, 'sh'];
  const features = ['--features', '-:embs', '--items', items];
  assert.equal(await labelled('piped', features, piped(inputs.features)), expected);
  assert.equal(JSON.parse(readFileSync(join(folder, 'piped', 'run.json'), 'utf8')).options.features, '-:embs');
  const both = ['--features', one, two, '--items', '-'];
  assert.equal(await labelled('piped-items', both, piped(items)), expected);
  assert.ok(!readdirSync(folder).some((name) => name.endsWith('.tmp')));

  const refused = async (flags: readonly string[], path: string, message: RegExp) => {
    const out = join(folder, 'refused');
    const { code, stderr } = await naan(['label', ...flags, ...others, '--out', out], { within: piped(path) });
    assert.equal(code, 2);
    assert.match(stderr, message);
    assert.ok(!existsSync(out) && !readdirSync(folder).some((name) => name.endsWith('.tmp')));
  };
  await refused(['--features', '-', '--items', '-'], one, /can be read for one option alone/);
  await refused(
    ['--features', '-', '--work-dir', join(folder, 'w')],
    one,
    /is gone when a run with --work-dir goes on/,
  );
  await refused(['--features', '-'], '/dev/null', /^naan label: standard input: is empty$/m);
});
