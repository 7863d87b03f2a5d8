import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';
import { tensorflowAbove, withoutPackage } from './without-package.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
});

test('label --backend tfjs gives the labels of native', async () => {
  const labels: string[] = [];
  const found = [];
  for (const backend of ['native', 'tfjs']) {
    const out = join(folder, backend);
    const { code, stderr } = await naan([...labelFlags(inputs, out), ...hops, '--backend', backend, '--threads', '2']);
    assert.equal(code, 0, stderr);
    labels.push(readFileSync(join(out, 'split1_labels.txt'), 'utf8'));
    found.push(JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')).engine.backend);
  }
  assert.deepEqual(found, ['native', 'tfjs (WebAssembly)']);
  assert.equal(labels[0], labels[1]);
  assert.ok(new Set(labels[0].split('\n')).size > 3);
});

test('where TensorFlow.js is not installed, --backend tfjs says what to install and what that needs', {
  skip: tensorflowAbove,
}, async () => {
  const { main } = withoutPackage('@tensorflow', join(folder, 'missing'));
  const args = [...labelFlags(inputs, join(folder, 'unused')), ...hops, '--threads', '1'];
  const { code, stderr } = await naan([...args, '--backend', 'tfjs'], { main });
  assert.equal(code, 1);
  assert.match(stderr, /^naan label: no TensorFlow\.js is installed: [^\n]*\n$/m);
  assert.match(stderr, /npm install @tensorflow\/tfjs-node-gpu@4\.22\.0/);
  assert.match(stderr, /Node 20 or 22, an NVIDIA driver, CUDA 11\.2 and cuDNN 8\.1/);
  assert.match(stderr, /npm install @tensorflow\/tfjs-core@4\.22\.0 @tensorflow\/tfjs-backend-wasm@4\.22\.0/);
  assert.equal((await naan([...args, '--backend', 'auto'], { main })).code, 0);
});

test('a TensorFlow.js that is installed but broken is an error, not a reason to take a slower one', async () => {
  const { main, packages } = withoutPackage('@tensorflow', join(folder, 'broken'));
  const gpu = join(packages, '@tensorflow/tfjs-node-gpu');
  mkdirSync(gpu, { recursive: true });
  writeFileSync(join(gpu, 'package.json'), '{"main":"index.js"}');
  writeFileSync(join(gpu, 'index.js'), 'throw new Error("libtensorflow.so.2: cannot open shared object file");');
  const args = [...labelFlags(inputs, join(folder, 'unused')), ...hops, '--threads', '1'];
  const { code, stderr } = await naan([...args, '--backend', 'tfjs'], { main });
  assert.equal(code, 1);
  assert.match(stderr, /@tensorflow\/tfjs-node-gpu is installed but cannot start: libtensorflow\.so\.2: cannot open/);
});
