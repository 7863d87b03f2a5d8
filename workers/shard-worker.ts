/**
 * Thread entry of the labelling engine: starts a back-end once, then runs the tasks it is given.
 */
import type { ShardTask } from '../src/engine/job.js';
import type { ShardWorkerData } from '../src/engine/scoring-run.js';
import { type HeadStages, ShardRunner } from '../src/engine/shard-runner.js';
import { NaanError, rethrowPortable } from '../src/errors.js';
import type { StepTask } from '../src/execution/run-plan.js';
import { runStep } from '../src/execution/steps.js';
import { startWorker } from '../src/execution/worker-start.js';
import { isConcat, isPairwise } from '../src/model/model.js';

const started = await startWorker(async (data: ShardWorkerData) => {
  const worker = Atomics.add(data.tickets, 0, 1) % data.threads;
  return new ShardRunner(await startHead(data, worker), worker);
});

async function startHead(data: ShardWorkerData, worker: number): Promise<HeadStages> {
  const { model, batch, k1, k2, backend, devices, simd } = data;
  if (isPairwise(model)) {
    const { PairwiseStages } = await import('../src/heads/pairwise/stages.js');
    return new PairwiseStages(model, { batch, plain: backend?.backend === 'reference', simd }, worker);
  }
  if (!isConcat(model)) throw new NaanError('BAD_MODEL', 'the head of the model is not known');
  const { ConcatStages, tileCapacity } = await import('../src/heads/concat/stages.js');
  const { startWorkerBackend } = await import('../src/devices/worker-backend.js');
  const { factor } = await import('../src/model/factored.js');
  const factored = factor(model);
  return new ConcatStages(
    await startWorkerBackend(factored, tileCapacity(batch, k1, k2), { devices, otherwise: backend, simd, worker }),
    factored,
    worker,
  );
}

export default async function run(task: ShardTask | StepTask): Promise<unknown> {
  try {
    if ('step' in task) return runStep(task.step, task.input);
    return task.verify ? started().verify(task) : await started().run(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
