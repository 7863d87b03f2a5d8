import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { readFloat32Array } from '../../src/io/arrays.js';
import { readKnn } from '../../src/io/knn.js';
import { writeLabelText } from '../../src/io/labels.js';
import { generate } from '../../src/jobs/generate.js';
import { train } from '../../src/jobs/train.js';
import { readCheckpoint, writeCheckpoint } from '../../src/training/checkpoint.js';
import type { TrainOptions } from '../../src/training/options.js';
import { ownCheckpoint } from '../../src/training/training-lock.js';
import { temporaryFolder } from '../io/python.js';

const state = { epoch: 3, losses: [0.25, 0.125] };
const identity = { head: 'concat', seed: 1 };
const tensors = new Map([
  ['parameters', Float32Array.from({ length: 40 }, (_, i) => Math.sin(i))],
  ['best', new Float32Array(8)],
]);

test('a checkpoint survives, and is refused when a bit of it has changed', async (t) => {
  const path = join(temporaryFolder(t), 'model.checkpoint');
  assert.equal(readCheckpoint(path, identity), undefined);
  await writeCheckpoint(path, { identity, state, tensors });
  const found = readCheckpoint<typeof state>(path, identity);
  assert.deepEqual(found?.state, state);
  assert.deepEqual(found?.tensors, tensors);
  const whole = readFileSync(path);
  const blank = whole.length - (40 + 8) * 4; // the header is padded with blanks, which hold nothing
  for (let byte = 0; byte < whole.length; byte += 3) {
    if (byte < blank && byte > 8 && whole[byte] === 0x20) continue;
    const damaged = Buffer.from(whole);
    damaged[byte] ^= 1 << (byte % 8);
    writeFileSync(path, damaged);
    const expected = { code: 'BAD_INPUT', message: /model\.checkpoint: is .*leave out --resume to start anew$/ };
    assert.throws(() => readCheckpoint(path, identity), expected, `bit of byte ${byte}`);
  }
  for (const length of [0, 7, 100, whole.length - 1]) {
    writeFileSync(path, whole.subarray(0, length));
    assert.throws(() => readCheckpoint(path, identity), { code: 'BAD_INPUT' }, `${length} bytes`);
  }
  writeFileSync(path, whole);
  assert.throws(() => readCheckpoint(path, { ...identity, seed: 2 }), { code: 'BAD_USAGE', message: /seed 1, got 2/ });
});

const set = join(process.env.TMPDIR ?? '/tmp', `naan-checkpoint-${process.pid}`);
const at = (...names: string[]) => join(set, ...names);
const features = at('labeled/split0_feats.npz');
const knn = at('labeled/split0_knn.npy');
before(async () => {
  await generate({ out: set, ids: 30, dim: 16, k: 12, seed: 3, plantedKnn: true });
});
process.on('exit', () => spawnSync('rm', ['-r', set]));

const small = { head: 'pairwise', sampleHops: 8, batch: 128, epochs: 2, threads: 1 } as const;

/** Trains to the end of the first round and stops, leaving a checkpoint. */
async function stopEarly(options: TrainOptions): Promise<void> {
  const controller = new AbortController();
  const onReport = () => controller.abort();
  await assert.rejects(train({ ...options, signal: controller.signal, onReport }));
  assert.ok(existsSync(`${options.out}.checkpoint`));
}

function newFolder(t: TestContext): string {
  const folder = temporaryFolder(t);
  return join(folder, 'model.safetensors');
}

test('a run goes on with the same set by other paths, and with no other set', async (t) => {
  const out = newFolder(t);
  const folder = dirname(out);
  await train({ ...small, features, knn, out: join(folder, 'whole') });
  await stopEarly({ ...small, features, knn, out });
  const refused = (other: Partial<TrainOptions>, message: RegExp) =>
    assert.rejects(train({ ...small, features, knn, out, resume: true, ...other }), { code: 'BAD_USAGE', message });
  const { data, shape } = await readFloat32Array(features, 'embs');
  const rows = data.slice();
  rows[rows.length - 1] += 0.0001;
  await refused({ features: { rows, dim: shape[1] }, labels: features }, /made with features .*, got .*--resume/);
  const graph = await readKnn(knn);
  graph.ids.subarray(-2).reverse();
  await refused({ knn: graph }, /made with knn /);
  const labels = new Int32Array(shape[0]).map((_, row) => Math.floor(row / 7));
  await writeLabelText(join(folder, 'labels.txt'), labels);
  await refused({ labels: join(folder, 'labels.txt') }, /made with labels /);
  await refused({ epochs: 3 }, /made with epochs 2, got 3/);

  mkdirSync(join(folder, 'moved'));
  copyFileSync(features, join(folder, 'moved', 'other-name.npz'));
  symlinkSync(knn, join(folder, 'link.npy'));
  const notices: string[] = [];
  await train({
    ...small,
    features: relative('.', join(folder, 'moved', 'other-name.npz')),
    knn: join(folder, 'link.npy'),
    out,
    resume: true,
    onNotice: (text) => notices.push(text),
  });
  assert.match(notices.join('\n'), /goes on from step \d+/);
  assert.ok(readFileSync(out).equals(readFileSync(join(folder, 'whole'))));
});

test('a damaged checkpoint is refused, and training without it starts anew and says so', async (t) => {
  const out = newFolder(t);
  await stopEarly({ ...small, features, knn, out });
  const checkpoint = `${out}.checkpoint`;
  const bytes = readFileSync(checkpoint);
  bytes[bytes.length - 9] ^= 4;
  writeFileSync(checkpoint, bytes);
  const options = { ...small, features, knn, out };
  await assert.rejects(train({ ...options, resume: true }), { code: 'BAD_INPUT', message: /checkpoint: is damaged/ });
  const notices: string[] = [];
  await train({ ...options, onNotice: (text) => notices.push(text) });
  assert.match(notices.join('\n'), /checkpoint: is replaced, as training starts anew: --resume/);
  assert.deepEqual(readdirSync(dirname(out)).sort(), ['model.safetensors', 'train.json', 'train.svg']);
});

test('two trainings of one model: the second is refused while the first lasts', async (t) => {
  const out = newFolder(t);
  const link = join(dirname(out), 'folder');
  symlinkSync(dirname(out), link);
  const second = (path: string) => train({ ...small, features, knn, out: path });
  await ownCheckpoint(`${out}.checkpoint`, {}, async () => {
    const expected = { code: 'BAD_USAGE', message: /checkpoint\.lock: .* is working on it: give another --out/ };
    await assert.rejects(second(out), expected);
    await assert.rejects(second(join(link, 'model.safetensors')), expected);
  });
  assert.ok(!existsSync(out));
  await second(out);
  assert.deepEqual(readdirSync(dirname(out)).sort(), ['folder', 'model.safetensors', 'train.json', 'train.svg']);
});

test('a training that another process took over writes nothing more', async (t) => {
  const out = newFolder(t);
  const seize = () => {
    const lock = `${out}.checkpoint.lock`;
    for (const name of readdirSync(lock)) renameSync(join(lock, name), join(lock, `${name}.gone`));
  };
  const run = train({ ...small, features, knn, out, onReport: seize });
  await assert.rejects(run, { code: 'LOCK_LOST' });
  assert.ok(!existsSync(out));
});
