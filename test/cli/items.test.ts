import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
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
