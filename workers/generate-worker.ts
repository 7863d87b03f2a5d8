/** Thread entry of generating sets: makes the planted kNN graph while the main thread writes features. */

import { rethrowPortable } from '../src/errors.js';
import { startWorker } from '../src/execution/worker-start.js';
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { plantKnn } from '../src/graph/knn-planted.js';
import { SyntheticSet } from '../src/graph/synthetic-set.js';
import type { PlantTask } from '../src/jobs/generate.js';

await startWorker(async () => undefined);

export default async function run({ set, k, cancel }: PlantTask): Promise<KnnGraph> {
  try {
    const signal = {
      get aborted() {
        return Atomics.load(cancel, 0) !== 0;
      },
    };
    return await plantKnn(new SyntheticSet(set), { k, signal });
  } catch (error) {
    rethrowPortable(error);
  }
}
