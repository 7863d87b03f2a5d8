import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generate } from '../../src/jobs/generate.js';
import { main, naan, temporaryFolder } from './naan.js';
import { withoutPackage } from './without-package.js';

const folder = temporaryFolder(after);
const features = join(folder, 'faces/unlabeled/split1_feats.npz');
const exact = join(folder, 'faces/unlabeled/split1_knn.npy');
before(() => generate({ out: join(folder, 'faces'), nodes: 1500, labeledIds: 0, dim: 32, k: 10, shuffle: true }));

const search = (out: string, ...more: string[]) => ['knn', '--features', features, '--out', out, '--k', '10', ...more];

test('knn is exact for a small set', async () => {
  const out = join(folder, 'auto.npy');
  const { code, stdout, stderr } = await naan([...search(out), '--json']);
  assert.equal(code, 0, stderr);
  const { method, recall, attempts, nodes, k } = JSON.parse(stdout);
  assert.deepEqual(
    { method, recall, attempts, nodes, k },
    { method: 'exact', recall: 1, attempts: 1, nodes: 1500, k: 10 },
  );
  assert.deepEqual(readFileSync(out), readFileSync(exact));
});

test('knn --method ivf prints the recall that it measured, and writes the same for any threads', async () => {
  const [one, two] = [join(folder, 'one.npy'), join(folder, 'two.npy')];
  const { code, stdout, stderr } = await naan([...search(one), '--method', 'ivf', '--threads', '1', '--json']);
  assert.equal(code, 0, stderr);
  const { method, recall } = JSON.parse(stdout);
  assert.equal(method, 'ivf');
  assert.ok(recall >= 0.99 && recall <= 1, `${recall}`);
  const text = await naan([...search(two), '--method', 'ivf', '--threads', '3']);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, new RegExp(`recall +${recall.toFixed(4)} on a sample`));
  assert.deepEqual(readFileSync(one), readFileSync(two));
});

test('knn --backend finds the exact graph on a device, and says by what', async () => {
  const out = join(folder, 'device.npy');
  const onDevice = [...search(out), '--backend', 'onnx', '--provider', 'cpu'];
  const { code, stdout, stderr } = await naan([...onDevice, '--batch', '200', '--json']);
  assert.equal(code, 0, stderr);
  const { method, backend, devices, searchedAgain } = JSON.parse(stdout);
  assert.deepEqual({ method, backend, searchedAgain }, { method: 'exact', backend: 'onnx (cpu)', searchedAgain: 0 });
  assert.equal(devices[0].rows, 1500);
  assert.deepEqual(readFileSync(out), readFileSync(exact));
  const text = await naan([...onDevice, '--overwrite', '--device-memory', '1MiB']);
  assert.match(text.stderr, /^naan knn: at most 0\.\d+ of \d+\.\d GiB of memory: .*, threads 0\.\d+, devices 0\.\d+$/m);
  assert.match(text.stdout, /^computed by +onnx \(cpu\)$/m);
  assert.deepEqual(readFileSync(out), readFileSync(exact));
  const refused = await naan([...onDevice, '--overwrite', '--method', 'ivf']);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /method: back-ends beside native find exact graphs, got ivf/);
});

test('knn says beforehand what it keeps, and refuses what does not fit into --memory', async () => {
  const out = join(folder, 'planned.npy');
  const told = await naan([...search(out), '--method', 'ivf', '--memory', '2GiB']);
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stderr, /^naan knn: about 0\.\d+ of 2\.0 GiB of memory: rows 0\.00, sketches 0\.00, lists/m);
  assert.match(told.stdout, /peak memory +\d/);
  const refused = await naan([...search(join(folder, 'refused.npy')), '--method', 'ivf', '--memory', '64MiB']);
  assert.equal(refused.code, 3);
  assert.match(
    refused.stderr,
    /^naan knn: \S+: the kNN graph of 1500 rows × 32 takes 0\.\d+ GiB .* give that much with --memory$/m,
  );
});

test('the peak of memory that knn tells is its own, not that of the process that started it', () => {
  const large = `
    const held = Buffer.alloc(800 * 2 ** 20, 1);
    const { spawnSync } = require('node:child_process');
    const [node, ...args] = process.argv.slice(1);
    const { stdout } = spawnSync(node, args, { encoding: 'utf8' });
    process.stdout.write(stdout);
    if (held[held.length - 1] !== 1) process.exit(1);
  `;
  const command = [process.execPath, main, ...search(join(folder, 'started.npy')), '--json', '--quiet'];
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', large, ...command], { encoding: 'utf8' });
  const { peakRssBytes } = JSON.parse(stdout || stderr);
  assert.ok(peakRssBytes > 50 * 2 ** 20 && peakRssBytes < 600 * 2 ** 20, `${peakRssBytes}`);
});

test('knn refuses a recall above one', async () => {
  const { code, stderr } = await naan([...search(join(folder, 'unused.npy')), '--min-recall', '1.2']);
  assert.equal(code, 2);
  assert.match(stderr, /min-recall.*1\.2.*from 0\.1 to 1/);
});

/** Node looks for packages in every folder above the program, so one that stands there would be found. */
const notIsolated = (() => {
  try {
    return `${createRequire(join(folder, 'any.js')).resolve('usearch')} is found from the temporary folder`;
  } catch {
    return false;
  }
})();

test('where usearch is not installed, --method hnsw says what to install', { skip: notIsolated }, async () => {
  const { main } = withoutPackage('usearch', join(folder, 'program'));
  const out = join(folder, 'hnsw.npy');
  const { code, stderr } = await naan([...search(out), '--method', 'hnsw'], { main });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^naan knn: method hnsw needs the optional package usearch: npm install usearch@2\.25\.3[^\n]*\n$/,
  );
  assert.equal(existsSync(out), false);
});
