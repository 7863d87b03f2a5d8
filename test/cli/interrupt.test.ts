import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { swiftShader, withoutSwiftShader } from '../backends/setups.js';
import { fixtureInputs, type Inputs, labelFlags, randomInputs } from './inputs.js';
import { main, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
let inputs: Inputs;
before(async () => {
  const { model } = await fixtureInputs(folder, 'wide');
  inputs = await randomInputs(folder, model, 6000, 512);
});

const firstProgress = /^\S+Z \w+ +\d+ %/m;

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
  await said(/^\S+Z project +\d+ %/m);
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  assert.equal(code, 130, stderr);
  assert.deepEqual(filesIn(out), []);
});

/** Why a test is skipped where programs are missing. */
function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined);
  return absent.length > 0 && `${absent.join(', ')}: not here`;
}

const generate = (out: string) => ['generate', '--out', out, '--ids', '2000', '--dim', '64'];

for (const [what, within] of [
  ['a command', ['bash', '-c', 'nohup "$0" "$@"']],
  ['a script', ['nohup', 'bash', '-c', '"$0" "$@"; exit $?']],
] as const) {
  test(`nohup with ${what}: SIGHUP does not end a run`, { skip: missing('bash', 'nohup') }, async () => {
    const out = join(folder, what);
    const { child, said, ended } = start(generate(out), { within, detached: true });
    await said(firstProgress);
    process.kill(-child.pid!, 'SIGHUP');
    const { code, stderr } = await ended;
    assert.equal(code, 0, stderr);
    assert.ok(existsSync(join(out, 'unlabeled', 'split1_feats.npz')));
  });
}

test('under nohup a run outlives its terminal', { skip: missing('script', 'nohup') }, async () => {
  const out = join(folder, 'terminal');
  // Only standard input is the terminal; what is printed comes through a descriptor that outlives it.
  const words = [process.execPath, main, ...generate(out)].map((word) => `'${word}'`).join(' ');
  const terminal = spawn('script', ['-qec', `env -u _ nohup ${words} >&3 2>&3`, '/dev/null'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  let text = '';
  let closed = false;
  for await (const piece of terminal.stdio[3] as Readable) {
    text += piece;
    if (!closed && firstProgress.test(text)) closed = terminal.kill('SIGKILL');
  }
  assert.ok(closed, text);
  assert.ok(existsSync(join(out, 'unlabeled', 'split1_feats.npz')), text);
});

test('a second Ctrl-C ends the run at once', async () => {
  const { child, said, ended } = longRun(join(folder, 'twice'));
  await said(firstProgress);
  child.kill('SIGINT');
  child.kill('SIGINT');
  assert.equal((await ended).code, 130);
  assert.deepEqual(filesIn(join(folder, 'twice')), []);
});
