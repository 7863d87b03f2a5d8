/**
 * The folder of a run that survives a crash: rows and columns in files, and a journal of the shards whose files are
 * whole. A shard counts once its bytes have reached the disk, so a run goes on from here after `kill -9` or a power cut.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { NaanError } from '../errors.js';
import { Journal, readJournal } from '../io/journal.js';
import { systemReason } from '../io/system-error.js';
import type { Precision } from '../memory/row-store.js';
import { version } from '../version.js';

/** The first entry of a journal: what must be the same for the run to go on. */
export interface WorkHeader {
  readonly naan: string;
  readonly started: string;
  /** What the stored values depend on, by the name of the option or input. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly nodes: number;
  readonly shards: number;
  readonly precision: Precision;
  /** Stages that leave something in files, in order, each with its round. */
  readonly stages: readonly (readonly [stage: string, round: number])[];
}

interface FinishedShard {
  readonly stage: string;
  readonly round: number;
  readonly shard: number;
}

type Entry = WorkHeader | FinishedShard | { readonly finished: string };

/** What `naan status` tells. */
export interface WorkStatus {
  readonly header: WorkHeader;
  /** Shards finished, by stage and round. */
  readonly done: readonly { readonly stage: string; readonly round: number; readonly shards: number }[];
  /** When the labels were written. */
  readonly finished?: string;
  /** The process that works on it now. */
  readonly process?: number;
}

const journalName = 'journal';
const lockName = 'lock';
/** Rows put at random places reach the disk in order, and pages once, when they are not synced too often. */
export const syncIntervalMs = 5000;

export class WorkDir {
  private readonly shardsDone = new Map<string, Set<number>>();
  private pending: FinishedShard[] = [];
  private flushing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly files = new Map<string, FileHandle>();

  private constructor(
    readonly path: string,
    readonly header: WorkHeader,
    /** Whether an earlier run is gone on with. */
    readonly resumed: boolean,
    private readonly journal: Journal<Entry>,
  ) {}

  /**
   * Opens the folder to go on with the run it holds or, when it holds none or one that came to its end, or with
   * `restart`, to start this one. The shards and the precision of a run that is gone on with are its own.
   * Throws BAD_USAGE when it holds another run or one that a process is working on, NOT_WRITABLE.
   */
  static async open(path: string, wanted: WorkHeader, restart: boolean): Promise<WorkDir> {
    try {
      mkdirSync(path, { recursive: true });
      lock(path);
      const found = readWork(path);
      const resumed = found !== undefined && !found.finished && !restart;
      if (resumed) checkIdentity(path, found.header, wanted);
      else clear(path);
      const { journal, entries } = await Journal.open<Entry>(join(path, journalName));
      if (!resumed) await journal.append([wanted]);
      const work = new WorkDir(path, resumed ? found.header : wanted, resumed, journal);
      for (const entry of entries) if ('shard' in entry) work.count(entry);
      return work;
    } catch (error) {
      throw refused(path, error);
    }
  }

  /** Shards of a stage that are whole. */
  done(stage: string, round: number): ReadonlySet<number> {
    return this.shardsDone.get(`${stage} ${round}`) ?? new Set();
  }

  /** Shards that were whole when the run began or have become so. */
  get doneCount(): number {
    let count = 0;
    for (const shards of this.shardsDone.values()) count += shards.size;
    return count;
  }

  /** Notes a shard whose bytes have been written; soon they are on the disk and it counts. */
  record(entry: FinishedShard): void {
    this.pending.push(entry);
    this.timer ??= setTimeout(() => void this.flush().catch(() => undefined), syncIntervalMs); // whoever flushes next hears
  }

  /** Resolves when all that was recorded counts. Throws NOT_WRITABLE. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.flushing;
    if (this.pending.length === 0) return;
    this.flushing ??= this.writePending().finally(() => {
      this.flushing = undefined;
    });
    await this.flushing;
  }

  /** The run has come to its end: keeps the journal and removes the rest. */
  async finish(): Promise<void> {
    await this.flush();
    await this.journal.append([{ finished: new Date().toISOString() }]);
    for (const name of readdirSync(this.path)) if (isData(name)) rmSync(join(this.path, name), { force: true });
  }

  async close(): Promise<void> {
    await this.flush().catch(() => undefined);
    for (const file of this.files.values()) await file.close();
    await this.journal.close();
    rmSync(join(this.path, lockName), { force: true });
  }

  /** Shards that ended before the data is synced are recorded together, while others go on. */
  private async writePending(): Promise<void> {
    const entries = this.pending;
    this.pending = [];
    try {
      await this.syncData();
      await this.journal.append(entries);
    } catch (error) {
      this.pending = [...entries, ...this.pending];
      throw refused(this.path, error);
    }
    for (const entry of entries) this.count(entry);
  }

  private async syncData(): Promise<void> {
    for (const name of readdirSync(this.path)) {
      if (!isData(name)) continue;
      let file = this.files.get(name);
      if (!file) {
        file = await open(join(this.path, name), 'r+');
        this.files.set(name, file);
      }
      await file.datasync();
    }
  }

  private count({ stage, round, shard }: FinishedShard): void {
    const key = `${stage} ${round}`;
    const shards = this.shardsDone.get(key) ?? new Set();
    this.shardsDone.set(key, shards.add(shard));
  }
}

/** Where the run in a folder stands; undefined when there is none. */
export function readWork(path: string): WorkStatus | undefined {
  const [header, ...entries] = readJournal<Entry>(join(path, journalName)).entries;
  if (header === undefined || !('identity' in header)) return undefined;
  const done = header.stages.map(([stage, round]) => ({
    ...{ stage, round },
    shards: entries.filter((entry) => 'shard' in entry && entry.stage === stage && entry.round === round).length,
  }));
  const last = entries.at(-1);
  const worker = lockedBy(path);
  return {
    ...{ header, done },
    ...(last && 'finished' in last && { finished: last.finished }),
    ...(worker !== undefined && { process: worker }),
  };
}

/** A header for a run that starts now. */
export function workHeader(header: Omit<WorkHeader, 'naan' | 'started'>): WorkHeader {
  return { naan: version, started: new Date().toISOString(), ...header };
}

function checkIdentity(path: string, found: WorkHeader, wanted: WorkHeader): void {
  const then: Record<string, unknown> = { naan: found.naan, ...found.identity };
  const now: Record<string, unknown> = { naan: wanted.naan, ...wanted.identity };
  for (const name of new Set([...Object.keys(then), ...Object.keys(now)])) {
    const [before, after] = [then[name], now[name]].map((value) => JSON.stringify(value) ?? 'none');
    if (before === after) continue;
    throw new NaanError(
      'BAD_USAGE',
      `${path}: holds a run with ${name} ${before}, got ${after}: give the same again, or --restart to give that run up`,
    );
  }
}

/** Leaves nothing of an earlier run; files that are not ours stay. */
function clear(path: string): void {
  for (const name of readdirSync(path)) {
    if (isData(name) || name === journalName) rmSync(join(path, name), { force: true });
  }
}

function isData(name: string): boolean {
  return name.endsWith('.rows') || name.endsWith('.column');
}

/** One process at a time. The lock of one that died is taken over. */
function lock(path: string): void {
  const holder = lockedBy(path);
  if (holder !== undefined) {
    throw new NaanError('BAD_USAGE', `${path}: process ${holder} is working on it: give another --work-dir`);
  }
  rmSync(join(path, lockName), { force: true });
  const fd = openSync(join(path, lockName), 'wx');
  writeSync(fd, String(process.pid));
  closeSync(fd);
}

function lockedBy(path: string): number | undefined {
  let holder: number;
  try {
    holder = Number(readFileSync(join(path, lockName), 'utf8'));
    if (!(holder > 0)) return undefined;
    process.kill(holder, 0);
  } catch (error) {
    // Of another user: alive.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
    return Number(readFileSync(join(path, lockName), 'utf8'));
  }
  return holder === process.pid ? undefined : holder;
}

function refused(path: string, error: unknown): unknown {
  const reason = systemReason(error);
  if (reason === undefined) return error;
  return new NaanError('NOT_WRITABLE', `${path}: cannot be worked in: ${reason}`, { cause: error });
}
