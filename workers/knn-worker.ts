/** Thread entry of the exact kNN search: allocates its tiles once, then runs the block tasks it is given. */
import { serve } from '../src/execution/worker-start.js';
import { createBlockSearch, type KnnTask } from '../src/knn/blocks.js';

export default await serve(createBlockSearch, (search, task: KnnTask) => search(task));
