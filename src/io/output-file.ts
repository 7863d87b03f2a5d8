/**
 * Output files appear whole or not at all: bytes go to a temporary name beside the target, reach the disk, and take the
 * target's name last, which reaches the disk too. Whatever fails on the way, the temporary is removed.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { asNaanError, NaanError } from '../errors.js';
import { systemReason } from '../system-error.js';
import { syncFolder } from './sync-folder.js';
import { removeAbandoned, removeTemporary, temporaryIn } from './temporaries.js';

/** A file being written, front to back. Errors of the disk are NOT_WRITABLE and name the target. */
export class OutputFile {
  private readonly handle: FileHandle;
  private readonly path: string;
  private end = 0;

  constructor(handle: FileHandle, path: string) {
    this.handle = handle;
    this.path = path;
  }

  /** Bytes appended so far. */
  get length(): number {
    return this.end;
  }

  /** Appends all bytes of a view, which may lie on shared memory. */
  async write(view: ArrayBufferView): Promise<void> {
    const start = this.end;
    this.end += view.byteLength;
    await this.writeAt(view, start);
  }

  /** Overwrites bytes already written, such as a checksum known only at the end. */
  async writeAt(view: ArrayBufferView, position: number): Promise<void> {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    for (let done = 0; done < bytes.length; ) {
      const count = Math.min(bytes.length - done, 2 ** 30);
      const write = this.handle.write(bytes, done, count, position + done);
      done += (await refusedBy(this.path, write)).bytesWritten;
    }
  }
}

/**
 * Writes one file whole or not at all, in a folder that is made if it is missing. `fill` appends its bytes. Throws
 * NOT_WRITABLE with path and reason.
 */
export async function writeOutput(path: string, fill: (file: OutputFile) => Promise<void>): Promise<void> {
  const target = await resolveTarget(path);
  const folder = dirname(target);
  await refusedBy(path, makeFolder(folder));
  removeAbandoned(folder);
  const temporary = temporaryIn(folder);
  try {
    const handle = await refusedBy(path, open(temporary, 'wx'));
    try {
      await fill(new OutputFile(handle, path));
      await refusedBy(path, handle.sync());
    } finally {
      await refusedBy(path, handle.close());
    }
    await refusedBy(path, moveAll([{ from: temporary, to: target }]));
  } finally {
    removeTemporary(temporary);
  }
}

/**
 * Makes the files of one result appear together: `fill` writes them below a hidden folder that it is given, and they move
 * to the same names below `directory` when all of them are whole, the one called `first` before the others. Returns what
 * `fill` returns. Throws NOT_WRITABLE.
 */
export async function writeTogether<T>(
  directory: string,
  fill: (staging: string) => Promise<T>,
  first?: string,
): Promise<T> {
  await refusedBy(directory, makeFolder(directory));
  removeAbandoned(directory);
  const staging = temporaryIn(directory);
  try {
    await refusedBy(directory, mkdir(staging));
    const result = await fill(staging);
    const moves: { from: string; to: string }[] = [];
    const entries = await refusedBy(directory, readdir(staging, { recursive: true, withFileTypes: true }));
    for (const entry of entries) {
      if (entry.isDirectory()) continue;
      const from = join(entry.parentPath, entry.name);
      const to = join(directory, relative(staging, from));
      await refusedBy(to, makeFolder(dirname(to)));
      moves.push({ from, to: await resolveTarget(to) });
    }
    moves.sort((a, b) => Number(basename(b.to) === first) - Number(basename(a.to) === first));
    await refusedBy(directory, moveAll(moves));
    return result;
  } catch (error) {
    throw nameFinally(error, staging, directory);
  } finally {
    removeTemporary(staging);
  }
}

/**
 * Makes a folder appear whole or not at all: `fill` writes below a hidden one beside it, which takes its name when all is
 * written. An empty folder of that name gives way. Returns what `fill` returns. Throws NOT_WRITABLE.
 */
export async function writeFolder<T>(path: string, fill: (staging: string) => Promise<T>): Promise<T> {
  const target = resolve(path);
  const parent = dirname(target);
  await refusedBy(path, makeFolder(parent));
  removeAbandoned(parent);
  const staging = temporaryIn(parent);
  try {
    await writing(path, () => mkdirSync(staging));
    const result = await fill(staging);
    await writing(path, () => renameSync(staging, target));
    syncFolder(parent);
    return result;
  } catch (error) {
    throw nameFinally(error, staging, path);
  } finally {
    removeTemporary(staging);
  }
}

/** Runs what writes at `path`. Throws NOT_WRITABLE with path and reason where the system refuses it. */
export function writing<T>(path: string, work: () => T | Promise<T>): Promise<T> {
  return refusedBy(path, (async () => work())());
}

/** An error that names files by where they will be, and not by where they are written. */
function nameFinally(error: unknown, staging: string, directory: string): unknown {
  const known = asNaanError(error);
  if (!known) return error;
  return new NaanError(known.code, known.message.replaceAll(staging, directory), { cause: error });
}

/** Renames all files without a pause, so that no signal is handled between two of them. */
async function moveAll(moves: readonly { from: string; to: string }[]): Promise<void> {
  for (const { from, to } of moves) renameSync(from, to);
  for (const folder of new Set(moves.map(({ to }) => dirname(to)))) syncFolder(folder);
}

/** The nearest folder that is there, of a path to one, and the folders below it that are missing, the deepest first. */
export function existingFolder(path: string): { readonly folder: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  let folder = path;
  for (; !existsSync(folder) && dirname(folder) !== folder; folder = dirname(folder)) missing.push(folder);
  return { folder, missing };
}

async function makeFolder(path: string): Promise<void> {
  const { missing } = existingFolder(path);
  if (missing.length === 0) return;
  mkdirSync(path, { recursive: true });
  for (const folder of missing) syncFolder(dirname(folder));
}

/**
 * Proves, before a long run, that a file can be written at `path`, in folders that may have to be made; leaves nothing
 * behind. Throws NOT_WRITABLE.
 */
export async function checkWritable(path: string): Promise<void> {
  if (path.includes('\0')) throw notWritable(path.replaceAll('\0', '\\0'), 'its name has a zero byte');
  if (/(^|\/)\.{0,2}$/.test(path)) throw notWritable(path, 'it names a folder, expected a file name');
  const { folder, missing } = existingFolder(dirname(await resolveTarget(path)));
  // The file system looks at a name, such as a very long one, only in a folder that is there.
  for (const name of [basename(path), ...missing.map((one) => basename(one))])
    await refusedBy(path, stat(join(folder, name)).catch(unlessMissing));
  const probe = temporaryIn(folder);
  try {
    await refusedBy(
      path,
      open(probe, 'wx').then((handle) => handle.close()),
    );
  } finally {
    removeTemporary(probe);
  }
  await checkReplaceable(path);
}

/** Throws NOT_WRITABLE for a file of another user in a folder such as /tmp, where only the owner may replace it. */
async function checkReplaceable(path: string): Promise<void> {
  const user = process.geteuid?.();
  const file = await stat(path).catch(unlessMissing);
  if (!file || user === undefined || user === 0) return;
  const folder = await stat(dirname(await realpath(path)));
  const sticky = (folder.mode & 0o1000) !== 0;
  if (sticky && file.uid !== user && folder.uid !== user) throw notWritable(path, 'it is of another user');
}

export async function writeText(path: string, text: string): Promise<void> {
  await writeOutput(path, (file) => file.write(Buffer.from(text)));
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeText(path, JSON.stringify(value, null, 2) + '\n');
}

/** Follows links, so that a linked output is written where it points; a rename must never replace a device or folder. */
async function resolveTarget(path: string): Promise<string> {
  const stats = await refusedBy(path, stat(path).catch(unlessMissing));
  if (!stats) return path;
  if (!stats.isFile()) {
    const found = stats.isDirectory() ? 'a folder' : 'a device or pipe';
    throw notWritable(path, `it is ${found}, expected a file name`);
  }
  return await refusedBy(path, realpath(path));
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function refusedBy<T>(path: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (cause) {
    const reason = systemReason(cause);
    if (reason === undefined) throw cause;
    throw notWritable(path, reason, cause);
  }
}

function notWritable(path: string, reason: string, cause?: unknown): NaanError {
  return new NaanError('NOT_WRITABLE', `${path}: cannot be written: ${reason}`, { cause });
}
