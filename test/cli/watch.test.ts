/** Runs that are watched without a terminal: metrics that outlast them, progress as a file, logs as JSON. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { writeModel } from '../../src/model/model-file.js';
import { randomPairwise } from '../engine/fixture.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '4', '3', '--sample-hops', '4', '--threads', '1'];
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
});

const missing = join(folder, 'missing.npy');
const metricIn = (text: string, metric: string) => new RegExp(`^${metric} (\\S+)$`, 'm').exec(text)?.[1];
const objects = (stderr: string) =>
  stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('metrics and progress are kept in files when a run ends, well or not', async () => {
  const [prom, progress] = [join(folder, 'naan.prom'), join(folder, 'progress.json')];
  const watched = [...hops, '--metrics-file', prom, '--progress-file', progress];
  const run = await naan([...labelFlags(inputs, join(folder, 'out')), ...watched]);
  assert.equal(run.code, 0, run.stderr);
  const text = readFileSync(prom, 'utf8');
  assert.equal(metricIn(text, 'naan_run_success'), '1');
  assert.equal(metricIn(text, 'naan_progress_done\\{stage="project",unit="nodes"\\}'), '165');
  assert.match(text, /^naan_stage_seconds\{stage="partition"\} /m);
  const done = JSON.parse(readFileSync(progress, 'utf8'));
  assert.deepEqual([done.state, done.command, done.exitCode], ['done', 'label', 0]);
  assert.ok(done.stageSeconds.score >= 0);

  const failed = await naan([...labelFlags({ ...inputs, knn: missing }, join(folder, 'no')), ...watched]);
  assert.equal(failed.code, 2);
  assert.equal(metricIn(readFileSync(prom, 'utf8'), 'naan_run_success'), '0');
  const { state, error } = JSON.parse(readFileSync(progress, 'utf8'));
  assert.equal(state, 'failed');
  assert.equal(error.code, 'BAD_INPUT');
  assert.match(error.message, /missing\.npy/);
  if (spawnSync('promtool', ['--version']).error) return;
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.equal(checked.stdout + checked.stderr, '');
});

test('the build info names head, back-end and kernels of either head', async () => {
  const prom = join(folder, 'pairwise.prom');
  const model = join(folder, 'pairwise.safetensors');
  await writeModel(model, randomPairwise(4, 1));
  const out = join(folder, 'pairwise');
  const run = await naan([...labelFlags({ ...inputs, model }, out), '--threads', '1', '--metrics-file', prom]);
  assert.equal(run.code, 0, run.stderr);
  const info = /^naan_build_info\{.*\} 1$/m.exec(readFileSync(prom, 'utf8'))?.[0] ?? '';
  assert.match(info, /command="label",head="pairwise",backend="native",simd="(simd|relaxed)"/);
});

test('a file that is watched replaces neither an input nor what naan did not write', async () => {
  const other = join(folder, 'other.prom');
  writeFileSync(other, 'mine\n');
  for (const [option, path, message] of [
    ['--metrics-file', inputs.model, /--metrics-file would replace the model/],
    ['--progress-file', inputs.features, /--progress-file would replace the features/],
    ['--metrics-file', other, /other\.prom: is there already and naan did not write it/],
  ] as const) {
    const { code, stderr } = await naan([...labelFlags(inputs, join(folder, 'none')), ...hops, option, path]);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
  assert.equal(readFileSync(other, 'utf8'), 'mine\n');
  assert.ok(!existsSync(join(folder, 'none')));
});

test('a Pushgateway is told how the run ended', async (t) => {
  if (spawnSync('prometheus-pushgateway', ['--version']).error)
    return t.skip('prometheus-pushgateway (Debian package of that name) is not installed');
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  const gateway = spawn('prometheus-pushgateway', [`--web.listen-address=127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(() => gateway.kill());
  await new Promise<void>((ready, fail) => {
    let said = '';
    gateway.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (/listen|TLS is disabled/i.test(said)) ready();
    });
    gateway.on('exit', () => fail(new Error(said)));
  });
  // It says so a moment before it listens.
  const url = `http://127.0.0.1:${port}`;
  for (let up = false; !up; )
    up = await fetch(`${url}/-/ready`)
      .then((answer) => answer.ok)
      .catch(() => false);
  const push = ['--metrics-push', `${url}/metrics/job/naan/instance/a`];
  const good = await naan([...labelFlags(inputs, join(folder, 'pushed')), ...hops, ...push]);
  assert.equal(good.code, 0, good.stderr);
  assert.equal(good.stderr.match(/metrics-push/), null);
  const kept = await (await fetch(`${url}/metrics`)).text();
  assert.match(kept, /^naan_run_success\{instance="a",job="naan"\} 1$/m);
  assert.match(kept, /^naan_build_info\{.*head="concat",instance="a",job="naan".*\} 1$/m);
  await naan([...labelFlags({ ...inputs, knn: missing }, join(folder, 'no')), ...hops, ...push]);
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^naan_run_success\{instance="a",job="naan"\} 0$/m);
});

test('a gateway that is not there is told once, and the run goes on', async () => {
  const push = ['--metrics-push', 'http://127.0.0.1:9/'];
  const { code, stderr } = await naan([...labelFlags(inputs, join(folder, 'alone')), ...hops, ...push]);
  assert.equal(code, 0, stderr);
  assert.equal(
    stderr.match(/metrics-push: http:\/\/127\.0\.0\.1:9\/metrics\/job\/naan\/\S+: cannot be reached/g)?.length,
    1,
  );
});

test('a gateway that leads elsewhere is not followed, and what it says is one line without control characters', async (t) => {
  const asked: string[] = [];
  const gateway = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url?.startsWith('/elsewhere')) return void response.end();
    response.writeHead(307, { location: '/elsewhere' }).end('\x1b[31mgo there\nand there');
  }).listen(0, '127.0.0.1');
  t.after(() => gateway.close());
  await once(gateway, 'listening');
  const { port } = gateway.address() as AddressInfo;
  const push = ['--metrics-push', `http://127.0.0.1:${port}`];
  const { code, stderr } = await naan([...labelFlags(inputs, join(folder, 'led')), ...hops, ...push]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /answers 307 \\u001b\[31mgo there: the run goes on/);
  assert.ok(asked.length > 0 && asked.every((one) => one.startsWith('PUT /metrics/job/')), asked.join());
});

test('metrics for other machines are warned of, and need a port', async () => {
  const flags = [...labelFlags(inputs, join(folder, 'hosts')), ...hops];
  const open = await naan([...flags, '--metrics-port', '0', '--metrics-host', '0.0.0.0']);
  assert.equal(open.code, 0, open.stderr);
  assert.match(open.stderr, /metrics-host: whoever reaches 0\.0\.0\.0 can read the metrics/);
  assert.match(open.stderr, /metrics at http:\/\/0\.0\.0\.0:\d+\/metrics/);
  const unused = await naan([...flags, '--metrics-host', '::1']);
  assert.match(unused.stderr, /metrics-host: not used, as there is no --metrics-port/);
  const strange = await naan([...flags, '--metrics-port', '0', '--metrics-host', '192.0.2.1']);
  assert.equal(strange.code, 2);
  assert.match(strange.stderr, /192\.0\.2\.1:0: the host is no address of this machine/);
});

test('with --log-format json every line is an object: start, stages, messages, end', async () => {
  const flags = [...labelFlags(inputs, join(folder, 'json')), ...hops, '--log-format', 'json'];
  const { code, stderr } = await naan(flags);
  assert.equal(code, 0, stderr);
  const lines = objects(stderr);
  for (const line of lines) {
    assert.ok(!Number.isNaN(Date.parse(String(line.time))));
    assert.equal(line.command, 'label');
  }
  assert.equal(lines[0].event, 'start');
  assert.equal(lines.at(-1)?.event, 'end');
  assert.equal(lines.at(-1)?.exitCode, 0);
  const stages = (event: string) => lines.filter((line) => line.event === event).map(({ stage }) => stage);
  assert.deepEqual(stages('stage-start'), stages('stage-end'), 'what begins ends, in order');
  for (const stage of ['edges', 'project', 'score', 'partition', 'write'])
    assert.ok(stages('stage-end').includes(stage));
});

test('with --json an error is one JSON object on stderr, of usage too', async () => {
  const failed = await naan([
    ...labelFlags({ ...inputs, knn: missing }, join(folder, 'no')),
    ...hops,
    '--json',
    '--quiet',
  ]);
  assert.equal(failed.stdout, '');
  const [line] = objects(failed.stderr);
  assert.deepEqual([line.level, line.code, line.exitCode], ['error', 'BAD_INPUT', 2]);
  const usage = await naan(['label', '--json', '--no-such-option']);
  assert.equal(usage.code, 2);
  const [told] = objects(usage.stderr);
  assert.equal(told.code, 'BAD_USAGE');
  assert.match(String(told.message), /no-such-option/);
  const value = await naan(['knn', '--json', '--features', 'f', '--out', 'o', '--k', 'x']);
  assert.match(String(objects(value.stderr)[0].message), /--k: got 'x'/);
});
