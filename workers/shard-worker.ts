/**
 * Thread entry of the labelling engine: starts a back-end once, then runs the tasks it is given.
 */
import type { ShardWorkerData } from '../src/engine/head.js';
import type { LabelJob } from '../src/engine/job.js';
import type { ShardTask } from '../src/engine/messages.js';
import { ShardRunner } from '../src/engine/shard-runner.js';
import { runStep } from '../src/engine/steps.js';
import { rethrowPortable } from '../src/errors.js';
import type { TaskInContext } from '../src/execution/pool.js';
import type { StepTask } from '../src/execution/run-plan.js';
import { startWorker } from '../src/execution/worker-start.js';
import { headOf } from '../src/heads/heads.js';

const started = await startWorker(async (data: ShardWorkerData) => {
  const worker = Atomics.add(data.tickets, 0, 1) % data.threads;
  const head = headOf(data.model);
  return new ShardRunner(await head.start(data, worker), head.stages(data.model.config), worker);
});

export default async function run(given: TaskInContext<ShardTask, LabelJob> | StepTask): Promise<unknown> {
  try {
    if ('step' in given) return runStep(given.step, given.input);
    const { task, context: job } = given;
    return task.verify ? started().verify(task, job) : await started().run(task, job);
  } catch (error) {
    rethrowPortable(error);
  }
}
