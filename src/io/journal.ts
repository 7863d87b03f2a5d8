/**
 * A file of records that only grows and survives a crash: a signature, then records, each a marker, its length, the CRC-32
 * of length and body (uint32, little-endian) and a body, a JSON array of entries. What is appended at once is one
 * record, and the next is written only when it has reached the disk: a crash can harm the last record alone, whatever
 * order its sectors reach the disk in. So a damaged record that none follows is a torn tail, which does not count;
 * one that others follow is damage.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { crc32 } from '../checksum.js';
import { parseJson } from './json.js';
import { syncFolder } from './sync-folder.js';

const signature = Buffer.from('naan journal 2\r\n', 'latin1');
/** The mark of a record, which is not ASCII, so that a text file holds none. */
const marker = Buffer.from([0x89, 0x6e, 0x6a, 0x1a]);
const headBytes = 12;
/** Some hundred bytes for each of 65,536 shards and ten stages are far fewer. */
const mostBytes = 2 ** 30;

export interface JournalContent<Entry> {
  /**
   * `none`: there is no file. `whole`: apart from a torn tail. `damaged`: at byte `end`, though records follow. `older`:
   * of a version before signatures. `foreign`: something else of that name.
   */
  readonly state: 'none' | 'whole' | 'damaged' | 'older' | 'foreign';
  /** Entries before `end`. */
  readonly entries: readonly Entry[];
  /** The byte at which whole records end. */
  readonly end: number;
}

export class Journal<Entry> {
  private constructor(
    private readonly file: FileHandle,
    private end: number,
  ) {}

  /**
   * A journal of these entries at `path`, in place of one that is there, to be appended to. It is a new file: whoever has
   * the earlier one open cannot write to this one.
   */
  static async create<Entry>(path: string, entries: readonly Entry[]): Promise<Journal<Entry>> {
    const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
    const file = await open(temporary, 'wx+');
    try {
      const journal = new Journal<Entry>(file, 0);
      await journal.write(Buffer.concat([signature, recordOf(entries)]));
      await file.sync();
      await rename(temporary, path);
      syncFolder(dirname(path));
      return journal;
    } catch (error) {
      await file.close();
      await rm(temporary, { force: true });
      throw error;
    }
  }

  /** Resolves when the entries have reached the disk. One call at a time. */
  async append(entries: readonly Entry[]): Promise<void> {
    await this.write(recordOf(entries));
    await this.file.datasync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private async write(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += (await this.file.write(bytes, done, bytes.length - done, this.end + done)).bytesWritten;
    }
    this.end += bytes.length;
  }
}

/** The entries of the journal at `path`: any JSON, for the caller to check. */
export function readJournal<Entry>(path: string): JournalContent<Entry> {
  const bytes = readBytes(path);
  if (bytes === undefined) return { state: 'none', entries: [], end: 0 };
  const signed = bytes.subarray(0, signature.length).equals(signature);
  const entries: Entry[] = [];
  let end = signed ? signature.length : 0;
  for (let record = recordAt(bytes, end); signed && record; record = recordAt(bytes, end)) {
    const body = parseJson(record.toString());
    if (!Array.isArray(body)) break;
    for (const entry of body) entries.push(entry as Entry);
    end += headBytes + record.length;
  }
  const more = hasRecordAfter(bytes, end);
  if (!signed && !more) return { state: isOlder(bytes) ? 'older' : 'foreign', entries, end };
  return { state: more || entries.length === 0 ? 'damaged' : 'whole', entries, end };
}

/** Undefined when there is no such file; no bytes of what is no plain file, or far too long a one. */
function readBytes(path: string): Buffer | undefined {
  let file: number | undefined;
  try {
    // A pipe that nobody writes to would block.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stats = fstatSync(file);
    return stats.isFile() && stats.size <= mostBytes ? readFileSync(file) : Buffer.alloc(0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Whether `name` is a file that a crash in `Journal.create` leaves beside the journal at `path`. */
export function isJournalRemnant(path: string, name: string): boolean {
  const own = basename(path);
  return name.startsWith(`${own}.`) && /^\.[0-9a-f]{16}\.tmp$/.test(name.slice(own.length));
}

function recordOf(entries: readonly unknown[]): Buffer {
  const body = Buffer.from(JSON.stringify(entries));
  const head = Buffer.alloc(headBytes);
  marker.copy(head);
  head.writeUInt32LE(body.length, 4);
  head.writeUInt32LE(crc32(body, crc32(head.subarray(4, 8))), 8);
  return Buffer.concat([head, body]);
}

/** The body of the record at a byte; undefined where there is no whole one. */
function recordAt(bytes: Buffer, at: number): Buffer | undefined {
  const start = at + headBytes;
  if (start > bytes.length || !bytes.subarray(at, at + 4).equals(marker)) return undefined;
  const body = bytes.subarray(start, start + bytes.readUInt32LE(at + 4));
  const whole = body.length > 0 && body.length === bytes.readUInt32LE(at + 4);
  return whole && crc32(body, crc32(bytes.subarray(at + 4, at + 8))) === bytes.readUInt32LE(at + 8) ? body : undefined;
}

function hasRecordAfter(bytes: Buffer, end: number): boolean {
  // A crash tears one record. Of a file full of beginnings each would be summed to its end: that is no crash's work either.
  let left = 4 * bytes.length;
  for (let at = bytes.indexOf(marker, end); at >= 0; at = bytes.indexOf(marker, at + 1)) {
    if (recordAt(bytes, at) || left < 0) return true;
    left -= at + headBytes <= bytes.length ? bytes.readUInt32LE(at + 4) : 0;
  }
  return false;
}

/** Journals began with a record of length, CRC-32 and body, a map that has the key `identity`. */
function isOlder(bytes: Buffer): boolean {
  if (bytes.length < 8) return false;
  const body = bytes.subarray(8, 8 + bytes.readUInt32LE(0));
  return body.length === bytes.readUInt32LE(0) && crc32(body) === bytes.readUInt32LE(4) && body.includes('identity');
}
