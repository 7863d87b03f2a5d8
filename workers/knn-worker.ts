/** Thread entry of the exact kNN search: allocates its tiles once, then runs the block tasks it is given. */
import { workerData } from 'piscina';
import { createBlockSearch, type KnnJob, type KnnTask } from '../src/graph/knn-blocks.js';

const search = await createBlockSearch(workerData as KnnJob);

export default (task: KnnTask): Promise<void> => search(task);
