/** Thread entry of the labelling engine: starts a back-end once, then runs the shard tasks it is given. */
import { workerData as piscinaData } from 'piscina';
import { startBackend } from '../src/backends/backend.js';
import type { ShardTask } from '../src/engine/job.js';
import type { ShardWorkerData } from '../src/engine/scoring-run.js';
import { type ShardResult, ShardRunner, tileCapacity } from '../src/engine/shard-runner.js';
import { factor } from '../src/model/factored.js';

const data = piscinaData as ShardWorkerData;
const model = factor(data.model);
const { batch, k1, k2, backend: name, simd } = data;
const worker = Atomics.add(data.tickets, 0, 1) % data.threads;
const backend = await startBackend(name, model, tileCapacity(batch, k1, k2), { simd });
const runner = new ShardRunner(backend, model, worker);

export default (task: ShardTask): Promise<ShardResult> => runner.run(task);
