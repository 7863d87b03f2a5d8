/**
 * The candidates of an approximate search in a work directory, so that a search that was killed goes on where it stopped. Now and
 * then, between two rounds of comparisons, all lists are written to one of two files in turn, so that one of them is
 * whole whenever a crash comes; the journal notes the rounds with the checksum. What comes before the comparisons is done again, as it
 * takes little, and the checksum of its results shows whether the features are still the same.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from '../checksum.js';
import { WorkDir, workHeader } from '../engine/work-dir.js';
import { fileState, identityOfInput } from '../io/digest.js';
import { folderOfRank } from '../machines/ranks.js';
import type { RangeCheck } from '../memory/file-writes.js';
import type { SharedRows } from '../memory/shared-rows.js';
import type { Range } from './blocks.js';

export interface KnnWork {
  readonly path: string;
  /** The feature file, as it was named. */
  readonly features: string;
  /** Give up what the folder holds. */
  readonly restart?: boolean | undefined;
  /** Milliseconds between two times that lists are written; default: 30 seconds, and at least 20 times as long as that takes. */
  readonly intervalMs?: number | undefined;
  /** The search is shared: each rank has a folder of its own in `path`. */
  readonly share?: SearchShare | undefined;
}

export interface SearchShare {
  readonly rank: number;
  readonly ranks: number;
  /** Awaited when the folder of this rank is open. */
  onOpen?(work: WorkDir): Promise<void>;
  /** Hears of the bytes of each segment that this rank has written. */
  onWritten?(bytes: number): void;
}

interface KnnWorkRequest {
  readonly rowCount: number;
  readonly rounds: number;
  /** Everything that the graph depends on beside the features. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Bytes of the lists of a first attempt. */
  readonly listBytes: number;
  readonly attempts: number;
  /** Facts that ranks which share the search must agree on; without them it is not shared. */
  readonly agreed?: Readonly<Record<string, unknown>> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

const stage = 'compare';
const leastIntervalMs = 30_000;
/** Lists are written for no more than this share of the time. */
const leastQuiet = 20;

/** What ranks leave each other beside lists takes less, of each row: its sketch and cell, and how near its candidates are. */
const leftBytesEach = 512;

/** Throws as `WorkDir.open`. */
export async function openKnnWork(work: KnnWork, request: KnnWorkRequest): Promise<WorkDir> {
  const { path, features, restart = false, share } = work;
  const { rowCount, rounds, listBytes, attempts, agreed, signal, onNotice } = request;
  const identity = { ...request.identity, ...agreed, features: await identityOfInput(features) };
  const files = Array.from({ length: attempts }, (_, attempt) => [0, 1].map((slot) => fileOf(attempt, slot))).flat();
  const stages = [[stage, 0]] as const;
  const segments = share && { segments: true };
  const shards = Math.max(rounds, share?.ranks ?? 0); // a rank numbers what it leaves by itself
  const header = workHeader({ identity, nodes: rowCount, shards, precision: 'f32', stages, files, ...segments });
  const state = await fileState(features);
  const own = share ? folderOfRank(path, share.rank) : path;
  // What ranks leave each other is as large as the lists, once more.
  const diskBytes = share ? 3 * listBytes + leftBytesEach * rowCount : 2 * listBytes;
  return WorkDir.open(own, header, { restart, diskBytes, features: state, signal, onNotice });
}

/** The lists of one attempt. */
export class KeptLists {
  private slot = 0;
  /** Rounds that the journal has. */
  private kept = 0;
  private last = performance.now();
  private writtenMs = 0;

  constructor(
    private readonly work: WorkDir,
    private readonly attempt: number,
    private readonly intervalMs?: number,
  ) {}

  /**
   * Fills the lists from the latest file that agrees with its checksum. Returns the rounds that are in them; 0 where nothing was
   * kept, and then they are zeros. `rows`: checksum of what was found before. Throws BAD_USAGE where that was another one.
   */
  async restore(lists: SharedRows, rows: number): Promise<number> {
    this.work.checkRows(rows);
    const done = [...this.work.done(stage, this.attempt)].sort(([a], [b]) => b - a);
    for (const [round, checks] of done) {
      const check = checks.find((one): one is RangeCheck => 'crc' in one);
      if (!check || !(await this.read(check, lists))) continue;
      this.kept = round + 1;
      this.slot = check.file === fileOf(this.attempt, 0) ? 1 : 0;
      return this.kept;
    }
    if (done.length > 0) eachPiece(lists, (piece) => piece.fill(0));
    return 0;
  }

  /** Notes that so many rounds are in the lists, when it is time to, or in any case after the `last` one. Call it while nothing changes them. */
  async keep(rounds: number, lists: SharedRows, last: boolean): Promise<void> {
    const interval = this.intervalMs ?? Math.max(leastIntervalMs, leastQuiet * this.writtenMs);
    const began = performance.now();
    if (rounds === this.kept || (!last && began - this.last < interval)) return;
    const file = fileOf(this.attempt, this.slot);
    const check = await this.write(file, lists);
    for (let round = this.kept; round < rounds; round++) {
      this.work.record({ stage, round: this.attempt, shard: round, checks: round === rounds - 1 ? [check] : [] });
    }
    // A set may make fewer rounds than were planned.
    for (let round = rounds; last && round < this.work.header.shards; round++) {
      this.work.record({ stage, round: this.attempt, shard: round, checks: [] });
    }
    await this.work.flush();
    this.kept = rounds;
    this.slot = 1 - this.slot;
    this.last = performance.now();
    this.writtenMs = this.last - began;
  }

  private async write(file: string, lists: SharedRows): Promise<RangeCheck> {
    await this.work.checkOwned();
    const handle = await open(join(this.work.path, file), 'w+');
    try {
      let [crc, length] = [0, 0];
      for (const piece of piecesOf(lists)) {
        crc = crc32(piece, crc);
        for (let done = 0; done < piece.length; ) {
          done += (await handle.write(piece, done, piece.length - done, length + done)).bytesWritten;
        }
        length += piece.length;
      }
      await handle.datasync();
      return { file, start: 0, length, crc };
    } finally {
      await handle.close().catch(() => undefined); // it has reached the disk, or is refused already
    }
  }

  /** Reads a file into the lists. Returns whether it holds lists of this size with this checksum. */
  private async read({ file, length, crc }: RangeCheck, lists: SharedRows): Promise<boolean> {
    if (length !== 4 * lists.dim * lists.rowCount) return false;
    let handle: FileHandle | undefined;
    try {
      handle = await open(join(this.work.path, file), 'r');
      let [found, position] = [0, 0];
      for (const piece of piecesOf(lists)) {
        for (let done = 0; done < piece.length; ) {
          const { bytesRead } = await handle.read(piece, done, piece.length - done, position + done);
          if (bytesRead === 0) return false;
          done += bytesRead;
        }
        found = crc32(piece, found);
        position += piece.length;
      }
      return found === crc;
    } catch {
      return false; // what cannot be read is compared again
    } finally {
      await handle?.close().catch(() => undefined);
    }
  }
}

/** CRC-32 of rows in shared memory. */
export function checksumOf(rows: SharedRows): number {
  let crc = 0;
  eachPiece(rows, (piece) => {
    crc = crc32(piece, crc);
  });
  return crc;
}

function fileOf(attempt: number, slot: number): string {
  return `lists${attempt}${slot}.rows`;
}

const pieceBytes = 2 ** 24;

function eachPiece(rows: SharedRows, visit: (piece: Uint8Array) => void): void {
  for (const piece of piecesOf(rows)) visit(piece);
}

/** The bytes of all rows, or of a range of them, in order, some MiB at a time. */
export function* piecesOf(
  rows: SharedRows,
  { start: from, count }: Range = { start: 0, count: rows.rowCount },
): Generator<Uint8Array> {
  const most = Math.max(1, Math.floor(pieceBytes / (4 * rows.dim)));
  const end = from + count;
  for (let start = from; start < end; start += most) {
    const views: Float32Array[] = [];
    rows.eachRun(start, Math.min(most, end - start), (view) => void views.push(view));
    for (const { buffer, byteOffset, byteLength } of views) yield new Uint8Array(buffer, byteOffset, byteLength);
  }
}
