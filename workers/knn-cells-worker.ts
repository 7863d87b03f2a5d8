/** Thread entry of the approximate kNN search: allocates its blocks once, then runs the tasks it is given. */
import { serve } from '../src/execution/worker-start.js';
import { type CellTask, createCellSearch } from '../src/knn/cells.js';

export default await serve(createCellSearch, (search, task: CellTask) => search(task));
