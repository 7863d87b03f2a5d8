/** How a labelling run is shared with other machines, as `--cluster` asks. */
import { resolve } from 'node:path';
import type { Spread } from '../engine/spread.js';
import { runOf, type WorkDir } from '../engine/work-dir.js';
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
  /** The entry of run.json. */
  readonly record: SharingRecord;
  /** Begins to share the run, once the work directory is open. */
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
/** The least number of shards, so that each of those who share a small set has some. */
const fewestShards = 32;

/** Undefined unless the run is shared. */
export async function planSharing(plan: LabelPlan): Promise<Sharing | undefined> {
  const { options, nodes, batch, model } = plan;
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
        job: 'label' as const,
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
