/** Thread entry of training: takes its share of each step's chunks. */
import { workerData as piscinaData } from 'piscina';
import { BlockPass, forwardStages, stages } from '../src/training/block-pass.js';
import { runStages } from '../src/training/stage-loop.js';
import type { TrainingWorkerData } from '../src/training/training-engine.js';
import type { StepTask } from '../src/training/workbench.js';

const { context, control, tickets } = piscinaData as TrainingWorkerData;
const pass = await BlockPass.create(context, Atomics.add(tickets, 0, 1) % context.sizes.threads);

export default async (task: StepTask): Promise<void> => {
  pass.open(task);
  await runStages(pass, task.update ? stages : forwardStages, control);
};
