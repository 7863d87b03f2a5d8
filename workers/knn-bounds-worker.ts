/** Thread entry of the exact kNN search by bounds: allocates its blocks once, then runs the tasks it is given. */
import { serve } from '../src/execution/worker-start.js';
import { type BoundTask, createBoundSearch } from '../src/knn/bounds.js';

export default await serve(createBoundSearch, (search, task: BoundTask) => search(task));
