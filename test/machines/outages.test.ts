/** A worker that stands still and goes on, and a Redis that dies: the same bytes as one process. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { label } from '../../src/jobs/label.js';
import type { TaskEnding } from '../../src/machines/task-observer.js';
import { temporaryFolder } from '../cli/naan.js';
import { appeared } from './appeared.js';
import { redisServer, withoutRedis } from './redis-server.js';
import { alone, smallRun, smallSet } from './small-set.js';
import { stopAtTask, workerProcess, workersFor } from './workers.js';

const skip = withoutRedis;

test('a worker that stood still longer than its lock goes on where others have done its work', { skip }, async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const expected = await alone(set, 'pairwise');
  const { address: cluster, client } = await redisServer(t);
  const workDir = join(folder, 'work');
  const endings: TaskEnding[] = [];
  const taskObserver = { task: (ending: TaskEnding) => void endings.push(ending), contact() {}, queue() {}, lost() {} };
  const labelled = label({ ...smallRun(set, 'pairwise'), workDir, cluster, taskObserver });
  const still = workerProcess(t, cluster);
  await appeared(workDir, /^load-0-\d+\..*\.rows$/);
  await stopAtTask(still, client);
  const isManifest = (name: string) => name.endsWith('.manifest');
  const before = readdirSync(workDir).filter(isManifest);
  const { stop, workers } = workersFor(t, cluster, 1);
  // The stage cannot end without the task that stands still.
  await appeared(workDir, { test: (name) => isManifest(name) && !before.includes(name) });
  still.kill('SIGCONT');
  const { labels, edges } = await labelled;
  assert.deepEqual({ labels, edges }, expected);
  assert.ok(endings.every(({ result }) => result !== 'failed'));
  stop();
  await Promise.all(workers);
});

for (const [keeps, settings] of [
  ['nothing', []],
  ['a log', ['--appendonly', 'yes', '--appendfsync', 'always']],
] as const) {
  test(`a Redis that keeps ${keeps} is killed in mid-run and comes back`, { skip }, async (t) => {
    const folder = temporaryFolder((clean) => t.after(clean));
    const set = await smallSet(folder, 'pairwise');
    const expected = await alone(set, 'pairwise');
    const { address: cluster, kill, restart } = await redisServer(t, settings);
    const workDir = join(folder, 'work');
    const notices: string[] = [];
    const labelled = label({
      ...smallRun(set, 'pairwise'),
      workDir,
      cluster,
      onNotice: (notice) => notices.push(notice),
    });
    const { stop, workers } = workersFor(t, cluster, 2);
    await appeared(workDir, /^load-0-\d+\..*\.rows$/);
    await kill();
    await restart();
    const { labels, edges } = await labelled;
    assert.deepEqual({ labels, edges }, expected);
    const said = notices.join('\n');
    assert.match(said, /does not answer: it is waited for\n(.*\n)*.*answers again/);
    if (keeps === 'a log') assert.doesNotMatch(said, /was emptied/);
    stop();
    await Promise.all(workers);
  });
}
