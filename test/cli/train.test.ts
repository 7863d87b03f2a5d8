import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { generate } from '../../src/engine/generate.js';
import { readFloat32Array } from '../../src/io/arrays.js';
import { readLabels, writeLabelText } from '../../src/io/labels.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { readModel } from '../../src/model/model-file.js';
import { naan, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (...name: string[]) => join(folder, ...name);
const features = at('labeled/split0_feats.npz');
const knn = at('labeled/split0_knn.npy');
let truth: Int32Array;
before(async () => {
  await generate({ out: folder, ids: 60, dim: 16, k: 20, seed: 3 });
  truth = await readLabels(features);
});

const hops = ['--head', 'concat', '--k-hops', '6', '4', '--sample-hops', '8'];
const short = [...hops, '--batch', '256', '--passes', '2', '--epochs', '3'];

function trainFlags(out: string, more: readonly string[] = short): string[] {
  return ['train', '--features', features, '--knn', knn, '--out', out, ...more];
}

test('train writes a calibrated model, its history and a plot, and label takes what was calibrated', async () => {
  const out = at('plain', 'model.safetensors');
  const trained = await naan([...trainFlags(out), '--json']);
  assert.equal(trained.code, 0, trained.stderr);
  assert.deepEqual(readdirSync(dirname(out)).sort(), ['model.safetensors', 'train.json', 'train.svg']);
  for (let epoch = 1; epoch <= 3; epoch++) {
    assert.match(
      trained.stderr,
      new RegExp(`^naan train: epoch ${epoch} of 3: lr .*; held out: .* BCubed F 0\\.\\d+`, 'm'),
    );
  }
  const summary = JSON.parse(trained.stdout);
  const { config } = await readModel(out);
  assert.equal(config.partition, summary.heldOut.partition);
  assert.equal(config.threshold, summary.heldOut.threshold);
  assert.equal(summary.identities, 60);
  assert.equal(summary.heldOutIdentities, 6);

  const history = JSON.parse(readFileSync(at('plain', 'train.json'), 'utf8'));
  assert.equal(history.history.length, 3);
  assert.equal(history.optionSources.batch, '--batch');
  const rates = history.history.map(({ learningRate }: { learningRate: number }) => learningRate.toPrecision(3));
  assert.deepEqual(rates, ['0.00200', '0.000200', '0.0000200']);
  assert.match(readFileSync(at('plain', 'train.svg'), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);

  const split = at('unlabeled/split1');
  const labelled = await naan([
    ...[
      'label',
      '--features',
      `${split}_feats.npz`,
      '--knn',
      `${split}_knn.npy`,
      '--model',
      out,
      '--out',
      at('labels'),
    ],
  ]);
  assert.equal(labelled.code, 0, labelled.stderr);
  assert.match(labelled.stdout, new RegExp(`^partition +${config.partition}$`, 'm'));
  assert.match(labelled.stdout, /^threshold +\d\.\d+, calibrated with the model$/m);
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

/** After the first epoch two more are sure to follow: a signal then finds the run at work. */
const long = [...hops, '--batch', '256', '--passes', '20', '--epochs', '5'];
const firstEpoch = /epoch 1 of 5/;

test('a run killed or interrupted goes on to the very same model', async () => {
  const whole = at('whole.safetensors');
  const uninterrupted = await naan([...trainFlags(whole, long), '--threads', '1']);
  assert.equal(uninterrupted.code, 0, uninterrupted.stderr);

  const stopped = async (name: string, signal: 'SIGKILL' | 'SIGINT', every: string) => {
    const out = at(name, 'model.safetensors');
    const flags = [...trainFlags(out, long), '--checkpoint-every', every];
    const { child, said, ended } = start([...flags, '--threads', '2']);
    await said(firstEpoch);
    if (signal === 'SIGKILL') await written(`${out}.checkpoint`);
    child.kill(signal);
    const { code } = await ended;
    assert.equal(code, signal === 'SIGKILL' ? null : 130);
    assert.equal(existsSync(out), false, 'it was stopped before it had a model');
    assert.ok(readdirSync(dirname(out)).includes(`${basename(out)}.checkpoint`));

    const resumed = await naan([...flags, '--resume', '--threads', '1']);
    assert.equal(resumed.code, 0, resumed.stderr);
    const step = Number(/goes on from step (\d+)/.exec(resumed.stderr)?.[1]);
    assert.ok(step > 0, resumed.stderr);
    assert.ok(readFileSync(out).equals(readFileSync(whole)), `${name}: another model`);
    assert.equal(existsSync(`${out}.checkpoint`), false);
  };
  await stopped('killed', 'SIGKILL', '5');
  await stopped('interrupted', 'SIGINT', '1000000');
});

test('a checkpoint of another run is refused, and --resume without one starts from the beginning', async () => {
  const out = at('other', 'model.safetensors');
  const { child, said, ended } = start(trainFlags(out, long));
  await said(firstEpoch);
  child.kill('SIGINT');
  assert.equal((await ended).code, 130);
  const refused = await naan([...trainFlags(out, long), '--resume', '--seed', '2']);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^naan train: \S+checkpoint: was made with seed 1, got 2: [^\n]+\n$/m);
  const anew = await naan([...trainFlags(at('anew.safetensors')), '--resume']);
  assert.equal(anew.code, 0, anew.stderr);
  assert.match(anew.stderr, /no checkpoint yet/);
});

test('metrics of a training run', async (t) => {
  const { said, ended, child } = start([...trainFlags(at('watched.safetensors'), long), '--metrics-port', '0']);
  const [, url] = await said(/metrics at (http:\/\/127\.0\.0\.1:\d+\/metrics)\n/);
  await said(firstEpoch);
  const text = await (await fetch(url)).text();
  child.kill('SIGINT');
  await ended;
  for (const name of ['loss', 'pairs_total', 'steps_total', 'learning_rate', 'gradient_norm']) {
    const value = Number(new RegExp(`^naan_training_${name} (\\S+)$`, 'm').exec(text)?.[1]);
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
  await refuses('one', ['--labels', one], /all rows are of one identity, expected two/);
  const none = await labelsFile(
    'none.txt',
    truth.map(() => -1),
  );
  await refuses('none', ['--labels', none], /every row is -1, expected two/);
  const all = await labelsFile(
    'different.txt',
    truth.map((_, row) => row),
  );
  await refuses('different', ['--labels', all], /there is no pair of one identity/);
  const apart = await labelsFile(
    'apart.txt',
    truth.map((identity) => (identity < 30 ? identity % 2 : -1)),
  );
  await refuses('few', ['--labels', apart], /2 identities are too few to hold some out, .*--validation 0/);
  const shorter = await labelsFile('shorter.txt', truth.slice(0, 100));
  await refuses('shorter', ['--labels', shorter], /shorter\.txt: 100 labels, expected one for each of the \d+ rows/);
  const { data, shape } = await readFloat32Array(features, 'embs');
  await writeNpy(at('bare.npy'), 'f4', shape, data);
  await refuses('bare', ['--features', at('bare.npy')], /bare\.npy: no labels are with the features: give --labels/);
  await refuses('hops', ['--k-hops', '30', '4'], /has 20 neighbours a node, expected at least 30/);
});

test('identities that never meet: no pair of two identities', async () => {
  const lists = Int32Array.from({ length: truth.length * 4 }, (_, i) => {
    const row = i >> 2;
    const first = truth.indexOf(truth[row]);
    const size = truth.lastIndexOf(truth[row]) - first + 1;
    return i % 4 < size ? first + ((row - first + (i % 4)) % size) : -1;
  });
  await writeNpy(at('apart.npy'), 'i4', [truth.length, 4], lists);
  const flags = ['--knn', at('apart.npy'), '--k-hops', '3', '3', '--sample-hops', '3', '--validation', '0'];
  await refuses('never', flags, /there is no pair of two identities/);
});
