import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fixtureInputs, type Inputs, labelFlags, randomInputs } from './inputs.js';
import { naan, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '20', '10', '--sample-hops', '20'];
let inputs: Inputs;
before(async () => {
  const { model } = await fixtureInputs(folder, 'wide');
  inputs = await randomInputs(folder, model, 6000, 512);
});

test('a run serves its metrics while it lasts', async (t) => {
  const { said, ended, child } = start([
    ...labelFlags(inputs, join(folder, 'out')),
    ...hops,
    '--metrics-port',
    '0',
    '--threads',
    '2',
  ]);
  const [, url] = await said(/metrics at (http:\/\/127\.0\.0\.1:\d+\/metrics)\n/);
  const scrapes: string[] = [];
  while (child.exitCode === null) {
    const text = await fetch(url).then(
      (response) => response.text(),
      () => undefined,
    );
    if (text === undefined) break;
    scrapes.push(text);
  }
  const { code, stderr } = await ended;
  assert.equal(code, 0, stderr);

  const value = (text: string, metric: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${metric} `))
        ?.split(' ')[1],
    );
  const projected = scrapes
    .map((text) => value(text, 'naan_nodes_total{stage="project"}'))
    .filter((nodes) => !Number.isNaN(nodes));
  assert.deepEqual(
    projected,
    projected.toSorted((a, b) => a - b),
    'a counter never falls',
  );
  assert.equal(projected.at(-1), 6000);
  const last = scrapes.at(-1) ?? '';
  assert.ok(value(last, 'naan_worker_busy_seconds_total{worker="0"}') > 0);
  assert.match(
    last,
    /^naan_build_info\{version="[^"]+",node="[^"]+",command="label",head="concat",backend="native",simd="\w+"\} 1$/m,
  );
  await assert.rejects(fetch(url), 'the server has gone with the run');

  if (spawnSync('promtool', ['--version']).error)
    return t.diagnostic('promtool (Debian package prometheus) is not installed: not checked with it');
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: last, encoding: 'utf8' });
  assert.equal(checked.stdout + checked.stderr, '');
});

test('a port in use is bad usage, before anything is computed', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const { code, stderr } = await naan([
    ...labelFlags(inputs, join(folder, 'taken')),
    ...hops,
    '--metrics-port',
    String(port),
  ]);
  other.close();
  assert.equal(code, 2);
  assert.match(stderr, /^naan label: metrics cannot be served on 127\.0\.0\.1:\d+: the port is in use[^\n]*\n$/);
});
