/** Thread entry of the training of head `pairwise`. */
import type { TaskInContext } from '../src/execution/pool.js';
import { serve } from '../src/execution/worker-start.js';
import type { TrainingContext, TrainingTask } from '../src/training/pairwise/job.js';
import { PairwiseTrainingWorker } from '../src/training/pairwise/worker.js';

export default await serve(
  () => new PairwiseTrainingWorker(),
  (worker, { task, context }: TaskInContext<TrainingTask, TrainingContext>) => worker.run(task, context),
);
