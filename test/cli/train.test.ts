import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { readFloat32Array } from '../../src/io/arrays.js';
import { readLabels, writeLabelText } from '../../src/io/labels.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { generate } from '../../src/jobs/generate.js';
import { readModel } from '../../src/model/model-file.js';
import { naan, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (...name: string[]) => join(folder, ...name);
const features = at('labeled/split0_feats.npz');
const knn = at('labeled/split0_knn.npy');
let truth: Int32Array;
before(async () => {
  await generate({ out: folder, ids: 60, dim: 16, k: 20, seed: 3 });
  truth = (await readLabels(features)).codes;
});

const concat = ['--head', 'concat', '--k-hops', '6', '4', '--sample-hops', '8', '--batch', '256'];
const pairwise = ['--head', 'pairwise', '--sample-hops', '8', '--batch', '128'];

function trainFlags(out: string, more: readonly string[]): string[] {
  return ['train', '--features', features, '--knn', knn, '--out', out, ...more];
}

for (const { head, flags, unit } of [
  { head: 'concat', flags: [...concat, '--passes', '2', '--epochs', '3'], unit: 'epoch' },
  { head: 'pairwise', flags: pairwise, unit: 'round' },
]) {
  test(`${head}: a calibrated model, its history and a plot, and label takes what was calibrated`, async () => {
    const out = at(head, 'model.safetensors');
    const trained = await naan([...trainFlags(out, flags), '--json']);
    assert.equal(trained.code, 0, trained.stderr);
    assert.deepEqual(readdirSync(dirname(out)).sort(), ['model.safetensors', 'train.json', 'train.svg']);
    for (let i = 1; i <= 3; i++) {
      const line = `^naan train: ${unit} ${i} of 3: .*loss 0\\.\\d+.*; held out: .*AUC 0\\.\\d+.* F 0\\.\\d+ by`;
      assert.match(trained.stderr, new RegExp(line, 'm'));
    }
    const summary = JSON.parse(trained.stdout);
    const { config } = await readModel(out);
    assert.equal(config.head, head);
    assert.equal(config.partition, summary.heldOut.partition);
    assert.equal(config.threshold, summary.heldOut.threshold);
    assert.equal(summary.identities, 60);
    assert.equal(summary.nodes, truth.length);

    const history = JSON.parse(readFileSync(at(head, 'train.json'), 'utf8'));
    assert.equal(history.optionSources.batch, '--batch');
    assert.equal(history.steps, summary.steps);
    const { parts, memoryBytes, limitBytes } = history.plan;
    assert.equal(
      Object.values<number>(parts).reduce((sum, bytes) => sum + bytes),
      memoryBytes,
    );
    assert.ok([...Object.values<number>(parts), limitBytes].every(Number.isInteger), JSON.stringify(history.plan));
    // Peaks of one training differ by some per cent from run to run.
    assert.ok(1.1 * memoryBytes >= summary.peakRssBytes, `planned ${memoryBytes}, taken ${summary.peakRssBytes}`);
    assert.match(
      trained.stderr,
      /^naan train: about 0\.\d+ of [\d.]+ GiB of memory: rows 0\.00, graph 0\.00, .*threads 0\./m,
    );
    assert.ok(history.epochs.every(({ loss, pairs }: Record<string, number>) => loss > 0 && pairs > 0));
    assert.match(readFileSync(at(head, 'train.svg'), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);

    const split = at('unlabeled/split1');
    const files = ['--features', `${split}_feats.npz`, '--knn', `${split}_knn.npy`];
    const labelled = await naan(['label', ...files, '--model', out, '--out', at(head, 'labels')]);
    assert.equal(labelled.code, 0, labelled.stderr);
    assert.match(labelled.stdout, new RegExp(`^partition +${config.partition}$`, 'm'));
    assert.match(labelled.stdout, /^partition and threshold are calibrated with the model$/m);
  });
}

test('decisions name rows by their items, and what they say of the model is told', async () => {
  const names = Array.from(truth, (_, row) => `${row}.png`);
  writeFileSync(at('items.txt'), names.map((name) => `${name}\n`).join(''));
  const lines = Array.from({ length: 40 }, (_, person) => ({
    id: `${person}`,
    time: '2026-11-26T21:40:12Z',
    kind: 'name',
    name: `p${person}`,
    items: names.filter((_, row) => truth[row] === person),
  }));
  writeFileSync(at('decisions.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  writeFileSync(at('none.txt'), '-1\n'.repeat(truth.length));
  const given = ['--decisions', at('decisions.jsonl'), '--items', at('items.txt'), '--labels', at('none.txt')];
  const flags = [...pairwise, '--epochs', '1', ...given];
  const { code, stdout, stderr } = await naan(trainFlags(at('decided', 'model.safetensors'), flags));
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^identities +40$/m);
  assert.match(
    stdout,
    /^on pairs decided of +[\d,]+, [\d,]+ of one identity\n {2}loss +0\.\d{4}, before \d\.\d{4}\n {2}AUC +0\.\d{4}, before 0\.\d{4}$/m,
  );
  const without = await naan(trainFlags(at('decided', 'other.safetensors'), [...pairwise, '--items', at('items.txt')]));
  assert.match(without.stderr, /^naan train: items: not used, as no decisions are given$/m);
});

test('a training that does not fit into --memory is refused before it starts', async () => {
  for (const flags of [concat, pairwise]) {
    const out = at('refused', 'model.safetensors');
    const { code, stderr } = await naan([...trainFlags(out, flags), '--memory', '64MiB']);
    assert.equal(code, 3);
    assert.match(
      stderr,
      /^naan train: \S+: a set of \d+ rows × 16 takes 0\.\d+ GiB of memory to train on, but 0\.06 GiB may be taken: give that much with --memory, or .*\n$/,
    );
    assert.ok(!existsSync(dirname(out)) || readdirSync(dirname(out)).length === 0, 'nothing is left');
  }
});

test('the learning rate of concat falls after each epoch', async () => {
  const history = JSON.parse(readFileSync(at('concat', 'train.json'), 'utf8'));
  const rates = history.epochs.map(({ learningRate }: { learningRate: number }) => learningRate.toPrecision(3));
  assert.deepEqual(rates, ['0.00200', '0.000200', '0.0000200']);
});

/** Resolves when a file is written once more. */
function written(path: string): Promise<void> {
  return new Promise((done) => {
    const watcher = watch(dirname(path), (_, name) => {
      if (name !== basename(path)) return;
      watcher.close();
      done();
    });
  });
}

/** After the first epoch or round two more are sure to follow: a signal then finds the run at work. */
const long = {
  concat: { flags: [...concat, '--passes', '20', '--epochs', '5'], first: /epoch 1 of 5/ },
  pairwise: { flags: [...pairwise, '--batch', '32', '--epochs', '5'], first: /round 1 of 3/ },
};

for (const [head, { flags, first }] of Object.entries(long)) {
  test(`${head}: a run killed or interrupted goes on to the very same model`, async () => {
    const whole = at(`${head}-whole.safetensors`);
    const uninterrupted = await naan([...trainFlags(whole, flags), '--threads', '1']);
    assert.equal(uninterrupted.code, 0, uninterrupted.stderr);

    const stopped = async (name: string, signal: 'SIGKILL' | 'SIGINT', every: string) => {
      const out = at(`${head}-${name}`, 'model.safetensors');
      const all = [...trainFlags(out, flags), '--checkpoint-every', every];
      const { child, said, ended } = start([...all, '--threads', '2']);
      await said(first);
      if (signal === 'SIGKILL') await written(`${out}.checkpoint`);
      child.kill(signal);
      const { code } = await ended;
      assert.equal(code, signal === 'SIGKILL' ? 137 : 130);
      assert.equal(existsSync(out), false, 'it was stopped before it had a model');
      assert.ok(readdirSync(dirname(out)).includes(`${basename(out)}.checkpoint`));

      const resumed = await naan([...all, '--resume', '--threads', '1']);
      assert.equal(resumed.code, 0, resumed.stderr);
      const step = Number(/goes on from step (\d+)/.exec(resumed.stderr)?.[1]);
      assert.ok(step > 0, resumed.stderr);
      assert.ok(readFileSync(out).equals(readFileSync(whole)), `${name}: another model`);
      assert.equal(existsSync(`${out}.checkpoint`), false);
    };
    await stopped('killed', 'SIGKILL', '40');
    await stopped('interrupted', 'SIGINT', '1000000');
  });
}

test('a checkpoint of another run is refused, and --resume without one starts from the beginning', async () => {
  const out = at('other', 'model.safetensors');
  const { child, said, ended } = start(trainFlags(out, long.concat.flags));
  await said(long.concat.first);
  child.kill('SIGINT');
  assert.equal((await ended).code, 130);
  const refused = await naan([...trainFlags(out, long.concat.flags), '--resume', '--seed', '2']);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^naan train: \S+checkpoint: was made with seed 1, got 2: [^\n]+\n$/m);
  const anew = await naan([...trainFlags(at('anew.safetensors'), pairwise), '--resume']);
  assert.equal(anew.code, 0, anew.stderr);
  assert.match(anew.stderr, /no checkpoint yet/);
});

test('identities of any names train the same model as numbers', async () => {
  const names = Array.from(truth, (id) => (id === -1 ? '-1' : `Person ${id}`));
  writeFileSync(at('names.txt'), `\uFEFF${names.join('\r\n')}`);
  const short = [...concat, '--passes', '1', '--epochs', '1', '--quiet'];
  const models: Buffer[] = [];
  for (const labels of [`${features}:labels`, at('names.txt')]) {
    const out = at(`named${models.length}`, 'model.safetensors');
    const { code, stderr } = await naan(trainFlags(out, [...short, '--labels', labels]));
    assert.equal(code, 0, stderr);
    models.push(readFileSync(out));
  }
  assert.ok(models[0].equals(models[1]));
});

test('metrics of a training run', async (t) => {
  const { said, ended, child } = start([
    ...trainFlags(at('watched.safetensors'), long.concat.flags),
    '--metrics-port',
    '0',
  ]);
  const [, url] = await said(/metrics at (http:\/\/127\.0\.0\.1:\d+\/metrics)\n/);
  await said(long.concat.first);
  const text = await (await fetch(url)).text();
  child.kill('SIGINT');
  await ended;
  for (const name of ['loss', 'pairs_total', 'steps_total', 'learning_rate', 'gradient_norm', 'held_out']) {
    const value = Number(new RegExp(`^naan_training_${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
    assert.ok(value > 0, `naan_training_${name} in\n${text}`);
  }
  if (spawnSync('promtool', ['--version']).error)
    return t.diagnostic('promtool (Debian package prometheus) is not installed: not checked with it');
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.equal(checked.stdout + checked.stderr, '');
});

/** Bad usage or input: exit code 2, one line on stderr, nothing written. */
async function refuses(name: string, flags: readonly string[], message: RegExp): Promise<void> {
  const out = at(name, 'model.safetensors');
  const { code, stdout, stderr } = await naan(trainFlags(out, ['--quiet', ...flags]));
  assert.match(stderr, message);
  assert.match(stderr, /^naan train: [^\n]+\n$/);
  assert.equal(stdout, '');
  assert.equal(code, 2);
  assert.equal(existsSync(out), false);
}

async function labelsFile(name: string, labels: Int32Array): Promise<string> {
  await writeLabelText(at(name), labels);
  return at(name);
}

test('sets that nothing can be learnt from', async () => {
  const one = await labelsFile(
    'one.txt',
    truth.map(() => 7),
  );
  await refuses(
    'one',
    ['--labels', one],
    /one\.txt: all rows are of one identity \('7'\), expected 3 identities or more/,
  );
  const none = await labelsFile(
    'none.txt',
    truth.map(() => -1),
  );
  await refuses('none', ['--labels', none], /none\.txt: every row is -1, expected 3 identities or more/);
  const all = await labelsFile(
    'different.txt',
    truth.map((_, row) => row),
  );
  await refuses('different', ['--labels', all], /there is no pair of one identity/);
  const apart = await labelsFile(
    'apart.txt',
    truth.map((identity) => (identity < 30 ? identity % 2 : -1)),
  );
  await refuses(
    'few',
    ['--head', 'concat', '--labels', apart],
    /apart\.txt: 2 identities, expected 4 identities or more, some .* to hold out: .*--validation 0/,
  );
  const shorter = await labelsFile('shorter.txt', truth.slice(0, 100));
  await refuses('shorter', ['--labels', shorter], /shorter\.txt: 100 labels, expected one for each of the \d+ rows/);
  const { data, shape } = await readFloat32Array(features, 'embs');
  await writeNpy(at('bare.npy'), 'f4', shape, data);
  await refuses('bare', ['--features', at('bare.npy')], /bare\.npy: no labels are with the features: give --labels/);
  await refuses(
    'hops',
    ['--head', 'concat', '--k-hops', '30', '4'],
    /_knn\.npy: the kNN graph has 20 neighbours a node, expected at least 30/,
  );
});

test('identities that never meet: no pair of two identities', async () => {
  const lists = Int32Array.from({ length: truth.length * 4 }, (_, i) => {
    const row = i >> 2;
    const first = truth.indexOf(truth[row]);
    const size = truth.lastIndexOf(truth[row]) - first + 1;
    return i % 4 < size ? first + ((row - first + (i % 4)) % size) : -1;
  });
  await writeNpy(at('apart.npy'), 'i4', [truth.length, 4], lists);
  const graph = ['--knn', at('apart.npy')];
  await refuses('never', [...graph, '--head', 'concat', '--validation', '0'], /there is no pair of two identities/);
  await refuses('never', graph, /there is no pair of two identities/);
});

for (const [head, flags] of Object.entries({ concat, pairwise })) {
  test(`${head}: a loss that is no number ends the run with 4 and says what to do`, async () => {
    const out = at(`diverged-${head}`);
    const { code, stderr } = await naan(trainFlags(out, [...flags, '--lr', '1e38', '--quiet']));
    assert.match(stderr, /^naan train: the loss of .* is (NaN|-?Infinity): expected a lower --lr than 1e\+38\n$/);
    assert.equal(code, 4);
    assert.equal(existsSync(out), false);
  });
}
