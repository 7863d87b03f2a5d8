/** Several processes that share the shards of one run. What tasks leave is in segments, in a folder that all of them see. */
import type { RangeCheck } from '../memory/file-writes.js';
import type { Stage } from './head.js';
import type { Shard } from './job.js';

/** The segments that tasks have left, by shard. */
export type LeftByShard = ReadonlyMap<number, readonly RangeCheck[]>;

/** A stage that is to be computed, and how. */
export interface SpreadStage {
  readonly stage: Stage;
  /** Whether it is the last. */
  readonly last: boolean;
  readonly shards: readonly Shard[];
  /** The ranges left by shards that are complete. */
  readonly done: LeftByShard;
  /** Computes shards in this process. */
  compute(shards: readonly Shard[], onLeft: (shard: number, left: readonly RangeCheck[]) => void): Promise<void>;
  /** Notes in the journal of this process what a shard has left. */
  record(shard: number, left: readonly RangeCheck[]): void;
  /** Resolves when all that was recorded is on the disk. */
  flush(): Promise<void>;
  /** Counts a shard that another process has computed. */
  elsewhere(shard: number): void;
}

export interface Spread {
  /** Resolves, when all shards of a stage are whole, with what they left; undefined where this process needs none of it. */
  run(stage: SpreadStage): Promise<LeftByShard | undefined>;
}
