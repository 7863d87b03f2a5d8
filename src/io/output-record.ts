/**
 * What naan wrote into a folder: run.json lists name, size and SHA-256 of each file of the result beside it. Labels that
 * somebody edited, or put there under the same name, do not match the list and are not ours to replace.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { NaanError } from '../errors.js';
import { systemReason } from '../system-error.js';
import { parseJsonObject } from './json.js';

/** A file as naan wrote it. */
export interface WrittenFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What run.json holds of it. */
export interface OutputRecord {
  /** The files of this result, and those that other runs left in the folder. */
  readonly outputs: readonly WrittenFile[];
  /** Files of the result before that these replace: a crash between two renames leaves some of them. */
  readonly replaced: readonly WrittenFile[];
}

export const recordName = 'run.json';
const maxRecordBytes = 2 ** 26;

/** Describes files that were just written to `folder`, to be recorded beside those that `record` lists. */
export async function recordOutputs(
  folder: string,
  names: readonly string[],
  { outputs, replaced }: OutputRecord,
): Promise<OutputRecord> {
  const written: WrittenFile[] = [];
  for (const name of names) written.push(await describeFile(join(folder, name)));
  const isNew = ({ name }: WrittenFile) => names.includes(name);
  return {
    outputs: [...written, ...outputs.filter((file) => !isNew(file))],
    replaced: [...outputs, ...replaced].filter(isNew).slice(0, 2 * names.length),
  };
}

/** What run.json of a folder holds; undefined where there is none that can be read. */
export function readRun(folder: string): Record<string, unknown> | undefined {
  return parseJsonObject(readText(join(folder, recordName)));
}

/** The record in a folder, empty where there is none. */
export function readRecord(folder: string): OutputRecord {
  const run = readRun(folder);
  return { outputs: filesIn(run?.outputs), replaced: filesIn(run?.replaced) };
}

/** Whether the file at `path` is as naan wrote it, by the record beside it. */
export async function isRecorded(path: string): Promise<boolean> {
  const { outputs, replaced } = readRecord(dirname(path));
  const bytes = statSync(path).size;
  const candidates = [...outputs, ...replaced].filter((file) => file.name === basename(path) && file.bytes === bytes);
  if (candidates.length === 0) return false;
  const { sha256 } = await describeFile(path);
  return candidates.some((file) => file.sha256 === sha256);
}

async function describeFile(path: string): Promise<WrittenFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch (cause) {
    const reason = systemReason(cause);
    if (reason === undefined) throw cause;
    throw new NaanError('NOT_WRITABLE', `${path}: cannot be read to be replaced: ${reason}`, { cause });
  }
  return { name: basename(path), bytes, sha256: hash.digest('hex') };
}

/** Empty for what cannot be read, is no plain file, or is far longer than any record. */
function readText(path: string): string {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= maxRecordBytes ? readFileSync(path, 'utf8') : '';
  } catch {
    return '';
  }
}

/** The longest name that file systems take. */
const longestName = 255;

function filesIn(list: unknown): WrittenFile[] {
  // A plain name: whoever follows it stays in the folder.
  const isPlain = (name: unknown) =>
    typeof name === 'string' && name.length <= longestName && !['', '.', '..'].includes(name) && !/[/\\\0]/.test(name);
  return Array.isArray(list) ? list.filter((file) => isPlain(file?.name)) : [];
}
