import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { NaanError } from '../errors.js';
import { systemReason } from '../system-error.js';

/** An input as a user names it: a file, or `file:member`, one array of an archive or one column of a table. */
export interface Input {
  readonly path: string;
  readonly member?: string;
}

/** A file may have colons in its own name: the text behind the last one is a member where only the rest is a file. */
export function parseInput(text: string): Input {
  const colon = text.lastIndexOf(':');
  if (colon <= 0 || existsSync(text) || !existsSync(text.slice(0, colon))) return { path: text };
  return { path: text.slice(0, colon), member: text.slice(colon + 1) };
}

/** The text for the standard input, also as `-:NAME` for an array of it; and the file that keeps it. */
const standardInput = '-';
let spooled: string | undefined;

export function isStandardInput(text: string): boolean {
  return text === standardInput || text.startsWith(`${standardInput}:`);
}

/** Says where the standard input is kept as long as it is read; undefined: nowhere any more. */
export function keepStandardInput(path: string | undefined): void {
  spooled = path;
}

/**
 * The inputs that a text names, a name a line: a file, or a pattern such as `part-*.npy` or `part-*.npz:embs`: files of one folder, of
 * which * and ? in the last name stand for any letters, part-2 before part-10. What is no pattern, or the name of a file itself, is one
 * input; `-` is the standard input.
 */
export function expandInput(text: string): string[] {
  if (isStandardInput(text) && spooled !== undefined) return [spooled + text.slice(standardInput.length)];
  if (text.includes('\n') && !existsSync(parseInput(text).path)) return text.split('\n').flatMap(expandInput);
  if (!/[*?]/.test(text) || existsSync(parseInput(text).path)) return [text];
  const whole = matches(text);
  if (whole.length > 0) return whole;
  const colon = text.lastIndexOf(':');
  return colon > 0 ? matches(text.slice(0, colon)).map((path) => `${path}${text.slice(colon)}`) : [];
}

/** The inputs that a text names, at least one. Throws BAD_INPUT for a pattern that no file has. */
export function inputsOf(text: string): string[] {
  const inputs = expandInput(text);
  if (inputs.length === 0) throw new NaanError('BAD_INPUT', `${text}: no file has such a name`);
  return inputs;
}

function matches(pattern: string): string[] {
  const folder = dirname(pattern);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
  const letters = [...basename(pattern)].map((letter) =>
    letter === '*' ? '.*' : letter === '?' ? '.' : letter.replace(/[\\^$.|+()[\]{}]/, '\\$&'),
  );
  const named = new RegExp(`^${letters.join('')}$`, 'su');
  const order = new Intl.Collator('en', { numeric: true });
  // As in a shell, hidden files are named by their dot.
  const names = readdirSync(folder).filter(
    (name) =>
      named.test(name) && (pattern.startsWith('.', pattern.length - basename(pattern).length) || !name.startsWith('.')),
  );
  names.sort((a, b) => order.compare(a, b) || (a < b ? -1 : 1));
  return names.map((name) => (pattern.includes('/') ? join(folder, name) : name));
}

/** Whether two names lead to the same bytes: one file, by whatever path or link, and of it the same member. */
export function isSameInput(a: string, b: string): boolean {
  const [one, other] = [a, b].map((name) => {
    const { path, member } = parseInput(name);
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stats && [stats.dev, stats.ino, member].join(' ');
  });
  return one !== undefined && one === other;
}

/** Size in bytes of a file to be read. Throws BAD_INPUT when there is no such file, or it is not a plain one. */
export function inputSize(path: string): number {
  try {
    const stats = statSync(path);
    if (stats.isFIFO())
      throw new NaanError('BAD_INPUT', `${path}: is a pipe, which is read once: give - and < ${path}`);
    if (!stats.isFile()) throw new NaanError('BAD_INPUT', `${path}: is not a plain file`);
    return stats.size;
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Opens a file for positional reads. The caller closes it. Throws BAD_INPUT. */
export function openInput(path: string): number {
  inputSize(path); // refuses pipes, which would block in open
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** All bytes of a file that is read at once. Throws BAD_INPUT, also for one of more than `most` bytes, by default 2 GiB. */
export async function readWhole(path: string, most = 2 ** 31 - 1): Promise<Buffer> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw new NaanError('BAD_INPUT', `${path}: is not a plain file`);
    if (stats.size > most)
      throw new NaanError('BAD_INPUT', `${path}: has ${stats.size} bytes, expected at most ${most}`);
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Fills `bytes` from a file position; bytes may lie on shared or WebAssembly memory. `name` is for messages. */
export function readFully(fd: number, bytes: Uint8Array, position: number, name: string): void {
  for (let done = 0; done < bytes.length; ) {
    const count = Math.min(bytes.length - done, 2 ** 30);
    const got = readOnce(fd, bytes, done, count, position + done, name);
    if (got === 0) {
      throw new NaanError(
        'BAD_INPUT',
        `${name}: ends at byte ${position + done}, expected ${bytes.length - done} more: it is truncated, or was changed while being read`,
      );
    }
    done += got;
  }
}

/** The first bytes of a file, fewer when it is shorter. */
export function readStart(path: string, count: number): Uint8Array {
  const fd = openInput(path);
  try {
    return readSome(fd, 0, count, path);
  } finally {
    closeSync(fd);
  }
}

/** Up to `count` bytes from a file position, fewer where the file ends. */
export function readSome(fd: number, position: number, count: number, name: string): Uint8Array {
  const bytes = new Uint8Array(count);
  let length = 0;
  for (let got = -1; got !== 0 && length < count; length += got) {
    got = readOnce(fd, bytes, length, count - length, position + length, name);
  }
  return bytes.subarray(0, length);
}

/** An error of the operating system as BAD_INPUT that names the file; other errors as they are. */
export function unreadable(name: string, error: unknown): unknown {
  const reason = systemReason(error);
  return reason === undefined
    ? error
    : new NaanError('BAD_INPUT', `${name}: cannot be read: ${reason}`, { cause: error });
}

function readOnce(fd: number, bytes: Uint8Array, start: number, count: number, position: number, name: string): number {
  try {
    return readSync(fd, bytes, start, count, position);
  } catch (error) {
    throw unreadable(name, error);
  }
}
