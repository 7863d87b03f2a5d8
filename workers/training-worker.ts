/** Thread entry of training: takes its share of each step's chunks. */
import { serve } from '../src/execution/worker-start.js';
import { BlockPass, forwardStages, stages } from '../src/training/concat/block-pass.js';
import { runStages } from '../src/training/concat/stage-loop.js';
import type { TrainingWorkerData } from '../src/training/concat/training-engine.js';
import type { StepTask } from '../src/training/concat/workbench.js';

export default await serve(
  async ({ context, control, tickets }: TrainingWorkerData) => ({
    pass: await BlockPass.create(context, Atomics.add(tickets, 0, 1) % context.sizes.threads),
    control,
  }),
  ({ pass, control }, task: StepTask) => {
    pass.open(task);
    return runStages(pass, task.update ? stages : forwardStages, control);
  },
);
