/** Thread entry of training: takes its share of each step's chunks. */
import { startWorker } from '../src/execution/worker-start.js';
import { BlockPass, forwardStages, stages } from '../src/training/concat/block-pass.js';
import { runStages } from '../src/training/concat/stage-loop.js';
import type { TrainingWorkerData } from '../src/training/concat/training-engine.js';
import type { StepTask } from '../src/training/concat/workbench.js';

const started = await startWorker(async ({ context, control, tickets }: TrainingWorkerData) => ({
  pass: await BlockPass.create(context, Atomics.add(tickets, 0, 1) % context.sizes.threads),
  control,
}));

export default async (task: StepTask): Promise<void> => {
  const { pass, control } = started();
  pass.open(task);
  await runStages(pass, task.update ? stages : forwardStages, control);
};
