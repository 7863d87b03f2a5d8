import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openItems } from '../../src/io/items.js';
import { matchRows } from '../../src/jobs/previous-run.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8', '--partition', 'threshold'];
const items = join(folder, 'items.txt');
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
  writeFileSync(items, Array.from({ length: 165 }, (_, i) => `${i}.jpg\n`).join(''));
});

const labelsIn = (out: string) =>
  readFileSync(join(out, 'labels.csv'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => Number(line.split(',')[1]));
const record = (out: string) => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
const changes = (out: string) =>
  readFileSync(join(out, 'changes.csv'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','));

test('--previous keeps identities over runs, says what changed, and gives no id twice', async () => {
  const run = async (name: string, threshold: string, ...more: string[]) => {
    const out = join(folder, name);
    const flags = [...labelFlags(inputs, out), ...hops, '--items', items, '--threshold', threshold, '--trust', ...more];
    const done = await naan(flags);
    assert.equal(done.code, 0, done.stderr);
    return { out, labels: labelsIn(out), stdout: done.stdout, highest: record(out).highestIdentity as number };
  };
  const loose = await run('loose', '0.6');
  assert.equal(loose.highest, Math.max(...loose.labels));
  const strict = await run('strict', '0.98', '--previous', loose.out);
  assert.match(strict.stdout, /^identities: \d+ kept, [1-9]\d* split, 0 merged, 0 new, 0 gone$/m);
  assert.equal(strict.highest, Math.max(...strict.labels));
  assert.ok(strict.highest > loose.highest);
  // Finer clusters: each is of one earlier one, and each earlier one has one heir with its id.
  for (const id of new Set(loose.labels)) assert.ok(strict.labels.includes(id));
  strict.labels.forEach((id, row) => void assert.ok(id === loose.labels[row] || id > loose.highest));
  for (const [identity, change, other, rowsBefore, rowsAfter, shared] of changes(strict.out)) {
    assert.equal(strict.labels.filter((id) => id === Number(identity)).length, Number(rowsAfter));
    assert.equal(loose.labels.filter((id) => id === Number(identity)).length, Number(rowsBefore));
    assert.equal(change, Number(identity) > loose.highest ? 'split' : 'kept');
    assert.equal(other === '', change === 'kept');
    assert.ok(Number(shared) <= Number(rowsAfter));
  }
  const back = await run('back', '0.6', '--previous', strict.out);
  assert.deepEqual(back.labels, loose.labels);
  assert.equal(back.highest, strict.highest);
  assert.deepEqual(
    new Set(
      changes(back.out)
        .filter(([, change]) => change === 'merged')
        .map(([identity]) => Number(identity)),
    ),
    new Set(strict.labels.filter((id) => id > loose.highest)),
  );
  const ids = readFileSync(join(strict.out, 'clusters.csv'), 'utf8').trimEnd().split('\n').slice(1);
  assert.deepEqual(new Set(ids.map((line) => Number(line.split(',')[0]))), new Set(strict.labels));

  const over = await naan([...labelFlags(inputs, loose.out), ...hops, '--items', items, '--previous', loose.out]);
  assert.equal(over.code, 2);
  assert.match(over.stderr, /--out would replace the previous run/);
  const none = await naan([...labelFlags(inputs, join(folder, 'x')), ...hops, '--previous', folder]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /has no run\.json of naan label, expected the --out of a run/);
});

test('rows are matched by name, those of one name in their order, or by number with a notice', async () => {
  const list = async (name: string, names: readonly string[]) => {
    writeFileSync(join(folder, name), `${names.join('\n')}\n`);
    return openItems(join(folder, name));
  };
  const labels = Int32Array.of(7, 7, 3, -1, 5);
  const before = await list('before.txt', ['a', 'b', 'a', 'c', 'a']);
  const named = await matchRows(
    { labels, items: before, highest: 9 },
    7,
    await list('after.txt', ['d', 'a', 'a', 'c', 'b', 'a', 'a']),
  );
  assert.deepEqual([...named.before], [-1, 0, 1, -1, 0, 2, -1]);
  assert.deepEqual([...named.earlier.ids], [7, 3, 5]);
  assert.deepEqual([...named.earlier.sizes], [2, 1, 1]);
  const notices: string[] = [];
  const byNumber = await matchRows({ labels, items: undefined, highest: 9 }, 3, before, (notice) =>
    notices.push(notice),
  );
  assert.deepEqual([...byNumber.before], [0, 0, 1]);
  assert.match(notices.join(), /matched by their numbers/);
});
