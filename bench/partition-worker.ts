/** Thread of the partition bench: runs the steps that it is sent. */

import { runStep } from '../src/engine/steps.js';
import type { PlanTask } from '../src/execution/run-plan.js';
import { startWorker } from '../src/execution/worker-start.js';

await startWorker(async () => {});

export default ({ step, input }: PlanTask): unknown => runStep(step, input);
