/**
 * The folder of a run that survives a crash: rows and columns in files, and a journal of the shards whose files are
 * whole, each with the checksums of what it wrote. A shard counts once its bytes have reached the disk, so a run goes on
 * from here after `kill -9` or a power cut. Files are the run's own when the journal names them; others stay as they are.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { crc32 } from '../checksum.js';
import { NaanError } from '../errors.js';
import { FolderLock, type LockRequest } from '../io/folder-lock.js';
import { isJournalRemnant, Journal, type JournalContent, readJournal } from '../io/journal.js';
import { isObject } from '../io/json.js';
import type { Lease } from '../io/lease.js';
import { jsonText, oneLine } from '../io/messages.js';
import { syncFolder } from '../io/sync-folder.js';
import { type FileCheck, featureRows } from '../memory/file-writes.js';
import type { Precision } from '../memory/row-store.js';
import { isManifest, isSegment } from '../memory/segments.js';
import { systemReason } from '../system-error.js';
import { version } from '../version.js';

/** The first entry of a journal: what must be the same for the run to go on. */
export interface WorkHeader {
  readonly naan: string;
  readonly started: string;
  /** Values that stored results depend on, by the name of the option or input. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly nodes: number;
  readonly shards: number;
  readonly precision: Precision;
  /** Stages that leave something in files, in order, each with its round. */
  readonly stages: readonly (readonly [stage: string, round: number])[];
  /** Names of the files that they leave. */
  readonly files: readonly string[];
  /** True where tasks leave segments instead, which several processes share. */
  readonly segments?: boolean;
}

interface FinishedShard {
  readonly stage: string;
  readonly round: number;
  readonly shard: number;
  readonly checks: readonly FileCheck[];
}

/** Observations of the inputs made after the header was written; the last of each counts. */
interface SeenInputs {
  /** Times and inode of the feature file. */
  readonly features?: string;
  /** CRC-32 of the kNN graph as it is used. */
  readonly graph?: number;
  /** The number of times that a coordinator, which shares the run by a queue, has started. */
  readonly epoch?: number;
  /** Checksum of the sketches and cells that a kNN search has made of the rows. */
  readonly rows?: number;
}

/** A process that went on with the run, and the time at which it did. */
interface Resumption {
  readonly resumed: string;
}

type Entry = WorkHeader | FinishedShard | Resumption | { readonly seen: SeenInputs } | { readonly finished: string };

/** The state of a run, as `naan status` reports it. */
export interface WorkStatus {
  readonly header: WorkHeader;
  /** Shards finished, by stage and round. */
  readonly done: readonly { readonly stage: string; readonly round: number; readonly shards: number }[];
  /** The number of times that the run was resumed. */
  readonly resumes: number;
  /** The time at which the labels were written. */
  readonly finished?: string;
}

export interface WorkRequest extends LockRequest {
  /** Give up the run that the folder holds. */
  readonly restart: boolean;
  /** The bytes of disk that the run's files will take. */
  readonly diskBytes: number;
  /** Words that say what else may help where the disk has less. */
  readonly diskAdvice?: string;
  /** Tells one state of the feature file from another. */
  readonly features: string;
}

const journalName = 'journal';
/** Each is a task of its own, and some records in the journal. */
export const mostShards = 2 ** 16;
/** Rows put at random places reach the disk in order, and pages once, when they are not synced too often. */
export const syncIntervalMs = 5000;

export class WorkDir {
  private readonly shardsDone = new Map<string, Map<number, readonly FileCheck[]>>();
  private seen: SeenInputs = {};
  private pending: Entry[] = [];
  private flushing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly files = new Map<string, FileHandle>();
  private readonly since = new Date().toISOString();
  private resumptionNoted = false;

  private constructor(
    readonly path: string,
    readonly header: WorkHeader,
    /** Whether an earlier run is gone on with. */
    readonly resumed: boolean,
    private readonly journal: Journal<Entry>,
    private readonly lock: FolderLock,
    private readonly featuresNow: string,
    /** The number of times that the run was resumed, this time included. */
    readonly resumes: number,
  ) {}

  /**
   * Opens the folder to go on with the run it holds or, when it holds none or one that came to its end, or with
   * `restart`, to start this one. The shards and the precision of a run that is gone on with are its own.
   * Throws BAD_USAGE when it holds another run, one that is being worked on, or files of others under names that a run
   * uses; BAD_INPUT when its journal is damaged; NOT_WRITABLE.
   */
  static async open(path: string, wanted: WorkHeader, request: WorkRequest): Promise<WorkDir> {
    let lock: FolderLock | undefined;
    try {
      makeFolder(path);
      checkJournal(path, true); // before anything is made in a folder that is not ours
      lock = await FolderLock.take(path, request);
      const found = checkJournal(path, request.restart);
      const header = headerOf(found);
      const resumed = header !== undefined && !request.restart && !found.entries.some(isFinished);
      if (resumed) checkIdentity(path, header, wanted);
      else clear(path, found.state === 'none' ? [] : ownFiles(path, header ?? wanted), wanted.files);
      checkDisk(path, request.diskBytes, resumed ? ownFiles(path, header) : [], request.diskAdvice ?? '');
      for (const name of readdirSync(path)) {
        if (isJournalRemnant(journalName, name)) rmSync(join(path, name), { force: true });
      }
      const entries: readonly Entry[] = resumed ? found.entries : [wanted, { seen: { features: request.features } }];
      const journal = await Journal.create<Entry>(join(path, journalName), entries);
      const resumes = resumed ? resumesIn(entries) + 1 : 0;
      const work = new WorkDir(path, resumed ? header : wanted, resumed, journal, lock, request.features, resumes);
      for (const entry of entries) work.count(entry);
      return work;
    } catch (error) {
      await lock?.release();
      throw refused(path, error);
    }
  }

  /** Shards of a stage that are whole, with the checksums of what each wrote. */
  done(stage: string, round: number): ReadonlyMap<number, readonly FileCheck[]> {
    return this.shardsDone.get(`${stage} ${round}`) ?? new Map();
  }

  /** Shards that were whole when the run began or have become so. */
  get doneCount(): number {
    let count = 0;
    for (const shards of this.shardsDone.values()) count += shards.size;
    return count;
  }

  /** Shards that turned out not to be whole are to be computed again. */
  forget(stage: string, round: number, shards: Iterable<number>): void {
    for (const shard of shards) this.shardsDone.get(`${stage} ${round}`)?.delete(shard);
  }

  /** Whether the feature file is not in the state in which the run last knew it. */
  get featuresTouched(): boolean {
    return this.seen.features !== this.featuresNow;
  }

  /** Its rows are those that the run has read so far. */
  featuresVerified(): void {
    this.note({ features: this.featuresNow });
  }

  /** Throws BAD_USAGE when the run has worked with another graph. */
  checkGraph(ids: Int32Array): void {
    const graph = checksum(ids);
    if (this.seen.graph === graph) return;
    if (this.seen.graph !== undefined) throw differs(this.path, 'knn', 'other lists', 'the file of today');
    this.note({ graph });
  }

  /** The epoch of the last coordinator; 0 before the first. */
  get epoch(): number {
    return this.seen.epoch ?? 0;
  }

  /** Resolves when the journal has it. */
  async noteEpoch(epoch: number): Promise<void> {
    this.note({ epoch });
    await this.flush();
  }

  /** Throws BAD_USAGE when the run has worked with other rows. */
  checkRows(rows: number): void {
    if (this.seen.rows === rows) return;
    if (this.seen.rows !== undefined) throw differs(this.path, 'features', 'other rows', 'the file of today');
    this.note({ rows });
  }

  /** Notes a shard whose bytes have been written; soon they are on the disk and it counts. */
  record(entry: FinishedShard): void {
    // A run that refuses its inputs leaves the journal as it was, so going on is noted with the first shard.
    if (this.resumed && !this.resumptionNoted) this.pending.push({ resumed: this.since });
    this.resumptionNoted = true;
    this.pending.push(entry);
    this.timer ??= setTimeout(() => void this.flush().catch(() => undefined), syncIntervalMs); // whoever flushes next hears
  }

  /** Resolves when all that was recorded counts. Throws NOT_WRITABLE, LOCK_LOST. */
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

  /** Throws LOCK_LOST when another process has taken the folder over. */
  checkOwned(): Promise<void> {
    return this.lock.check();
  }

  /** Leave to write here, for threads. */
  get lease(): Lease {
    return this.lock.lease;
  }

  /** Why the folder is no longer this process's own. */
  get lost(): NaanError | undefined {
    return this.lock.lost;
  }

  /** Calls `stop` when the folder is lost. */
  onLost(stop: () => void): void {
    this.lock.onLost = stop;
    if (this.lock.lost) stop();
  }

  /** The run has come to its end: keeps the journal and removes the rest. */
  async finish(): Promise<void> {
    await this.flush();
    await this.lock.check();
    await this.journal.append([{ finished: new Date().toISOString() }]);
    for (const name of ownFiles(this.path, this.header)) rmSync(join(this.path, name), { force: true });
  }

  /** What counts has reached the disk before, so an error here, of storage that is gone, would only hide the one that ended the run. */
  async close(): Promise<void> {
    this.lock.waitNoMore();
    await this.flush().catch(() => undefined);
    await Promise.allSettled([...this.files.values(), this.journal].map((file) => file.close()));
    await this.lock.release().catch(() => undefined);
  }

  private note(seen: SeenInputs): void {
    const entry: Entry = { seen };
    this.count(entry);
    this.pending.push(entry);
  }

  /** Shards that ended before the data is synced are recorded together, while others go on. */
  private async writePending(): Promise<void> {
    const entries = this.pending;
    this.pending = [];
    const write = async () => {
      await this.lock.check(); // waits for a folder that is away
      await this.syncData();
      await this.lock.check();
      await this.journal.append(entries);
    };
    try {
      // Segments are on the disk before they are recorded. What is written in place may be lost where syncing has failed once.
      await write().catch((error) => {
        if (!this.header.segments || systemReason(error) === undefined) throw error;
        return write();
      });
    } catch (error) {
      this.pending = [...entries, ...this.pending];
      throw refused(this.path, error);
    }
    for (const entry of entries) this.count(entry);
  }

  private async syncData(): Promise<void> {
    const known = this.files.size;
    for (const name of this.header.files) {
      const path = join(this.path, name);
      if (!this.files.has(name) && existsSync(path)) this.files.set(name, await open(path, 'r+'));
      await this.files.get(name)?.datasync();
    }
    if (this.files.size > known || this.header.segments) syncFolder(this.path);
  }

  private count(entry: Entry): void {
    if ('seen' in entry) this.seen = Object.assign({}, this.seen, entry.seen);
    if (!('shard' in entry)) return;
    const key = `${entry.stage} ${entry.round}`;
    const shards = this.shardsDone.get(key) ?? new Map<number, readonly FileCheck[]>();
    this.shardsDone.set(key, shards.set(entry.shard, entry.checks));
  }
}

/** The progress of the run in a folder; undefined when there is none. Throws as `WorkDir.open` does. */
export function readWork(path: string): WorkStatus | undefined {
  const found = checkJournal(path, false);
  const header = headerOf(found);
  if (header === undefined) return undefined;
  const shards = new Map<string, Set<number>>();
  for (const entry of found.entries) {
    if (!('shard' in entry)) continue;
    const key = `${entry.stage} ${entry.round}`;
    shards.set(key, (shards.get(key) ?? new Set<number>()).add(entry.shard));
  }
  const done = header.stages.map(([stage, round]) => {
    return { stage, round, shards: shards.get(`${stage} ${round}`)?.size ?? 0 };
  });
  const last = found.entries.find(isFinished);
  return { header, done, resumes: resumesIn(found.entries), ...(last && { finished: last.finished }) };
}

/** Throws BAD_USAGE when the folder holds a run that has not ended and had another of these values; else as `readWork`. */
export function checkSame(path: string, identity: WorkHeader['identity']): void {
  const status = readWork(path);
  if (!status || status.finished !== undefined) return;
  const { header } = status;
  checkIdentity(path, header, { ...header, naan: version, identity: { ...header.identity, ...identity } });
}

/** Tells runs apart: who reads another first entry in the journal sees another folder. Sixteen hexadecimal digits. */
export function runOf(header: WorkHeader): string {
  return createHash('sha256').update(JSON.stringify(header)).digest('hex').slice(0, 16);
}

/** A header for a run that starts now. */
export function workHeader(header: Omit<WorkHeader, 'naan' | 'started'>): WorkHeader {
  return { naan: version, started: new Date().toISOString(), ...header };
}

function isFinished(entry: Entry): entry is { readonly finished: string } {
  return 'finished' in entry;
}

function resumesIn(entries: readonly Entry[]): number {
  return entries.filter((entry) => 'resumed' in entry).length;
}

function headerOf({ entries }: JournalContent<Entry>): WorkHeader | undefined {
  const [first] = entries;
  return first && 'identity' in first ? first : undefined;
}

/**
 * Reads the journal of a folder. Throws BAD_USAGE when something else has its name and, unless the run is given up
 * anyway, when it is damaged or of an earlier version.
 */
function checkJournal(path: string, restart: boolean): JournalContent<Entry> {
  const journal = join(path, journalName);
  let found: JournalContent<Entry>;
  try {
    found = readJournal<Entry>(journal);
  } catch (error) {
    throw refused(path, error);
  }
  const sound = soundEntries(found.entries);
  if (sound.length < found.entries.length) found = { state: 'damaged', entries: sound, end: found.end };
  if (found.state === 'foreign') {
    throw new NaanError('BAD_USAGE', `${journal}: is not a journal of naan: give another --work-dir, or move it away`);
  }
  if (restart) return found;
  if (found.state === 'older') {
    throw new NaanError(
      'BAD_USAGE',
      `${path}: holds a run of an earlier naan, which this one cannot go on with: --restart gives it up`,
    );
  }
  if (found.state === 'damaged') {
    throw new NaanError(
      'BAD_INPUT',
      `${journal}: is damaged at byte ${found.end}, before its end: its disk may be failing; --restart gives the run up`,
    );
  }
  return found;
}

/** The entries before the first that no run has written: names of files come from here, and sizes. */
function soundEntries(entries: readonly unknown[]): Entry[] {
  const sound: Entry[] = [];
  const [header] = entries;
  if (!isHeader(header)) return sound;
  for (const entry of entries) {
    if (entry !== header && !isObject(entry)) break;
    if ('shard' in (entry as object) && !isFinishedShard(entry, header)) break;
    sound.push(entry as Entry);
  }
  return sound;
}

function isHeader(entry: unknown): entry is WorkHeader {
  if (!isObject(entry)) return false;
  const { naan, started, identity, nodes, shards, precision, stages, files } = entry;
  return (
    [naan, started].every((text) => typeof text === 'string') &&
    isObject(identity) &&
    isCount(nodes) &&
    isCount(shards) &&
    shards >= 1 &&
    shards <= mostShards &&
    (precision === 'f32' || precision === 'bf16') &&
    Array.isArray(stages) &&
    stages.every((stage) => Array.isArray(stage) && typeof stage[0] === 'string' && isCount(stage[1])) &&
    Array.isArray(files) &&
    files.every(isRunFile)
  );
}

function isFinishedShard(entry: unknown, { shards }: WorkHeader): boolean {
  if (!isObject(entry)) return false;
  const { stage, round, shard, checks } = entry;
  if (typeof stage !== 'string' || !isCount(round) || !isCount(shard) || shard >= shards) return false;
  return Array.isArray(checks) && checks.every(isFileCheck);
}

function isFileCheck(check: unknown): boolean {
  if (!isObject(check) || !(check.file === featureRows || isRunFile(check.file))) return false;
  const numbers = 'sum' in check ? [check.bytes, check.rowBytes, check.sum] : [check.start, check.length, check.crc];
  return numbers.every(isCount);
}

/** Whether this is a name that runs give to files: a plain one, which leads to no other folder. */
function isRunFile(name: unknown): boolean {
  return typeof name === 'string' && (/^[A-Za-z0-9]+\.(rows|column)$/.test(name) || isSegment(name));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkIdentity(path: string, found: WorkHeader, wanted: WorkHeader): void {
  const then: Record<string, unknown> = { naan: found.naan, ...found.identity };
  const now: Record<string, unknown> = { naan: wanted.naan, ...wanted.identity };
  for (const name of new Set([...Object.keys(then), ...Object.keys(now)])) {
    const [before, after] = [then[name], now[name]];
    if (JSON.stringify(before) === JSON.stringify(after)) continue;
    throw differs(path, oneLine(name), jsonText(before), jsonText(after));
  }
}

/** The refusal to go on with a run of something else. */
export function differs(path: string, name: string, before: string, after: string): NaanError {
  return new NaanError(
    'BAD_USAGE',
    `${path}: holds a run with ${name} ${before}, got ${after}: give the same again, or --restart to give that run up`,
  );
}

/** Files of a run: by the names that it gives them or, as nobody else names files so, all segments and what lists them. */
function ownFiles(path: string, { files, segments }: WorkHeader): readonly string[] {
  if (!segments) return files;
  return [...files, ...readdirSync(path).filter((name) => isSegment(name) || isManifest(name))];
}

/** Leaves none of an earlier run's files. Throws BAD_USAGE when one of others has a name that this run needs. */
function clear(path: string, own: readonly string[], needed: readonly string[]): void {
  const foreign = needed.find((name) => !own.includes(name) && lstatSync(join(path, name), { throwIfNoEntry: false }));
  if (foreign !== undefined) {
    throw new NaanError(
      'BAD_USAGE',
      `${path}: holds ${foreign}, which no run of naan left there: give another --work-dir, or move it away`,
    );
  }
  for (const name of own) rmSync(join(path, name), { force: true });
}

/** Room that files of the run take already is room that it has. */
function checkDisk(path: string, bytes: number, own: readonly string[], advice: string): void {
  const { bavail, bsize } = statfsSync(path);
  const sizes = own.map((name) => (statSync(join(path, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512);
  const room = sizes.reduce((sum, size) => sum + size, bavail * bsize);
  if (room >= bytes) return;
  throw new NaanError(
    'BAD_USAGE',
    `${path}: ${gib(room)} GiB are free on its disk, the run needs ${gib(bytes)}: give a folder on another${advice}`,
  );
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1);
}

function makeFolder(path: string): void {
  if (existsSync(path)) return;
  mkdirSync(path, { recursive: true });
  syncFolder(dirname(resolve(path)));
}

/** CRC-32 of numbers, of any length. */
function checksum(values: Int32Array): number {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let crc = 0;
  for (let start = 0; start < bytes.length; start += 2 ** 30) crc = crc32(bytes.subarray(start, start + 2 ** 30), crc);
  return crc;
}

function refused(path: string, error: unknown): unknown {
  const reason = systemReason(error);
  if (reason === undefined) return error;
  return new NaanError('NOT_WRITABLE', `${path}: cannot be worked in: ${reason}`, { cause: error });
}
