/** Options by which several processes share a run. */
import { NaanError } from '../errors.js';

export interface ClusterOptions {
  readonly cluster?: string | undefined;
  readonly rank?: number | undefined;
  readonly ranks?: number | undefined;
  readonly workDir?: string | undefined;
  readonly restart?: boolean | undefined;
}

/** Throws BAD_USAGE when they do not go together. */
export function checkCluster({ cluster, rank, ranks, workDir, restart }: ClusterOptions): void {
  const usage = (message: string) => new NaanError('BAD_USAGE', message);
  const byRanks = cluster === 'files';
  if (!byRanks && (rank !== undefined || ranks !== undefined)) {
    throw usage('rank and ranks: are of --cluster files: give that too');
  }
  if (cluster === undefined) return;
  if (!byRanks && !/^rediss?:/.test(cluster)) throw usage(`cluster: got ${cluster}, expected files or redis://host`);
  if (workDir === undefined) throw usage('cluster: give --work-dir, a folder that all machines see');
  if (!byRanks) return;
  if (rank === undefined || ranks === undefined) {
    throw usage('cluster files: give --rank, from 0, and --ranks, how many there are');
  }
  if (rank >= ranks) throw usage(`rank: got ${rank} of ${ranks} ranks, expected 0 to ${ranks - 1}`);
  if (restart) throw usage('restart: ranks go on together: remove the --work-dir to start anew');
}
