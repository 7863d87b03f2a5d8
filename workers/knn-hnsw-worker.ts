/** Thread entry of the HNSW search: holds the index, and runs the tasks it is given. */
import { serve } from '../src/execution/worker-start.js';
import { createHnsw, type HnswTask } from '../src/knn/hnsw.js';

export default await serve(createHnsw, (index, task: HnswTask) => index(task));
