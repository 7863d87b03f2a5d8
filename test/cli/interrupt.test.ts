import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { swiftShader, withoutSwiftShader } from '../backends/setups.js';
import { fixtureInputs, type Inputs, labelFlags, randomInputs } from './inputs.js';
import { start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
let inputs: Inputs;
before(async () => {
  const { model } = await fixtureInputs(folder, 'wide');
  inputs = await randomInputs(folder, model, 6000, 512);
});

const firstProgress = /^\w+ +\d+ %/m;

/** Everything below a folder, hidden temporaries included. */
const filesIn = (path: string) => (existsSync(path) ? readdirSync(path, { recursive: true }).sort() : []);

/** The reference back-end is slow enough for a signal to find the run at work, whatever the machine. */
function longRun(out: string) {
  return start([...labelFlags(inputs, out), '--k-hops', '20', '10', '--sample-hops', '20', '--backend', 'reference']);
}

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`${signal} stops a labelling run with ${exitCode} and leaves no file`, async () => {
    const out = join(folder, signal);
    const { child, said, ended } = longRun(out);
    await said(firstProgress);
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    assert.equal(code, exitCode, stderr);
    assert.equal(stdout, '');
    assert.deepEqual(filesIn(out), []);
  });

  test(`${signal} stops generate with ${exitCode} and leaves no file`, async () => {
    const out = join(folder, `generate-${signal}`);
    const { child, said, ended } = start(['generate', '--out', out, '--ids', '20000', '--dim', '512']);
    await said(firstProgress);
    child.kill(signal);
    const { code, stderr } = await ended;
    assert.equal(code, exitCode, stderr);
    assert.deepEqual(filesIn(out), []);
  });
}

test('Ctrl-C ends a run while a device computes', { skip: withoutSwiftShader }, async () => {
  const out = join(folder, 'device');
  const flags = [...labelFlags(inputs, out), '--backend', 'onnx', '--provider', 'webgpu'];
  const { child, said, ended } = start(flags, { environment: { VK_DRIVER_FILES: swiftShader } });
  await said(/^project +\d+ %/m);
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  assert.equal(code, 130, stderr);
  assert.deepEqual(filesIn(out), []);
});

test('a second Ctrl-C ends the run at once', async () => {
  const { child, said, ended } = longRun(join(folder, 'twice'));
  await said(firstProgress);
  child.kill('SIGINT');
  child.kill('SIGINT');
  assert.equal((await ended).code, 130);
  assert.deepEqual(filesIn(join(folder, 'twice')), []);
});
