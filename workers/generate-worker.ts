/** Thread entry of generating sets: makes the planted kNN graph while the main thread writes features. */
import { serve } from '../src/execution/worker-start.js';
import { plantKnn } from '../src/graph/knn-planted.js';
import { SyntheticSet } from '../src/graph/synthetic-set.js';
import type { PlantTask } from '../src/jobs/generate.js';

export default await serve(
  () => undefined,
  (_, { set, k, cancel }: PlantTask) => {
    const signal = {
      get aborted() {
        return Atomics.load(cancel, 0) !== 0;
      },
    };
    return plantKnn(new SyntheticSet(set), { k, signal });
  },
);
