/** Options by which several processes share a run. */
import { NaanError } from '../errors.js';

export interface ClusterOptions {
  readonly cluster?: string | undefined;
  readonly rank?: number | undefined;
  readonly ranks?: number | undefined;
  readonly workDir?: string | undefined;
  readonly restart?: boolean | undefined;
}

/**
 * Throws BAD_USAGE when they do not go together. `unit`: what workers by Redis take of a run, shards of which there are as many as
 * suit it, or ranks.
 */
export function checkCluster(
  { cluster, rank, ranks, workDir, restart }: ClusterOptions,
  unit: 'shards' | 'ranks' = 'shards',
): void {
  const usage = (message: string) => new NaanError('BAD_USAGE', message);
  const byRanks = cluster === 'files';
  if (unit === 'ranks' && cluster !== undefined && !byRanks && rank === undefined) {
    if (!(ranks !== undefined && ranks > 1)) {
      throw usage(
        'ranks: give how many processes share the search, 2 or more: this one and a worker for each of the others',
      );
    }
  } else if (!byRanks && (rank !== undefined || ranks !== undefined)) {
    throw usage('rank and ranks: are of --cluster files: give that too');
  }
  if (cluster === undefined) return;
  if (!byRanks && !/^rediss?:/.test(cluster)) throw usage(`cluster: got ${cluster}, expected files or redis://host`);
  if (workDir === undefined) throw usage('cluster: give --work-dir, a folder that all machines see');
  if (restart && (byRanks || unit === 'ranks'))
    throw usage('restart: ranks go on together: remove the --work-dir to start anew');
  if (!byRanks) return;
  if (rank === undefined || ranks === undefined) {
    throw usage('cluster files: give --rank, from 0, and --ranks, how many there are');
  }
  if (rank >= ranks) throw usage(`rank: got ${rank} of ${ranks} ranks, expected 0 to ${ranks - 1}`);
}
