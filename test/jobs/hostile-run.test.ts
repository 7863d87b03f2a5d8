/** Folders of runs that somebody damaged or made on purpose, as the commands that go on from a run read them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { add } from '../../src/jobs/add.js';
import { assign } from '../../src/jobs/assign.js';
import { label } from '../../src/jobs/label.js';
import { remove } from '../../src/jobs/remove.js';
import { report } from '../../src/jobs/report.js';
import { review } from '../../src/jobs/review.js';
import { temporaryFolder } from '../cli/naan.js';
import { type SmallSet, smallRun, smallSet } from '../machines/small-set.js';

const folder = temporaryFolder(after);
const whole = join(folder, 'whole');
const run = join(folder, 'run');
let set: SmallSet;

before(async () => {
  set = await smallSet(folder, 'pairwise');
  const items = join(folder, 'items.txt');
  writeFileSync(items, Array.from({ length: 165 }, (_, i) => `${i}.jpg\n`).join(''));
  await label({ ...smallRun(set, 'pairwise'), out: whole, items, trust: true, report: true });
});

/** A copy of the run with some of run.json replaced. */
function changed(values: Readonly<Record<string, unknown>>): void {
  rmSync(run, { recursive: true, force: true });
  cpSync(whole, run, { recursive: true });
  const path = join(run, 'run.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...values }));
}

test('a run.json whose values are of another form is refused by the name of the value', async () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ['threshold', '0.5'],
    ['thresholdFrom', { a: 1 }],
    ['seconds', 5],
    ['seconds', { total: 1 }],
    ['seconds', { total: 1, stages: { read: 'x' } }],
    ['edges', '<img src=x>'],
    ['notices', 7],
    ['notices', [{}]],
    ['curves', {}],
    ['curves', { histogram: [1], points: [null] }],
    ['engine', { threads: '</p>', shards: 1 }],
    ['engine', { threads: 1, shards: 1, busy: 3 }],
    ['plan', { parts: null }],
    ['inputs', [5]],
    ['options', 5],
    ['optionSources', { features: {} }],
    ['partition', {}],
  ];
  for (const [name, value] of wrong) {
    changed({ [name]: value });
    const message = `${join(run, 'run.json')}: ${name} is not as naan label writes it`;
    await assert.rejects(report({ run }), { code: 'BAD_INPUT', message });
  }
  // What an earlier version did not say is left out.
  const missing = ['threshold', 'thresholdFrom', 'seconds', 'notices', 'curves', 'engine', 'plan', 'inputs', 'options'];
  changed(Object.fromEntries([...missing.entries()].map(([i, name]) => [name, i % 2 === 0 ? null : undefined])));
  assert.equal((await report({ run })).rows, 165);
});

/** What goes on from the run; `out` is not there afterwards. */
async function refusedByAll(expected: { code: string; message: RegExp }): Promise<void> {
  const out = join(folder, 'next');
  const items = join(folder, 'items.txt');
  await assert.rejects(add({ run, features: set.features, items, out }), expected);
  await assert.rejects(remove({ run, items, out }), expected);
  assert.equal(existsSync(out), false);
}

test('options of a run that are of another form are refused by name by what takes them again', async () => {
  const { options } = JSON.parse(readFileSync(join(whole, 'run.json'), 'utf8'));
  const wrong: readonly (readonly [string, unknown])[] = [
    ['constraints', 5],
    ['constraints', []],
    ['cannotLinkWithin', {}],
    ['partition', '__proto__'],
    ['threshold', 'x'],
    ['threshold', 1e300],
    ['k1', 2 ** 52],
    ['sampleHops', 1.5],
    ['maxSize', 'x'],
    ['maxIterations', 1e300],
    ['step', -3],
    ['start', {}],
    ['leftovers', '__proto__'],
    ['minSize', -1],
    ['minTrust', 'x'],
    ['trust', 'x'],
    ['duplicates', 5],
    ['badRows', {}],
  ];
  for (const [name, value] of wrong) {
    changed({ options: { ...options, [name]: value } });
    const message = new RegExp(`run\\.json: options\\.${name}: got .*, which naan label does not write$`);
    await refusedByAll({ code: 'BAD_INPUT', message });
    await assert.rejects(assign({ run, features: set.features }), { code: 'BAD_INPUT', message });
  }
});

test('remove tells what does not fit its rows of the decisions that were given', async () => {
  changed({});
  const [out, items] = [join(folder, 'next'), join(folder, 'gone.txt')];
  const constraints = join(folder, 'given.jsonl');
  writeFileSync(items, '3.jpg\n');
  writeFileSync(constraints, '{"id":"a","time":"2026-11-26T21:40:12Z","kind":"same","items":[0,165]}\n');
  const message = `${constraints}: line 1: names row 165, expected 0 to 164`;
  await assert.rejects(remove({ run, items, out, constraints }), { code: 'BAD_INPUT', message });
  assert.equal(existsSync(out), false);
});

test('a highest identity that no run has is refused', async () => {
  for (const highestIdentity of ['x', 2 ** 40, 1.5, -5, {}]) {
    changed({ highestIdentity });
    const expected = {
      code: 'BAD_INPUT',
      message: /run\.json: highestIdentity: got .*, which naan label does not write$/,
    };
    await refusedByAll(expected);
    await assert.rejects(label({ ...smallRun(set, 'pairwise'), previous: run }), expected);
  }
});

test('lists that are longer than memory holds are refused before they are taken', async () => {
  const { options } = JSON.parse(readFileSync(join(whole, 'run.json'), 'utf8'));
  changed({ options: { ...options, sampleHops: 2 ** 31 - 1 } });
  await assert.rejects(assign({ run, features: set.features }), {
    code: 'OUT_OF_MEMORY',
    message: /lists of 2147483648/,
  });
  const [out, items] = [join(folder, 'next'), join(folder, 'gone.txt')];
  writeFileSync(items, '3.jpg\n');
  await assert.rejects(remove({ run, items, out }), {
    code: 'OUT_OF_MEMORY',
    message: /lists of 2147483647 neighbours/,
  });
  assert.equal(existsSync(out), false);
});

test('decisions behind a loop of links are refused before anything is decided', async () => {
  changed({});
  const decisions = join(run, 'decisions.jsonl');
  symlinkSync(decisions, decisions);
  const message = `${decisions}: cannot be read: too many symbolic links encountered`;
  await assert.rejects(review({ run }), { code: 'BAD_INPUT', message });
});

test('a run that has lost the names of its rows is not gone on from by their numbers', async () => {
  changed({});
  rmSync(join(run, 'labels.csv'));
  const message = /labels\.csv: cannot be read: no such file/;
  await refusedByAll({ code: 'BAD_INPUT', message });
  await assert.rejects(label({ ...smallRun(set, 'pairwise'), previous: run }), { code: 'BAD_INPUT', message });
  await assert.rejects(report({ run }), { code: 'BAD_INPUT', message });
});

test('a name of a file that no file system takes is no file of a run', async () => {
  changed({ outputs: [{ name: `${'a'.repeat(100_000)}_labels.npy`, bytes: 1, sha256: '' }] });
  await refusedByAll({
    code: 'BAD_INPUT',
    message: /^.{0,200}: has no run\.json of naan label, expected the --out of a run$/,
  });
});

test('a pipe or a folder in place of a file of a run is refused', async () => {
  for (const name of ['clusters.csv', 'labels.csv', 'small_labels.npy']) {
    for (const program of ['mkfifo', 'mkdir']) {
      changed({});
      rmSync(join(run, name));
      execFileSync(program, [join(run, name)]);
      await assert.rejects(report({ run }), { code: 'BAD_INPUT', message: /is not a plain file|is a pipe/ });
    }
  }
});

test('new rows whose names are too few are refused before anything is computed', async () => {
  const items = join(folder, 'few.txt');
  writeFileSync(items, 'a\nb\n');
  const onProgress = () => assert.fail('it computes');
  const message = `${items}: 2 items, expected one for each of 165 rows`;
  await assert.rejects(assign({ run: whole, features: set.features, items, onProgress }), {
    code: 'BAD_SHAPE',
    message,
  });
});

test('a review refuses what the page does not ask for, and connections that say nothing give way', async (t) => {
  changed({});
  const serving = await review({ run });
  t.after(() => serving.close());
  const { origin } = new URL(serving.url);
  const decide = (body: string, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`${serving.url}decide`, {
      method: 'POST',
      body,
      headers: { origin, 'content-type': 'application/json', ...headers },
    });
  for (const body of ['null', '5', '[]', '{"action":"split","cluster":0,"rows":5}', '{"action":"name","name":5}']) {
    const answer = await decide(body);
    assert.deepEqual([answer.status, await answer.text()], [409, 'is no decision of the page'], body);
  }
  const long = await decide(JSON.stringify({ action: 'name', cluster: 0, name: 'x'.repeat(1001) }));
  assert.match(await long.text(), /^a name has more than 1000 characters$/);
  assert.equal((await decide('{}', { origin: 'http://evil.example' })).status, 403);
  assert.equal((await decide('{}', { 'content-type': 'text/plain' })).status, 403);
  assert.equal((await fetch(`${origin}/${'x'.repeat(32)}/state`)).status, 403);
  assert.equal(serving.count(), 0);

  const { port } = new URL(serving.url);
  const idle: Socket[] = [];
  const closed: Promise<unknown>[] = [];
  for (let i = 0; i < 100; i++) {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
    idle.push(socket);
    closed.push(once(socket.resume(), 'close'));
  }
  t.after(() => {
    for (const socket of idle) socket.destroy();
  });
  await Promise.race(closed); // no more than 64 are kept
});

test('decisions whose clusters are no list count as those of no cluster', async () => {
  changed({});
  const serving = await review({ run });
  const { origin } = new URL(serving.url);
  const headers = { origin, 'content-type': 'application/json' };
  const body = JSON.stringify({ action: 'accept', cluster: 0 });
  assert.equal((await fetch(`${serving.url}decide`, { method: 'POST', body, headers })).status, 200);
  await serving.close();
  const path = join(run, 'decisions.jsonl');
  const decision = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, `${JSON.stringify({ ...decision, clusters: 5 })}\n`);
  const again = await review({ run });
  assert.equal(again.count(), 1);
  assert.match(await (await fetch(`${again.url}state`)).text(), /"judged":0,/);
  await again.close();
});
