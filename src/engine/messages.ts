/**
 * The messages between the coordinator and those who compute shards. Messages are plain data without shared memory, so that
 * another process can be sent them; what they refer to, the job, comes beside them.
 */
import type { FileCheck, RangeCheck } from '../memory/file-writes.js';
import type { Shard } from './job.js';
import type { RowSums, WrittenRows } from './kept-shards.js';

/** Raised when a message changes: who speaks another version is no partner. */
export const messageVersion = 1;

export interface ShardTask {
  readonly version: typeof messageVersion;
  /** An edge stage, or a stage of the head by name and round. */
  readonly stage: string;
  readonly round: number;
  readonly shard: Shard;
  /** Brings back to memory what an earlier process left in files, instead of computing it. */
  readonly restore?: boolean;
  /** The segments to bring back from. */
  readonly segments?: readonly RangeCheck[];
  /** Reads what an earlier process left in files, instead of computing it, and says whether it is as it was left. */
  readonly verify?: Verification;
}

interface Verification {
  /** The ranges of files that the shard has written. */
  readonly ranges: readonly RangeCheck[];
  /** Files whose rows at the shard's positions are summed: each row counts for the shard that wrote it. */
  readonly rows: readonly WrittenRows[];
  /** The features that the shard read, by their checksum. */
  readonly features?: RangeCheck | undefined;
}

/** The result of a task. */
export interface ShardResult {
  /** The back-end that computed the task. */
  readonly backend: string;
  readonly simd: string;
  /** Checksums of what it wrote to files and, named `features`, of the rows that it read. */
  readonly checks?: readonly FileCheck[];
}

/** The result of a task of verification. */
export interface Verdict {
  /** Whether the ranges agree. */
  readonly ranges: boolean;
  readonly features: boolean;
  /** Checksums of each of the files in `rows`. */
  readonly sums: readonly RowSums[];
}
