/** How a labelling run is shared with other machines, as `--cluster` asks. */
import type { Spread } from '../engine/spread.js';
import { NaanError } from '../errors.js';
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
  /** Once the whole identity is known. */
  start(identity: Readonly<Record<string, unknown>>): Promise<Spread>;
  /** The labels are written. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

interface SharingRecord {
  readonly cluster: string;
  readonly arithmetic: string;
  readonly ranks?: number;
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
  const { arithmeticOf } = await import('../machines/arithmetic.js');
  const arithmetic = await arithmeticOf(model.config.head, signal);
  const usual = Math.min(Math.ceil(nodes / batch), Math.max(fewestShards, Math.ceil(nodes / nodesOfAShard)));
  const { shards: asked = 'auto' } = options;
  const shards = Math.max(1, Math.min(nodes, asked === 'auto' ? usual : asked));
  const identity = { precision: plan.memory.precision, shards, arithmetic };
  return shareByRanks(options, workDir, shards, identity);
}

async function shareByRanks(
  { rank = 0, ranks = 1, signal, onNotice }: LabelOptions,
  folder: string,
  shards: number,
  agreed: { readonly arithmetic: string },
): Promise<Sharing> {
  const { Ranks, folderOfRank } = await import('../machines/ranks.js');
  let spread: InstanceType<typeof Ranks> | undefined;
  return {
    path: folderOfRank(folder, rank),
    identity: { ...agreed, ranks },
    shards,
    record: { cluster: 'files', arithmetic: agreed.arithmetic, ranks },
    async start(identity) {
      spread = new Ranks({ folder, rank, ranks, identity, signal, onNotice });
      return spread;
    },
    finish: async () => spread?.clear(),
    close: async () => {},
  };
}

/** Throws BAD_USAGE when options do not go together with those of a cluster. */
function checkCluster({ cluster, rank, ranks, workDir, knn, restart, backend = 'auto' }: LabelOptions): void {
  const usage = (message: string) => new NaanError('BAD_USAGE', message);
  if (cluster === undefined) {
    if (rank !== undefined || ranks !== undefined) throw usage('rank and ranks: are of --cluster files: give that too');
    return;
  }
  if (cluster !== 'files') throw usage(`cluster: got ${cluster}, expected files`);
  if (workDir === undefined) throw usage('cluster: give --work-dir, a folder that all machines see');
  if (typeof knn !== 'string') throw usage('cluster: give the kNN graph as a file with --knn');
  if (backend !== 'auto' && backend !== 'native') {
    throw usage(`cluster: computes with the back-end native, got ${backend}`);
  }
  if (rank === undefined || ranks === undefined) {
    throw usage('cluster files: give --rank, from 0, and --ranks, how many there are');
  }
  if (rank >= ranks) throw usage(`rank: got ${rank} of ${ranks} ranks, expected 0 to ${ranks - 1}`);
  if (restart) throw usage('restart: ranks go on together: remove the --work-dir to start anew');
}
