/** Thread of the partition bench: runs the steps that it is sent. */
import type { StepTask } from '../src/engine/run-plan.js';
import { runStep } from '../src/engine/steps.js';
import { startWorker } from '../src/engine/worker-start.js';

await startWorker(async () => {});

export default ({ step, input }: StepTask): unknown => runStep(step, input);
