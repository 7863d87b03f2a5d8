/** The memory limit of a container is what a run plans with. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { main, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const group = join('/sys/fs/cgroup/memory', `naan-test-${process.pid}`);
let inputs: Inputs;
let made = false;
before(async () => {
  inputs = await fixtureInputs(folder);
  try {
    mkdirSync(group);
    made = true;
    writeFileSync(join(group, 'memory.limit_in_bytes'), String(600 * 2 ** 20));
  } catch {
    // Told by the test.
  }
});
after(() => {
  if (made) rmdirSync(group);
});

test('a run plans with the limit of its cgroup', (t) => {
  if (!made) return t.skip('needs a cgroup (version 1) for memory that may be made here');
  const hops = ['--k-hops', '4', '3', '--sample-hops', '4', '--threads', '1'];
  const args = [process.execPath, main, ...labelFlags(inputs, join(folder, 'out')), ...hops];
  const script = `echo $$ > ${group}/cgroup.procs && exec "$@"`;
  const { status, stderr } = spawnSync('sh', ['-c', script, 'sh', ...args], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [, limit] = /of ([\d.]+) GiB of memory/.exec(stderr) ?? [];
  assert.ok(Number(limit) > 0.3 && Number(limit) < 0.59, stderr);
});
