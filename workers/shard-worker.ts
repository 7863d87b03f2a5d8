/**
 * Thread entry of the labelling engine: starts a back-end once, then runs the shard tasks it is given.
 * The start is not awaited here, so that a back-end that cannot start fails the first task instead of the thread.
 */
import { workerData as piscinaData } from 'piscina';
import { startBackend } from '../src/backends/backend.js';
import type { ShardTask } from '../src/engine/job.js';
import type { ShardWorkerData } from '../src/engine/scoring-run.js';
import { type ShardResult, ShardRunner, tileCapacity } from '../src/engine/shard-runner.js';
import { rethrowPortable } from '../src/errors.js';
import { factor } from '../src/model/factored.js';

async function start(): Promise<ShardRunner> {
  const { model, batch, k1, k2, backend: name, simd, tickets, threads } = piscinaData as ShardWorkerData;
  const worker = Atomics.add(tickets, 0, 1) % threads;
  const factored = factor(model);
  const backend = await startBackend(name, factored, tileCapacity(batch, k1, k2), { simd });
  return new ShardRunner(backend, factored, worker);
}

const starting = start();
starting.catch(() => undefined);

export default async function run(task: ShardTask): Promise<ShardResult> {
  try {
    return await (await starting).run(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
