import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { appendDecisions, type Decision } from '../../src/io/decisions.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
const names = Array.from({ length: 165 }, (_, i) => `${i}.jpg`);
const items = join(folder, 'items.csv');
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
  writeFileSync(items, `item,photo_id\n${names.map((name, i) => `${name},${i % 40 === 0 ? 0 : -1}\n`).join('')}`);
});

let lastId = 0;
function decisions(name: string, ...lines: object[]): string {
  const path = join(folder, name);
  const time = new Date(0).toISOString();
  writeFileSync(path, lines.map((line) => `${JSON.stringify({ id: `${lastId++}`, time, ...line })}\n`).join(''));
  return path;
}

const labelsIn = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').map(Number);

test('label honours decisions with every partition and any threads, and cut gives the same labels', async () => {
  const plain = join(folder, 'plain');
  const first = await naan([...labelFlags(inputs, plain), ...hops, '--items', items]);
  assert.equal(first.code, 0, first.stderr);
  const before = labelsIn(join(plain, 'split1_labels.txt'));
  const mate = before.findIndex((label, row) => row > 0 && label === before[0]);
  const stranger = before.findIndex((label) => label !== before[0]);
  const others = before.flatMap((label, row) => (label === before[0] && row > mate ? [names[row]] : []));
  const path = decisions(
    'decisions.jsonl',
    { kind: 'same', items: ['0.jpg', `${stranger}.jpg`] },
    { kind: 'different', items: [mate], from: ['0.jpg', ...others] },
    { kind: 'name', items: ['0.jpg'], name: 'Ada "the first"' },
  );
  for (const partition of ['linkage', 'threshold', 'propagation']) {
    const flags = [
      '--items',
      items,
      '--constraints',
      path,
      '--cannot-link-within',
      'photo_id',
      '--partition',
      partition,
    ];
    const cuts = ['--threshold', '0.6', ...flags];
    const out = join(folder, partition);
    const labelled = await naan([...labelFlags(inputs, out), ...hops, ...cuts, '--save-edges', '--threads', '3']);
    assert.equal(labelled.code, 0, labelled.stderr);
    assert.match(labelled.stdout, /^decisions +3$/m);
    const labels = labelsIn(join(out, 'split1_labels.txt'));
    assert.equal(labels[0], labels[stranger]);
    assert.notEqual(labels[0], labels[mate]);
    assert.equal(new Set([0, 40, 80, 120, 160].map((row) => labels[row])).size, 5);
    assert.equal(readFileSync(join(out, 'names.csv'), 'utf8'), `label,name\n${labels[0]},"Ada ""the first"""\n`);
    const record = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
    assert.equal(record.decisions, 3);
    assert.equal(record.options.constraints, path);
    assert.ok(record.inputs.some(({ path: input }: { path: string }) => input === path));
    const saved = ['--edges', join(out, 'split1_edges.npy'), '--scores', join(out, 'split1_scores.npy')];
    const again = join(folder, `${partition}.txt`);
    const cut = await naan(['cut', ...saved, '--out', again, ...cuts]);
    assert.equal(cut.code, 0, cut.stderr);
    assert.equal(readFileSync(again, 'utf8'), readFileSync(join(out, 'split1_labels.txt'), 'utf8'));
  }
});

test('a contradiction ends label before it computes, and a decision that is undone does not count', async () => {
  const out = join(folder, 'contradiction');
  const same = { kind: 'same', items: [0, 40] };
  const flags = [...labelFlags(inputs, out), ...hops, '--items', items, '--cannot-link-within', 'photo_id'];
  const path = decisions('contradiction.jsonl', same);
  const refused = await naan([...flags, '--constraints', path]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /contradiction\.jsonl: row 0 and row 40 have the same photo_id '0', .* = .*line 1/);
  assert.ok(!existsSync(out));
  const undo: Decision = { id: 'undo', time: new Date(0).toISOString(), kind: 'undo', undoes: `${lastId - 1}` };
  await appendDecisions(path, [undo]);
  const labelled = await naan([...flags, '--constraints', path]);
  assert.equal(labelled.code, 0, labelled.stderr);
  const replaced = await naan([...flags, '--constraints', join(out, 'names.csv')]);
  assert.equal(replaced.code, 2);
  assert.match(replaced.stderr, /--out would replace the constraints/);
});
