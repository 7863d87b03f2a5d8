/**
 * Thread entry of the labelling engine: starts a back-end once, then runs the tasks it is given.
 */
import type { ShardWorkerData } from '../src/engine/head.js';
import type { ShardTask } from '../src/engine/job.js';
import { ShardRunner } from '../src/engine/shard-runner.js';
import { runStep } from '../src/engine/steps.js';
import { rethrowPortable } from '../src/errors.js';
import type { StepTask } from '../src/execution/run-plan.js';
import { startWorker } from '../src/execution/worker-start.js';
import { headOf } from '../src/heads/heads.js';

const started = await startWorker(async (data: ShardWorkerData) => {
  const worker = Atomics.add(data.tickets, 0, 1) % data.threads;
  const head = headOf(data.model);
  return new ShardRunner(await head.start(data, worker), head.stages(data.model.config), worker);
});

export default async function run(task: ShardTask | StepTask): Promise<unknown> {
  try {
    if ('step' in task) return runStep(task.step, task.input);
    return task.verify ? started().verify(task) : await started().run(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
