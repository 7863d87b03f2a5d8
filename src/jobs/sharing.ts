/** How a labelling run is shared with other machines, as `--cluster` asks. */
import { resolve } from 'node:path';
import type { Spread } from '../engine/spread.js';
import { runOf, type WorkDir } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import type { Precision } from '../memory/row-store.js';
import { generalModel } from '../model/general.js';
import { version } from '../version.js';
import type { LabelOptions, LabelPlan } from './label-plan.js';

/** A run that several processes share. */
export interface Sharing {
  /** The work directory of this process. */
  readonly path: string;
  /** Facts besides inputs and options that stored values depend on, and that all processes must agree on. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Shards that the nodes are cut into. */
  readonly shards: number;
  /** For run.json. */
  readonly record: SharingRecord;
  /** Once the work directory is open. */
  start(work: WorkDir): Promise<Spread>;
  /** The labels are written. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

interface SharingRecord {
  readonly cluster: string;
  readonly arithmetic: string;
  readonly ranks?: number;
}

/** Values that all processes must have in common besides inputs and options. */
interface AgreedValues {
  readonly precision: Precision;
  readonly shards: number;
  readonly arithmetic: string;
}

/** Shards of about so many nodes are a few seconds of work. */
const nodesOfAShard = 8192;
/** So that those who share a small set have something each. */
const fewestShards = 32;

/** Undefined unless the run is shared. Throws BAD_USAGE for what cannot be. */
export async function planSharing(plan: LabelPlan): Promise<Sharing | undefined> {
  const { options, nodes, batch, model } = plan;
  checkCluster(options);
  const { cluster, workDir, signal } = options;
  if (cluster === undefined || workDir === undefined) return undefined;
  const { ownArithmetic } = await import('../machines/arithmetic.js');
  const arithmetic = await ownArithmetic(model.config.head, signal);
  const usual = Math.min(Math.ceil(nodes / batch), Math.max(fewestShards, Math.ceil(nodes / nodesOfAShard)));
  const { shards: asked = 'auto' } = options;
  const shards = Math.max(1, Math.min(nodes, asked === 'auto' ? usual : asked));
  const identity = { precision: plan.memory.precision, shards, arithmetic };
  return cluster === 'files'
    ? shareByRanks(options, workDir, shards, identity)
    : shareByQueue(options, cluster, workDir, shards, identity);
}

async function shareByRanks(
  { rank = 0, ranks = 1, signal, onNotice }: LabelOptions,
  folder: string,
  shards: number,
  agreed: AgreedValues,
): Promise<Sharing> {
  const { Ranks, folderOfRank } = await import('../machines/ranks.js');
  let spread: InstanceType<typeof Ranks> | undefined;
  return {
    path: folderOfRank(folder, rank),
    identity: { ...agreed, ranks },
    shards,
    record: { cluster: 'files', arithmetic: agreed.arithmetic, ranks },
    async start({ header: { identity } }) {
      spread = new Ranks({ folder, rank, ranks, identity, signal, onNotice });
      return spread;
    },
    finish: async () => spread?.clear(),
    close: async () => {},
  };
}

/** Options of a run that workers take over; the rest is the coordinator's, or their own. */
const sharedOptions = ['dim', 'kHops', 'sampleHops', 'duplicates', 'badRows', 'batch', 'backend', 'provider'] as const;

/** Connects at once, so that an address that is wrong is told before hours of reading. */
async function shareByQueue(
  options: LabelOptions,
  address: string,
  workDir: string,
  shards: number,
  agreed: AgreedValues,
): Promise<Sharing> {
  const { signal, onNotice, features, knn, model, taskObserver: observer } = options;
  const [{ Cluster }, { QueueSpread }] = await Promise.all([
    import('../machines/redis.js'),
    import('../machines/queue.js'),
  ]);
  const cluster = await Cluster.open({ ...options, cluster: address });
  let spread: import('../machines/queue.js').QueueSpread | undefined;
  // Every machine has the general model of its own naan.
  const ownModel = model === generalModel ? undefined : model;
  const files = Object.entries({ features, knn, model: ownModel }).map(([name, file]) => [
    name,
    typeof file === 'string' ? resolve(file) : undefined,
  ]);
  const taken = Object.fromEntries([...files, ...sharedOptions.map((name) => [name, options[name]])]);
  return {
    path: workDir,
    identity: { ...agreed },
    shards,
    record: { cluster: 'redis', arithmetic: agreed.arithmetic },
    async start(work) {
      const { header } = work;
      const announcement = {
        naan: version,
        run: runOf(header),
        workDir: resolve(workDir),
        options: { ...taken, shards: header.shards, precision: header.precision },
        identity: header.identity,
      };
      const epochs = { last: work.epoch, note: (epoch: number) => work.noteEpoch(epoch) };
      spread = await QueueSpread.start(cluster, announcement, epochs, { signal, onNotice, observer });
      return spread;
    },
    finish: async () => {},
    close: async () => (spread ? spread.close() : cluster.close()),
  };
}

/** Throws BAD_USAGE when options do not go together with those of a cluster. */
function checkCluster({ cluster, rank, ranks, workDir, knn, restart, backend = 'auto' }: LabelOptions): void {
  const usage = (message: string) => new NaanError('BAD_USAGE', message);
  const byRanks = cluster === 'files';
  if (!byRanks && (rank !== undefined || ranks !== undefined)) {
    throw usage('rank and ranks: are of --cluster files: give that too');
  }
  if (cluster === undefined) return;
  if (!byRanks && !/^rediss?:/.test(cluster)) throw usage(`cluster: got ${cluster}, expected files or redis://host`);
  if (workDir === undefined) throw usage('cluster: give --work-dir, a folder that all machines see');
  if (typeof knn !== 'string') throw usage('cluster: give the kNN graph as a file with --knn');
  if (backend !== 'auto' && backend !== 'native') {
    throw usage(`cluster: computes with the back-end native, got ${backend}`);
  }
  if (!byRanks) return;
  if (rank === undefined || ranks === undefined) {
    throw usage('cluster files: give --rank, from 0, and --ranks, how many there are');
  }
  if (rank >= ranks) throw usage(`rank: got ${rank} of ${ranks} ranks, expected 0 to ${ranks - 1}`);
  if (restart) throw usage('restart: ranks go on together: remove the --work-dir to start anew');
}
