/** Thread of the partition bench: runs the steps that it is sent. */

import { runStep } from '../src/engine/steps.js';
import type { StepTask } from '../src/execution/run-plan.js';
import { startWorker } from '../src/execution/worker-start.js';

await startWorker(async () => {});

export default ({ step, input }: StepTask): unknown => runStep(step, input);
