/**
 * Lists of the segments that the shards of a stage have left, written once and then named to others: the CRC-32 of the rest
 * in hexadecimal on a line of its own, then JSON.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from '../checksum.js';
import type { Stage } from '../engine/head.js';
import type { LeftByShard } from '../engine/spread.js';
import { NaanError } from '../errors.js';
import { unreadable } from '../io/input-file.js';
import { isObject, parseJson } from '../io/json.js';
import { syncFolder } from '../io/sync-folder.js';
import { featureRows, type RangeCheck } from '../memory/file-writes.js';
import { arrayOf, isSegment } from '../memory/segments.js';
import { mayPass, systemReason } from '../system-error.js';
import { version } from '../version.js';

export interface Manifest {
  readonly naan: string;
  /** Values that stored results depend on, by the name of the option or input. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly stage: string;
  readonly round: number;
  readonly left: LeftByShard;
}

/** Writes a manifest, the `number`th of its stage; returns its name. Throws NOT_WRITABLE. */
export async function writeManifest(folder: string, number: number, manifest: Omit<Manifest, 'naan'>): Promise<string> {
  const { stage, round, left } = manifest;
  const name = `${stage}-${round}.${number}.${randomBytes(16).toString('hex')}.manifest`;
  const body = Buffer.from(JSON.stringify({ naan: version, ...manifest, left: [...left] }));
  let file: FileHandle | undefined;
  try {
    file = await open(join(folder, name), 'wx');
    await file.writeFile(Buffer.concat([Buffer.from(`${crc32(body).toString(16)}\n`), body]));
    await file.sync();
    syncFolder(folder);
    return name;
  } catch (cause) {
    const reason = systemReason(cause);
    if (reason === undefined) throw cause;
    throw new NaanError('NOT_WRITABLE', `${join(folder, name)}: cannot be written: ${reason}`, { cause });
  } finally {
    await file?.close().catch(() => undefined); // it has reached the disk, or is refused already
  }
}

/** One of 65,536 shards has a few MiB. */
const mostBytes = 2 ** 27;

/** Undefined when there is none, or it is not whole (yet). */
export async function readManifest(path: string): Promise<Manifest | undefined> {
  let bytes: Buffer;
  try {
    const stats = await stat(path);
    if (!stats.isFile() || stats.size > mostBytes) return undefined;
    bytes = await readFile(path);
  } catch (error) {
    if (mayPass(error)) return undefined;
    throw unreadable(path, error);
  }
  const end = bytes.indexOf('\n');
  const body = bytes.subarray(end + 1);
  if (end < 1 || bytes.toString('latin1', 0, end) !== crc32(body).toString(16)) return undefined;
  const found = parseJson(body.toString());
  if (!isObject(found) || !isObject(found.identity) || !Array.isArray(found.left)) return undefined;
  const left = new Map<number, readonly RangeCheck[]>();
  for (const entry of found.left) {
    if (!Array.isArray(entry) || !isCount(entry[0]) || !Array.isArray(entry[1]) || !entry[1].every(isLeft))
      return undefined;
    left.set(entry[0], entry[1]);
  }
  return { ...found, left } as unknown as Manifest;
}

/** True when a list is of just these shards, and has of each the segments that a task leaves, each array once at most. */
export function listsShards(
  left: LeftByShard,
  { name, round }: Pick<Stage, 'name' | 'round'>,
  shards: readonly number[],
): boolean {
  const isWhole = (index: number) => {
    const segments = left.get(index)?.filter(({ file }) => file !== featureRows);
    const arrays = new Set(segments?.map(({ file }) => arrayOf(file)));
    const prefix = `${name}-${round}-${index}.`;
    return segments?.length === arrays.size && segments.every(({ file }) => file.startsWith(prefix));
  };
  return left.size === shards.length && shards.every(isWhole);
}

/** True for a record of a range that a task has left, with a plain file name that leads to no other folder. */
export function isLeft(check: unknown): check is RangeCheck {
  if (!isObject(check)) return false;
  const { file, start, length, crc } = check;
  return [start, length, crc].every(isCount) && typeof file === 'string' && (file === featureRows || isSegment(file));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Throws BAD_USAGE when two processes would not work on the same run. `who` names the other one. */
export function checkAgrees(who: string, own: Manifest['identity'], other: Pick<Manifest, 'naan' | 'identity'>): void {
  const mine: Record<string, unknown> = { naan: version, ...own };
  const theirs: Record<string, unknown> = { naan: other.naan, ...other.identity };
  for (const name of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const [here, there] = [mine[name], theirs[name]].map((value) => JSON.stringify(value));
    if (here === there) continue;
    const why = name === 'arithmetic' ? ': its processor computes other bits, as naan doctor tells' : '';
    throw new NaanError('BAD_USAGE', `${who}: has ${name} ${there}, here it is ${here}${why}: all must be the same`);
  }
}
