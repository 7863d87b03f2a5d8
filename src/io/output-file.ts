/**
 * Output files appear whole or not at all: bytes go to a temporary name beside the target, reach the disk, and take the
 * target's name last. Whatever fails on the way, the temporary is removed.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { asNaanError, NaanError } from '../errors.js';
import { systemReason } from './system-error.js';

const unfinished = new Set<string>();

/** Removes the temporaries of every output still being written by this thread. Synchronous: for a signal handler. */
export function removeUnfinished(): void {
  for (const path of unfinished) {
    try {
      rmSync(path, { force: true, recursive: true });
    } catch {
      // The process is going down: the other temporaries matter more than this one.
    }
  }
  unfinished.clear();
}

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

/** Writes one file whole or not at all. `fill` appends its bytes. Throws NOT_WRITABLE with path and reason. */
export async function writeOutput(path: string, fill: (file: OutputFile) => Promise<void>): Promise<void> {
  const target = await resolveTarget(path);
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  unfinished.add(temporary);
  try {
    const handle = await refusedBy(path, open(temporary, 'wx'));
    try {
      await fill(new OutputFile(handle, path));
      await refusedBy(path, handle.sync());
    } finally {
      await handle.close();
    }
    await refusedBy(path, rename(temporary, target));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    unfinished.delete(temporary);
  }
}

/**
 * Makes the files of one result appear together: `fill` writes them below a hidden folder that it is given, and they move
 * to the same names below `directory` when all of them are whole. Returns what `fill` returns. Throws NOT_WRITABLE.
 */
export async function writeTogether<T>(directory: string, fill: (staging: string) => Promise<T>): Promise<T> {
  await refusedBy(directory, mkdir(directory, { recursive: true }));
  const staging = join(directory, `.unfinished.${randomBytes(6).toString('hex')}.tmp`);
  unfinished.add(staging);
  try {
    await refusedBy(directory, mkdir(staging));
    const result = await fill(staging);
    const moves: { from: string; to: string }[] = [];
    for (const entry of await readdir(staging, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue;
      const from = join(entry.parentPath, entry.name);
      const to = join(directory, relative(staging, from));
      await refusedBy(to, mkdir(dirname(to), { recursive: true }));
      moves.push({ from, to: await resolveTarget(to) });
    }
    await refusedBy(directory, moveAll(moves));
    return result;
  } catch (error) {
    const known = asNaanError(error);
    if (!known) throw error;
    throw new NaanError(known.code, known.message.replaceAll(staging, directory), { cause: error });
  } finally {
    await rm(staging, { force: true, recursive: true }).catch(() => undefined);
    unfinished.delete(staging);
  }
}

/** In one go, so that no signal is handled between two of them. */
async function moveAll(moves: readonly { from: string; to: string }[]): Promise<void> {
  for (const { from, to } of moves) renameSync(from, to);
}

/**
 * Proves, before a long run, that files can be made in a folder or, where it does not exist yet, that it can be made;
 * leaves nothing behind. Throws NOT_WRITABLE.
 */
export async function checkWritableDirectory(directory: string): Promise<void> {
  let existing = resolve(directory);
  while (!existsSync(existing)) existing = dirname(existing);
  const probe = join(existing, `.probe.${randomBytes(6).toString('hex')}.tmp`);
  const handle = await refusedBy(directory, open(probe, 'wx'));
  await handle.close();
  await rm(probe, { force: true });
}

/** The same for a file; its folder is made. Throws NOT_WRITABLE. */
export async function prepareOutput(path: string): Promise<void> {
  await checkWritableDirectory(dirname(path));
  await resolveTarget(path);
  await refusedBy(path, mkdir(dirname(path), { recursive: true }));
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
    throw new NaanError('NOT_WRITABLE', `${path}: cannot be written: it is ${found}, expected a file name`);
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
    throw new NaanError('NOT_WRITABLE', `${path}: cannot be written: ${reason}`, { cause });
  }
}
