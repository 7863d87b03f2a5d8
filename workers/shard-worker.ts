/** Thread entry of the labelling engine: starts a back-end once, then runs the tasks it is given. */
import type { ShardWorkerData } from '../src/engine/head.js';
import type { LabelJob } from '../src/engine/job.js';
import type { ShardTask } from '../src/engine/messages.js';
import { ShardRunner } from '../src/engine/shard-runner.js';
import { runStep } from '../src/engine/steps.js';
import type { TaskInContext } from '../src/execution/pool.js';
import type { PlanTask } from '../src/execution/run-plan.js';
import { serve } from '../src/execution/worker-start.js';
import { headOf } from '../src/heads/heads.js';

export default await serve(
  async (data: ShardWorkerData) => {
    const worker = Atomics.add(data.tickets, 0, 1) % data.threads;
    const head = headOf(data.model);
    return new ShardRunner(await head.start(data, worker), head.stages(data.model.config), worker);
  },
  (runner, given: TaskInContext<ShardTask, LabelJob> | PlanTask): unknown => {
    if ('step' in given) return runStep(given.step, given.input);
    const { task, context: job } = given;
    return task.verify ? runner.verify(task, job) : runner.run(task, job);
  },
);
