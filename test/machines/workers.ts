/** Workers that notice soon that another one has died. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { work } from '../../src/jobs/worker.js';
import type { ClusterAddress } from '../../src/machines/redis.js';
import type { TestRedis } from './redis-server.js';

const timing = { lockMs: 1000, stalledMs: 500 };

/** Workers in this process, which end when they are stopped. */
export function workersFor(t: TestContext, address: string | ClusterAddress, count: number) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  t.after(stop);
  const at = typeof address === 'string' ? { cluster: address } : address;
  const workers = Array.from({ length: count }, () => work({ ...at, threads: 1, signal: controller.signal, timing }));
  return { stop, workers };
}

/** A worker as a process. */
export function workerProcess(t: TestContext, cluster: string) {
  const module = pathToFileURL('dist/src/jobs/worker.js').href;
  const options = JSON.stringify({ cluster, threads: 1, timing });
  const script = `import { work } from '${module}'; await work(${options});`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
  t.after(() => void child.kill('SIGKILL'));
  return child;
}

/** Makes a worker stand still while it has a task of a run's first epoch. */
export async function stopAtTask(worker: ChildProcess, client: TestRedis['client']): Promise<void> {
  const activeCount = async () => {
    const [key] = await client.keys('naan:*-1:active');
    return key === undefined ? 0 : client.llen(key);
  };
  // It may be between two tasks.
  for (;;) {
    worker.kill('SIGSTOP');
    if ((await activeCount()) > 0) return;
    worker.kill('SIGCONT');
    await wait(5);
  }
}
