/** Thread of the partition bench: runs the steps that it is sent. */
import { type GraphTask, runGraphTask } from '../src/engine/graph-tasks.js';
import { startWorker } from '../src/engine/worker-start.js';

await startWorker(async () => {});

export default (task: GraphTask): unknown => runGraphTask(task);
