/** A run whose shards a queue hands out: the same bytes as one process, whatever dies or is emptied. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { cancel } from '../../src/jobs/cancel.js';
import { label } from '../../src/jobs/label.js';
import { work } from '../../src/jobs/worker.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { appeared } from './appeared.js';
import { redisServer, type TestRedis, withoutRedis } from './redis-server.js';
import { alone, smallFlags, smallRun, smallSet } from './small-set.js';
import { stopAtTask, workerProcess, workersFor } from './workers.js';

const skip = withoutRedis;

for (const head of ['pairwise', 'concat'] as const) {
  test(`${head}: two workers make what one process makes`, { skip }, async (t) => {
    const folder = temporaryFolder((clean) => t.after(clean));
    const set = await smallSet(folder, head);
    const expected = await alone(set, head);
    const { address: cluster } = await redisServer(t);
    const { stop, workers } = workersFor(t, cluster, 2);
    const workDir = join(folder, 'work');
    const { labels, edges } = await label({ ...smallRun(set, head), workDir, cluster });
    assert.deepEqual({ labels, edges }, expected);
    assert.deepEqual(readdirSync(workDir), ['journal'], 'what the workers left is removed');
    stop();
    const tasks = (await Promise.all(workers)).reduce((sum, summary) => sum + summary.tasks, 0);
    assert.ok(tasks >= 11, `${tasks} shards were computed by workers`);
  });
}

test('a worker that was killed is told of, one that was stopped is not, and one that joins late does their tasks', {
  skip,
}, async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const expected = await alone(set, 'pairwise');
  const { address: cluster, client } = await redisServer(t);
  const workDir = join(folder, 'work');
  const notices: string[] = [];
  const events = new EventEmitter();
  const onNotice = (notice: string) => {
    notices.push(notice);
    events.emit('notice');
  };
  const told = async (notice: string | RegExp, from: number) => {
    const isWanted = (one: string) => (typeof notice === 'string' ? one === notice : notice.test(one));
    while (!notices.slice(from).some(isWanted)) await once(events, 'notice');
  };
  const labelled = label({ ...smallRun(set, 'pairwise'), workDir, cluster, onNotice });
  const killed = workerProcess(t, cluster);
  await appeared(workDir, /^load-0-\d+\..*\.rows$/);
  await stopAtTask(killed, client);
  await told('1 worker, before 0', 0);
  killed.kill('SIGKILL');
  // Containers may have the name of one host, and processes of the same number: eight digits tell their workers apart.
  const who = `worker ${hostname()}:${killed.pid}:[0-9a-f]{8}`;
  const loss = new RegExp(`^${who} is lost: it was killed, or cannot reach Redis$`);
  await told(loss, 0);

  // The stage cannot end: this worker takes the other for dead only after a while.
  const from = notices.length;
  const stopped = start(['worker', '--cluster', cluster, '--threads', '1']);
  await told('1 worker, before 0', from);
  stopped.child.kill('SIGTERM');
  assert.equal((await stopped.ended).code, 143);
  await told('0 workers, before 1', from);

  const { stop, workers } = workersFor(t, cluster, 1);
  const { labels, edges } = await labelled;
  assert.deepEqual({ labels, edges }, expected);
  const losses = notices.filter((notice) => /is lost/.test(notice));
  assert.equal(losses.length, 1);
  assert.match(losses[0], loss);
  stop();
  await Promise.all(workers);
});

test('a folder that is away in mid-run is waited for by all', { skip }, async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const expected = await alone(set, 'pairwise');
  const { address: cluster } = await redisServer(t);
  const workDir = join(folder, 'work');
  const away = `${workDir}-away`;
  let tasks = 0;
  const taskObserver = {
    task: () => void (tasks++ === 0 && renameSync(workDir, away)),
    contact() {},
    queue() {},
    lost() {},
  };
  const stop = new AbortController();
  t.after(() => stop.abort());
  const onNotice = (notice: string) => {
    if (/cannot be written: .*: it is tried again$/.test(notice)) renameSync(away, workDir);
  };
  const worker = work({ cluster, threads: 1, signal: stop.signal, onNotice });
  const { labels, edges } = await label({ ...smallRun(set, 'pairwise'), workDir, cluster, taskObserver });
  assert.deepEqual({ labels, edges }, expected);
  stop.abort();
  await worker;
});

test('a coordinator that was killed, a worker that was stopped, and a Redis that was emptied', { skip }, async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'concat');
  const expected = await alone(set, 'concat');
  const { address: cluster, client } = await redisServer(t);
  const workDir = join(folder, 'work');
  const flags = ['--work-dir', workDir, '--cluster', cluster, '--out', join(folder, 'out')];
  const coordinator = start([...smallFlags(set, 'concat'), ...flags]);
  const metrics = join(folder, 'worker.prom');
  const stopped = start(['worker', '--cluster', cluster, '--threads', '1', '--metrics-file', metrics]);
  await appeared(workDir, /^project-0-\d+\..*\.rows$/);
  stopped.child.kill('SIGTERM');
  assert.equal((await stopped.ended).code, 143);
  assert.match(readFileSync(metrics, 'utf8'), /^naan_run_success 1$/m, 'a worker that was stopped has not failed');
  coordinator.child.kill('SIGKILL');
  await coordinator.ended;
  const [active] = await client.keys('naan:*-1:active');
  assert.equal(active, undefined, 'what the worker had begun is handed back');

  const options = { ...smallRun(set, 'concat'), workDir, cluster };
  const again = assert.rejects(label(options), { code: 'CANCELLED' });
  await announced(client, 2);
  assert.ok(await cancel({ workDir, cluster }));
  await again;

  const notices: string[] = [];
  const labelled = label({ ...options, onNotice: (notice) => notices.push(notice) });
  await announced(client, 3);
  await client.flushall();
  const { stop, workers } = workersFor(t, cluster, 1);
  const { labels, edges } = await labelled;
  assert.deepEqual({ labels, edges }, expected);
  assert.match(notices.join('\n'), /goes on with the run.*\n(.*\n)*.*was emptied: its tasks are handed out anew/);
  stop();
  await Promise.all(workers);
});

test('a machine that differs, and a Redis that cannot be used, are refused in one line', { skip }, async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const { address: cluster, client } = await redisServer(t, ['--requirepass', 'secret']);
  const workDir = join(folder, 'work');
  const address = { cluster, clusterPassword: 'secret' };
  const controller = new AbortController();
  const options = { ...smallRun(set, 'pairwise'), workDir, ...address, signal: controller.signal };
  const labelled = assert.rejects(label(options), { code: 'CANCELLED' });
  const [key, announcement] = await announced(client, 1);
  const differing = (changed: object) => client.set(key, JSON.stringify({ ...announcement, ...changed }));
  const identity = announcement.identity as object;
  await differing({ identity: { ...identity, arithmetic: '0123456789abcdef' } });
  const refused = await naan(['worker', '--cluster', cluster], { environment: { NAAN_CLUSTER_PASSWORD: 'secret' } });
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /the coordinator: has arithmetic "0123456789abcdef", here it is "[0-9a-f]{16}": its processor/,
  );
  assert.doesNotMatch(refused.stderr, /secret/);
  await differing({ naan: '0.0.0' });
  await assert.rejects(work({ ...address, threads: 1 }), {
    code: 'BAD_USAGE',
    message: /has naan "0.0.0", here it is/,
  });
  await differing({ run: '0123456789abcdef' });
  await assert.rejects(work(address), { code: 'BAD_USAGE', message: /holds another run here: all machines must see/ });
  controller.abort();
  await labelled;

  for (const [clusterPassword, message] of [
    ['wrong', /refuses this user or password: put the password into NAAN_CLUSTER_PASSWORD/],
    [undefined, /refuses this user or password/],
  ] as const) {
    await assert.rejects(work({ cluster, clusterPassword }), { code: 'BAD_USAGE', message });
  }
  await assert.rejects(work({ cluster: 'redis://:secret@127.0.0.1' }), { message: /the address holds a password/ });
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await assert.rejects(work(address), { code: 'BAD_USAGE', message: /maxmemory-policy allkeys-lru\): set noeviction/ });
  await assert.rejects(work({ cluster: 'redis://127.0.0.1:1' }), { message: /cannot be used: connection refused/ });
});

/** The key and the announcement of the only run, once it has been announced so often. */
async function announced(client: TestRedis['client'], epoch: number): Promise<[string, Record<string, unknown>]> {
  for (;;) {
    const [key] = await client.keys('naan:run:*');
    const text = key === undefined ? null : await client.get(key);
    if (text !== null && JSON.parse(text).epoch === epoch) return [key, JSON.parse(text)];
    await wait(50); // nobody tells
  }
}
