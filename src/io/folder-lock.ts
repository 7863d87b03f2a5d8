/**
 * One owner of a folder, also where several machines or containers share it, on any file system that can make a file only
 * if it is not there (no `flock`, which network file systems do not all keep).
 *
 * An owner is a file with who it is and a random token. The first is `lock`; one that takes over from the owner of token T
 * is `lock.T`. The last of this chain owns the folder. As a name is made only once, of several that would take over
 * one does; as a token never comes again, a name that was made too late leads to nobody.
 *
 * An owner of the same boot and PID namespace is looked up: it lives, or it is taken over at once. Any other, or one whose
 * file came here as a copy, is judged by its heartbeat, the time of its file, which it renews every few seconds: whoever
 * wants the folder watches for a change, so that clocks need not agree. (A host's name proves nothing: containers of two
 * machines may share one.) One that is silent for long is taken over, so that a job that was moved to another machine goes
 * on by itself. Should it only have been paused, it sees that the chain no longer ends with its token before it journals
 * or deletes anything, and its threads write only while its lease is fresh: a time in shared memory, renewed with each
 * heartbeat.
 *
 * A folder that is away, as a file server that starts again lets it be, is waited for: the lease ends at once, so that no
 * thread writes, and begins anew when the chain is seen to end with the owner's token still. Whoever took the folder over
 * meanwhile keeps it.
 */
import { randomBytes } from 'node:crypto';
import { constants, realpathSync } from 'node:fs';
import { type FileHandle, link, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { NaanError } from '../errors.js';
import { systemReason } from '../system-error.js';
import { version } from '../version.js';
import { parseJsonObject } from './json.js';
import { endLease, type Lease, renewLease } from './lease.js';
import { lifeOf, type ProcessIdentity, processOf, thisProcess } from './process-identity.js';
import { syncFolder } from './sync-folder.js';

export interface LockOwner extends ProcessIdentity {
  readonly naan: string;
  readonly host: string;
  readonly since: string;
  readonly token: string;
  /** The inode of its file: another one is a copy, such as of the whole folder. */
  readonly inode: string;
}

export interface LockTiming {
  readonly heartbeatMs: number;
  /** An owner that cannot be seen is looked at so often, `lookMs` apart, before it counts as silent. */
  readonly looks: number;
  readonly lookMs: number;
  /** Threads write for so long after a heartbeat: well below looks × lookMs. */
  readonly leaseSeconds: number;
  /** A folder that is away is waited for so long. */
  readonly patienceMs: number;
}

const usualTiming: LockTiming = { heartbeatMs: 2000, looks: 30, lookMs: 1000, leaseSeconds: 12, patienceMs: 90_000 };

export interface LockRequest {
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
  readonly timing?: LockTiming;
  /** What to give for another folder, in messages. */
  readonly option?: string | undefined;
}

const lockName = 'lock';
const missing = 'is not there';
/** The most bytes of a file that says who an owner is. */
const maxOwnerBytes = 2 ** 16;
const tokenPattern = /^[0-9a-f]{32}$/;
/** Real paths of the folders that this process owns or asks for. */
const taken = new Set<string>();

export class FolderLock {
  readonly lease: Lease;
  /** Why the folder is no longer this process's own. */
  lost: NaanError | undefined;
  /** Called once, when it is lost. */
  onLost: (() => void) | undefined;
  private readonly timer: NodeJS.Timeout;
  private beating: Promise<unknown> | undefined;
  /** The time since which the folder has been away. */
  private awaySince: number | undefined;
  private readonly waiting = new AbortController();
  private readonly timing: LockTiming;

  private constructor(
    private readonly folder: string,
    private readonly real: string,
    private readonly token: string,
    /** Its file. */
    private readonly path: string,
    /** Tells the folder from another at its place, such as one that a file system was mounted on. */
    private readonly place: string,
    private readonly request: LockRequest,
  ) {
    this.timing = request.timing ?? usualTiming;
    this.lease = { renewed: new Int32Array(new SharedArrayBuffer(4)), seconds: this.timing.leaseSeconds };
    renewLease(this.lease, Date.now());
    this.timer = setInterval(() => {
      this.beating ??= this.beat()
        .catch(() => undefined) // whoever asks next hears
        .finally(() => {
          this.beating = undefined;
        });
    }, this.timing.heartbeatMs).unref();
  }

  /** Takes the folder. Throws BAD_USAGE when another process or call works in it or `lock` is not ours, CANCELLED. */
  static async take(folder: string, request: LockRequest = {}): Promise<FolderLock> {
    const { signal, option } = request;
    const real = realpathSync(folder);
    if (taken.has(real)) throw busy(folder, 'another call of this process is working on it', option);
    taken.add(real);
    const token = randomBytes(16).toString('hex');
    try {
      const path = await claim(folder, token, request);
      return new FolderLock(folder, real, token, path, await placeOf(folder), request);
    } catch (error) {
      taken.delete(real);
      if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled', { cause: error });
      throw error;
    } finally {
      await rm(join(folder, temporaryName(token)), { force: true });
    }
  }

  /** Resolves when the folder is seen to be this process's own. Throws LOCK_LOST when it is not, CANCELLED. */
  async check(): Promise<void> {
    const stops = [this.waiting.signal, ...(this.request.signal ? [this.request.signal] : [])];
    while (!(await this.beat())) {
      await wait(this.timing.lookMs, undefined, { signal: AbortSignal.any(stops) }).catch((cause: unknown) => {
        throw new NaanError('CANCELLED', 'cancelled', { cause });
      });
    }
  }

  /** The work comes to its end: a folder that is away is no longer waited for. */
  waitNoMore(): void {
    this.waiting.abort();
  }

  /** Gives the folder back, unless it is another's by now. */
  async release(): Promise<void> {
    clearInterval(this.timer);
    await this.beating;
    try {
      const chain = await chainOf(this.folder);
      // Files are removed from the beginning of the chain on: without `lock` the others lead to nobody.
      if (chain.at(-1)?.owner.token === this.token) for (const { path } of chain) await rm(path, { force: true });
    } finally {
      taken.delete(this.real);
    }
  }

  /** A sign of life. Resolves whether the folder is seen to be this process's own; false while it is away. Throws LOCK_LOST. */
  private async beat(): Promise<boolean> {
    if (this.lost) throw this.lost;
    const began = Date.now();
    let why = missing;
    let last: Link | undefined;
    try {
      await utimes(this.path, new Date(), new Date()).catch(unlessMissing);
      last = (await chainOf(this.folder)).at(-1);
    } catch (error) {
      if (!isMissing(error)) why = `its lock cannot be renewed: ${systemReason(error) ?? String(error)}`;
    }
    if (last?.owner.token === this.token) {
      renewLease(this.lease, began);
      if (this.awaySince !== undefined) this.request.onNotice?.(`${this.folder}: is there again`);
      this.awaySince = undefined;
      return true;
    }
    endLease(this.lease);
    if (last) this.lose(`${nameOf(last.owner)} took it over while this process gave no sign of life`);
    if (why === missing && (await placeOf(this.folder)) === this.place) this.lose('its lock was removed');
    const { patienceMs } = this.timing;
    if (this.awaySince === undefined) {
      this.awaySince = performance.now();
      this.request.onNotice?.(`${this.folder}: ${why}: it is waited for, up to ${patienceMs / 1000} s`);
    } else if (performance.now() - this.awaySince > patienceMs) this.lose(why);
    return false;
  }

  private lose(how: string): never {
    clearInterval(this.timer);
    if (this.lost) throw this.lost;
    this.lost = new NaanError(
      'LOCK_LOST',
      `${this.folder}: ${how}: this run stops; the same command goes on with the shards that are done`,
    );
    this.onLost?.();
    throw this.lost;
  }
}

/** Who owns a folder, and whether it works there; undefined when nobody does. */
export async function readOwner(
  folder: string,
  timing: LockTiming = { ...usualTiming, looks: 5 },
): Promise<{ readonly owner: LockOwner; readonly state: 'working' | 'gone' | 'silent' } | undefined> {
  const last = (await chainOf(folder)).at(-1);
  if (!last) return undefined;
  const life = lifeIn(last);
  if (life !== 'unknown') return { owner: last.owner, state: life === 'alive' ? 'working' : 'gone' };
  const seen = await watch(last, timing);
  return seen === 'end' ? undefined : { owner: last.owner, state: seen === 'heartbeat' ? 'working' : 'silent' };
}

/** Whether `name` is a file that owners make. */
function isLockFile(name: string): boolean {
  const [first, token, ending, ...rest] = name.split('.');
  if (first !== lockName || rest.length > 0 || (ending !== undefined && ending !== 'tmp')) return false;
  return token === undefined || tokenPattern.test(token);
}

interface Link {
  readonly path: string;
  readonly owner: LockOwner;
  /** Its file is not the one that the owner made, according to the file system. */
  readonly copied: boolean;
}

/** The owners of a folder, each with its file, the one that owns it now last. Throws BAD_USAGE when `lock` is not ours. */
async function chainOf(folder: string): Promise<Link[]> {
  const chain: Link[] = [];
  for (let path = join(folder, lockName); ; path = join(folder, `${lockName}.${chain.at(-1)?.owner.token}`)) {
    const found = await linkAt(path);
    if (!found) return chain;
    chain.push(found);
  }
}

/** Makes the file that owns the folder; returns its path. */
async function claim(
  folder: string,
  token: string,
  { signal, onNotice, option, timing = usualTiming }: LockRequest,
): Promise<string> {
  const temporary = join(folder, temporaryName(token));
  await writeOwner(temporary, token);
  for (;;) {
    signal?.throwIfAborted();
    const chain = await chainOf(folder);
    const last = chain.at(-1);
    if (last) {
      const life = lifeIn(last);
      if (life === 'alive') throw busy(folder, `${nameOf(last.owner)} is working on it`, option);
      if (life === 'unknown') {
        const looking = `${(timing.looks * timing.lookMs) / 1000} s`;
        onNotice?.(`${folder}: ${nameOf(last.owner)} may be working on it: waits up to ${looking} for a sign of life`);
        const seen = await watch(last, timing, signal);
        if (seen === 'heartbeat') throw busy(folder, `${nameOf(last.owner)} is working on it`, option);
        if (seen === 'end') continue;
        onNotice?.(`${folder}: ${nameOf(last.owner)} gave no sign of life for ${looking}: its run is taken over`);
      }
    }
    const path = join(folder, last ? `${lockName}.${last.owner.token}` : lockName);
    if (!(await makeOnce(temporary, path, token))) continue;
    if ((await chainOf(folder)).at(-1)?.owner.token !== token) {
      await rm(path, { force: true }); // the folder was given back meanwhile
      continue;
    }
    // Nothing need remain of processes that have ended; one that is silent might come back, and must find who follows it.
    const alone = last !== undefined && chain.every((link) => lifeIn(link) === 'gone');
    if (alone) await rename(path, join(folder, lockName));
    await sweep(folder);
    syncFolder(folder);
    return alone ? join(folder, lockName) : path;
  }
}

/** Removes what is of no owner: names that lead to nobody, and first names of files whose process died early. */
async function sweep(folder: string): Promise<void> {
  const kept = new Set((await chainOf(folder)).map(({ path }) => path));
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (isLockFile(name) && !kept.has(path)) await rm(path, { force: true });
  }
}

/** Gives the owner's file its second name, unless that is taken. Says whether it has it. */
async function makeOnce(temporary: string, path: string, token: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A server may have done it though its answer was lost.
    if (code === 'EEXIST') return (await linkAt(path))?.owner.token === token;
    if (code === 'ENOENT') {
      await writeOwner(temporary, token); // an owner that came and went has cleaned up
      return false;
    }
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error;
  }
  // A file system without second names.
  try {
    await writeOwner(path, token);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function writeOwner(path: string, token: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    const owner: LockOwner = {
      naan: version,
      host: hostname(),
      since: new Date().toISOString(),
      token,
      inode: await inodeOf(file),
      ...thisProcess(),
    };
    await file.writeFile(`${JSON.stringify(owner)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Undefined when there is no such file. Throws BAD_USAGE when it is not of an owner. */
async function linkAt(path: string): Promise<Link | undefined> {
  for (let look = 0; ; look++) {
    let found: { text: string; inode: string };
    try {
      found = await readWhole(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    const owner = parseOwner(found.text, found.inode);
    if (owner) return { path, owner, copied: owner.inode !== found.inode };
    // Where it has no second name, the file is there a moment before what it says.
    if (look === 3) {
      throw new NaanError(
        'BAD_USAGE',
        `${path}: is not a lock of this version of naan: give another folder or, if no naan works there, remove this file`,
      );
    }
    await wait(50);
  }
}

async function readWhole(path: string): Promise<{ text: string; inode: string }> {
  // A pipe that nobody writes to would block.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stats = await file.stat();
    const text = stats.isFile() && stats.size <= maxOwnerBytes ? await file.readFile('utf8') : '';
    return { text, inode: await inodeOf(file) };
  } finally {
    await file.close();
  }
}

/** The device and inode of a folder; empty where it cannot be seen. */
async function placeOf(folder: string): Promise<string> {
  const found = await stat(folder, { bigint: true }).catch(() => undefined);
  return found ? `${found.dev} ${found.ino}` : '';
}

async function inodeOf(file: FileHandle): Promise<string> {
  return String((await file.stat({ bigint: true })).ino);
}

function parseOwner(text: string, inode: string): LockOwner | undefined {
  // Earlier versions wrote the number of the process alone.
  if (/^\d+$/.test(text)) {
    const token = text.padStart(32, '0');
    return { naan: 'older', host: hostname(), since: '', token, inode, ...processOf(Number(text)) };
  }
  const owner = parseJsonObject(text) as LockOwner | undefined;
  return owner && tokenPattern.test(owner.token) && typeof owner.process === 'number' ? owner : undefined;
}

function lifeIn({ owner, copied }: Link): ReturnType<typeof lifeOf> {
  const life = lifeOf(owner);
  return life === 'alive' && copied ? 'unknown' : life;
}

/** Watches an owner's file: its time changes with every heartbeat, and it is removed at the end. */
async function watch(
  { path }: Link,
  { looks, lookMs }: LockTiming,
  signal?: AbortSignal,
): Promise<'heartbeat' | 'end' | 'silence'> {
  const first = await timeOf(path);
  for (let look = 0; look < looks; look++) {
    await wait(lookMs, undefined, { signal });
    const time = await timeOf(path);
    if (time === undefined) return 'end';
    if (time !== first) return 'heartbeat';
  }
  return 'silence';
}

/** Opened first: a network file system then asks its server. */
async function timeOf(path: string): Promise<bigint | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      return (await file.stat({ bigint: true })).mtimeNs;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function unlessMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

function busy(folder: string, why: string, option = '--work-dir'): NaanError {
  return new NaanError('BAD_USAGE', `${folder}: ${why}: give another ${option}`);
}

function nameOf({ process: pid, host }: LockOwner): string {
  return host === hostname() ? `process ${pid}` : `process ${pid} on host ${host}`;
}

function temporaryName(token: string): string {
  return `${lockName}.${token}.tmp`;
}
