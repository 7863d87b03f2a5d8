/** A search for neighbours whose ranks are taken by workers that come and go: the same bytes as one process. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SyntheticSet } from '../../src/graph/synthetic-set.js';
import { findFeatures } from '../../src/io/features.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { cancel } from '../../src/jobs/cancel.js';
import { findKnnByWorkers, progressOfRanks } from '../../src/jobs/knn-ranks.js';
import { work } from '../../src/jobs/worker.js';
import type { Announcement } from '../../src/machines/queue.js';
import type { ProgressEvent } from '../../src/progress.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { appeared } from './appeared.js';
import { redisServer, withoutRedis } from './redis-server.js';
import { workerProcess, workersFor } from './workers.js';

const skip = withoutRedis;
const folder = temporaryFolder(after);
const features = join(folder, 'faces.npy');
const expected = join(folder, 'alone.npy');
const [nodes, dim] = [3000, 32];

const flags = (out: string, ...more: string[]) =>
  ['knn', '--features', features, '--out', out, '--k', '10', '--method', 'ivf', '--threads', '1'].concat(more);
const sharedFlags = (out: string, workDir: string, cluster: string, ranks: number) =>
  flags(out, '--work-dir', workDir, '--cluster', cluster, '--ranks', String(ranks));

before(async () => {
  const rows = new Float32Array(nodes * dim);
  new SyntheticSet({ seed: 5, split: 1, dim, extent: { nodes }, shuffle: true }).rows(0, nodes, rows);
  await writeNpy(features, 'f4', [nodes, dim], rows);
  const { code, stderr } = await naan(flags(expected, '--quiet'));
  assert.equal(code, 0, stderr);
});

test('a coordinator and two workers write the graph that one process writes', { skip }, async (t) => {
  const { address } = await redisServer(t);
  const { stop, workers } = workersFor(t, address, 2);
  const [out, workDir, metrics] = ['two.npy', 'two', 'two.prom'].map((name) => join(folder, name));
  const { code, stderr } = await naan([...sharedFlags(out, workDir, address, 3), '--metrics-file', metrics]);
  assert.equal(code, 0, stderr);
  assert.match(readFileSync(metrics, 'utf8'), /^naan_cluster_written_bytes_total\{stage="rank".*\} [1-9]/m);
  assert.deepEqual(readFileSync(out), readFileSync(expected));
  assert.deepEqual(readdirSync(join(workDir, 'rank-2')), [], 'what the ranks left is removed');
  stop();
  const tasks = await Promise.all(workers);
  assert.deepEqual(
    tasks.map((summary) => summary.tasks),
    [1, 1],
    'each took a rank',
  );
});

test('whoever dies, and a Redis that is emptied: others go on with the rank, to the same bytes', {
  skip,
}, async (t) => {
  const { address, client } = await redisServer(t);
  const [out, workDir] = [join(folder, 'died.npy'), join(folder, 'died')];
  const dead = workerProcess(t, address);
  const coordinator = start(sharedFlags(out, workDir, address, 2));
  await appeared(join(workDir, 'rank-1'), /^lists-0\.1\..*manifest$/);
  dead.kill('SIGKILL');
  coordinator.child.kill('SIGKILL');
  await coordinator.ended;
  const stopped = await naan(['status', workDir]);
  assert.match(stopped.stdout, /^ranks +2\n(.*\n)+ {2}rank 0 +\d+ shards, stopped.*\n {2}rank 1 +\d+ shards, /m);

  const again = start(sharedFlags(out, workDir, address, 2));
  await epochOf(client, 2);
  await client.flushall();
  const { stop, workers } = workersFor(t, address, 1);
  const { code, stderr } = await again.ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /goes on with the search of /);
  assert.match(stderr, /was emptied: its tasks are handed out anew/);
  assert.match((await naan(['status', workDir])).stdout, /^state +finished /m);
  assert.deepEqual(readFileSync(out), readFileSync(expected));
  stop();
  await Promise.all(workers);
});

test('naan cancel ends a search and frees its workers; the same search goes on', { skip }, async (t) => {
  const { address, client } = await redisServer(t);
  const workDir = join(folder, 'cancelled');
  const source = await findFeatures(features);
  let told = (_: ProgressEvent) => {};
  const onProgress = (event: ProgressEvent) => told(event);
  const options = { k: 10, threads: 1, work: { path: workDir, features }, onProgress };
  const hired = { ranks: 3, cluster: address };
  const twoOfThree = new Promise<void>((done) => {
    told = (event) => {
      const { stage, done: rows, total } = event;
      if (stage === 'sample' && rows === Math.floor((2 / 3) * total)) done();
    };
  });
  // With one worker for two ranks the search stands still.
  const { stop, workers } = workersFor(t, address, 1);
  const cancelled = assert.rejects(findKnnByWorkers(source, options, hired), { code: 'CANCELLED' });
  await twoOfThree;
  assert.ok(await cancel({ workDir, cluster: address }));
  await cancelled;
  const { stop: stopOther, workers: others } = workersFor(t, address, 1);
  const { graph } = await findKnnByWorkers(source, options, hired);
  assert.deepEqual(Buffer.from(graph.ids.buffer), readFileSync(expected).subarray(-graph.ids.byteLength));
  assert.equal(await client.exists('naan:runs'), 0);
  stop();
  stopOther();
  await Promise.all([...workers, ...others]);
});

test('a worker that is stopped ends though Redis is away', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { address, kill } = await redisServer(t);
  const [out, workDir] = [join(folder, 'away.npy'), join(folder, 'away')];
  const { stop, workers } = workersFor(t, address, 1);
  const coordinator = start(sharedFlags(out, workDir, address, 3));
  await appeared(join(workDir, 'rank-1'), /manifest$/);
  await kill();
  stop();
  await Promise.all(workers);
  coordinator.child.kill('SIGKILL');
  await coordinator.ended;
});

test('what a worker cannot do ends the search in one line, as do options that do not go together', {
  skip,
}, async (t) => {
  const { address } = await redisServer(t);
  const [out, workDir] = [join(folder, 'refused.npy'), join(folder, 'refused')];
  const working = assert.rejects(work({ cluster: address, threads: 1, memory: 2 ** 20 }), { code: 'OUT_OF_MEMORY' });
  const failed = await naan(sharedFlags(out, workDir, address, 2));
  assert.equal(failed.code, 3, failed.stderr);
  assert.match(failed.stderr, /^naan knn: [^\n]*: [^\n]*memory[^\n]*\n$/m);
  await working;
  const needless = ['--cluster', address, '--work-dir', workDir];
  for (const wrong of [[], ['--ranks', '1'], ['--rank', '0', '--ranks', '2'], ['--ranks', '2', '--restart']]) {
    const { code, stderr } = await naan(flags(out, ...needless, ...wrong));
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^naan knn: .*(rank|restart).*\n$/);
  }
});

test('a worker that differs from the coordinator, and a second coordinator, are refused in one line', {
  skip,
}, async (t) => {
  const { address, client } = await redisServer(t);
  const [out, workDir] = [join(folder, 'differ.npy'), join(folder, 'differ')];
  const coordinator = start(sharedFlags(out, workDir, address, 2));
  t.after(() => void coordinator.child.kill('SIGKILL'));
  const announced = await epochOf(client, 1);
  const second = await naan(sharedFlags(join(folder, 'second.npy'), workDir, address, 2));
  assert.equal(second.code, 2);
  assert.match(second.stderr, /^naan knn: [^\n]*rank-0: process \d+ is working on it: give another --work-dir\n$/m);
  const other = '0123456789abcdef';
  for (const [changed, message] of [
    [{ identity: { ...announced.identity, arithmetic: other } }, /the coordinator: has arithmetic .*: its processor/],
    [{ identity: { ...announced.identity, features: other } }, /the coordinator: has features .*, here it is/],
    [{ naan: '0.0.0' }, /the coordinator: has naan "0.0.0", here it is/],
    [{ run: other }, /rank-0: holds another run here: all machines must see the folder of the coordinator/],
  ] as const) {
    await client.set(`naan:run:${announced.run}`, JSON.stringify({ ...announced, ...changed }));
    await assert.rejects(work({ cluster: address, threads: 1 }), { code: 'BAD_USAGE', message });
  }
});

test('the progress of a search is that of all ranks', () => {
  const events: ProgressEvent[] = [];
  const hear = progressOfRanks(2, (event) => void events.push(event));
  const at = (stage: string, done: number, from?: number) =>
    ({ stage, done, total: 100, unit: 'rows', ...(from && { from }) }) as const;
  hear(0, at('sample', 100));
  hear(0, at('compare', 60, 40));
  hear(1, at('assign', 50));
  hear(1, at('compare', 20, 20));
  hear(1, at('refine', 10));
  hear(0, at('knn', 30));
  const half = at('sample', 50);
  assert.deepEqual(events, [half, half, at('assign', 75), at('compare', 40, 30), at('compare', 80, 20), at('knn', 30)]);
});

/** The announcement of a run by its nth coordinator, once it is there. */
async function epochOf(
  client: Awaited<ReturnType<typeof redisServer>>['client'],
  epoch: number,
): Promise<Announcement> {
  for (;;) {
    const [run] = await client.smembers('naan:runs');
    const text = run === undefined ? null : await client.get(`naan:run:${run}`);
    if (text !== null && (JSON.parse(text) as Announcement).epoch === epoch) return JSON.parse(text);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
