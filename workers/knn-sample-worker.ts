/** Thread entry of searches for some rows among all: allocates its tiles once, then runs the tasks it is given. */
import { serve } from '../src/execution/worker-start.js';
import { createSampleSearch, type SampleTask } from '../src/knn/sample.js';

export default await serve(createSampleSearch, (search, { queries, ...options }: SampleTask) =>
  search(queries, options),
);
