/** Stops a run that is shared by a queue. */
import { readWork, runOf } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import { cancelRun } from '../machines/queue.js';
import { folderOfRank } from '../machines/ranks.js';
import { Cluster, type ClusterAddress } from '../machines/redis.js';

export interface CancelOptions extends ClusterAddress {
  /** The work directory of the run. */
  readonly workDir: string;
}

/** Returns whether the run was announced. Throws BAD_INPUT for a folder that holds no run, and as `Cluster.open`. */
export async function cancel(options: CancelOptions): Promise<boolean> {
  const { workDir } = options;
  const found = readWork(workDir) ?? readWork(folderOfRank(workDir, 0));
  if (!found) {
    const expected = 'expected a folder that naan label or naan knn had as --work-dir';
    throw new NaanError('BAD_INPUT', `${workDir}: holds no run, ${expected}`);
  }
  const cluster = await Cluster.open(options);
  try {
    return await cancelRun(cluster, runOf(found.header));
  } finally {
    cluster.close();
  }
}
