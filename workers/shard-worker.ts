/**
 * Thread entry of the labelling engine: starts a back-end once, then runs the tasks it is given.
 */
import { ConcatStages, tileCapacity } from '../src/engine/concat-stages.js';
import { startWorkerBackend } from '../src/engine/device-backend.js';
import { type GraphTask, runGraphTask } from '../src/engine/graph-tasks.js';
import type { ShardTask } from '../src/engine/job.js';
import { PairwiseStages } from '../src/engine/pairwise-stages.js';
import type { ShardWorkerData } from '../src/engine/scoring-run.js';
import { type HeadStages, ShardRunner } from '../src/engine/shard-runner.js';
import { startWorker } from '../src/engine/worker-start.js';
import { NaanError, rethrowPortable } from '../src/errors.js';
import { factor } from '../src/model/factored.js';
import { isConcat, isPairwise } from '../src/model/model.js';

const started = await startWorker(async (data: ShardWorkerData) => {
  const worker = Atomics.add(data.tickets, 0, 1) % data.threads;
  return new ShardRunner(await startHead(data, worker), worker);
});

async function startHead(data: ShardWorkerData, worker: number): Promise<HeadStages> {
  const { model, batch, k1, k2, backend, devices, simd } = data;
  if (isPairwise(model)) {
    return new PairwiseStages(model, { batch, plain: backend?.backend === 'reference', simd }, worker);
  }
  if (!isConcat(model)) throw new NaanError('BAD_MODEL', 'the head of the model is not known');
  const factored = factor(model);
  return new ConcatStages(
    await startWorkerBackend(factored, tileCapacity(batch, k1, k2), { devices, otherwise: backend, simd, worker }),
    factored,
    worker,
  );
}

export default async function run(task: ShardTask | GraphTask): Promise<unknown> {
  try {
    return 'task' in task ? runGraphTask(task) : await started().run(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
