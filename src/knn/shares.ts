/**
 * An approximate search that several ranks share, over a folder that all of them see (`machines/ranks.ts`). Each makes the sketches of its
 * part of the rows and finds their cells, and compares the blocks of its own rounds. What a rank has found is the best of the
 * pairs that it met, of all rows; lists are sets under a total order, so that those of all ranks together are the lists of one
 * process, whoever met which pair. Each rank merges and refines the lists of its own blocks, and hands all others the result.
 */

import { rangeAgrees } from '../engine/kept-shards.js';
import type { WorkDir } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import type { Manifest } from '../machines/manifest.js';
import type { Ranks } from '../machines/ranks.js';
import type { FileCheck, RangeCheck } from '../memory/file-writes.js';
import { arrayOf, isWholeSegment, readSegment, TaskSegments } from '../memory/segments.js';
import { part, type Range } from './blocks.js';

/** A search that is shared. */
export interface SharedSearch {
  readonly rank: number;
  readonly ranks: number;
  readonly group: Ranks;
  /** The folder of this rank. */
  readonly work: WorkDir;
  readonly onNotice?: ((message: string) => void) | undefined;
  readonly onWritten?: ((bytes: number) => void) | undefined;
}

/** Writes a segment: one array, in pieces that follow one another. None for no bytes at all. */
export type Leave = (array: string, pieces: readonly Uint8Array[]) => Promise<void>;

/** What each rank has left, by rank: one segment an array. */
export type LeftByRank = readonly (readonly RangeCheck[])[];

/** Steps of a stage. */
const stepsAtMost = 16;

/** What ranks leave each other in one attempt of a search. */
export class SearchShares {
  readonly rank: number;
  readonly ranks: number;

  constructor(
    private readonly shared: SharedSearch,
    private readonly attempt: number,
  ) {
    this.rank = shared.rank;
    this.ranks = shared.ranks;
  }

  /** The folder from which segments are read. */
  get folder(): string {
    return this.shared.work.path;
  }

  /** The part of 0..count − 1 that is a rank's. */
  partOf(rank: number, count: number): Range {
    return part(rank, count, this.ranks);
  }

  /**
   * Computes what this rank leaves of a stage, or of a step of one, unless an earlier process of it has left that, and waits for the others. `found`:
   * values that must be the same in all ranks. Throws BAD_USAGE when they are not.
   */
  async exchange(
    stage: string,
    found: Manifest['identity'],
    compute: (leave: Leave) => Promise<void>,
    step = 0,
  ): Promise<LeftByRank> {
    const left = await this.run(stage, step, false, found, compute);
    return Array.from({ length: this.ranks }, (_, rank) => left?.get(rank) ?? []);
  }

  /** The search has ended here. For rank 0 it resolves when it has for all, and nobody needs the folder any more. */
  async end(): Promise<void> {
    await this.run('end', 0, true, {}, async () => {});
  }

  /** Fills `pieces`, which follow one another, with an array that a rank has left. Throws BAD_INPUT when it is not as it was written. */
  read(left: LeftByRank, rank: number, array: string, ...pieces: readonly Uint8Array[]): void {
    if (pieces.every(({ length }) => length === 0)) return;
    readSegment(this.folder, this.segmentOf(left, rank, array), ...pieces);
  }

  segmentOf(left: LeftByRank, rank: number, array: string): RangeCheck {
    const check = segmentIn(left[rank], array);
    if (check) return check;
    const where = `${this.folder}: rank ${rank} has left no ${array}`;
    throw new NaanError('BAD_INPUT', `${where}: remove the --work-dir to start anew`);
  }

  private run(
    name: string,
    step: number,
    last: boolean,
    found: Manifest['identity'],
    compute: (leave: Leave) => Promise<void>,
  ): ReturnType<Ranks['run']> {
    const { rank, ranks } = this;
    const { group, work } = this.shared;
    const round = this.attempt * stepsAtMost + step;
    const own = this.leftBefore(name, round);
    return group.run({
      stage: { name, round },
      found,
      last,
      shards: Array.from({ length: ranks }, (_, index) => ({ index, start: index, end: index + 1 })),
      done: new Map(own ? [[rank, own]] : []),
      compute: async (shards, onLeft) => {
        for (const { index } of shards) onLeft(index, await this.leave(`${name}-${round}-${index}`, compute));
      },
      record: (shard, checks) => work.record({ stage: name, round, shard, checks }),
      flush: () => work.flush(),
      elsewhere() {},
    });
  }

  private async leave(task: string, compute: (leave: Leave) => Promise<void>): Promise<RangeCheck[]> {
    const { work, onWritten } = this.shared;
    const segments = new TaskSegments(work.path);
    const left: RangeCheck[] = [];
    try {
      await compute(async (array, pieces) => {
        if (pieces.every(({ length }) => length === 0)) return;
        await work.checkOwned();
        segments.begin(task);
        for (const piece of pieces) segments.append(`${array}.rows`, piece);
        for (const check of segments.taken()) {
          left.push(check);
          onWritten?.(check.length);
        }
      });
      return left;
    } finally {
      segments.abandon();
    }
  }

  /** What an earlier process of this rank has left of a stage; undefined where that is not whole. */
  private leftBefore(name: string, round: number): readonly RangeCheck[] | undefined {
    const { work, rank, onNotice } = this.shared;
    const checks = work.done(name, round).get(rank);
    if (checks === undefined) return undefined;
    const agrees = (check: FileCheck): check is RangeCheck =>
      'crc' in check && rangeAgrees(work.path, check) && isWholeSegment(work.path, check);
    if (checks.every(agrees)) return checks;
    onNotice?.(`${work.path}: what it left of stage '${name}' is not as it was written: it is left again`);
    return undefined;
  }
}

/** The segment of an array, where there is one. */
export function segmentIn(left: readonly RangeCheck[], array: string): RangeCheck | undefined {
  return left.find(({ file }) => arrayOf(file) === `${array}.rows`);
}
