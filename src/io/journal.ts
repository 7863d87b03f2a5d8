/**
 * A file of records that only grows and survives a crash: each is its length, its CRC-32 (two uint32, little-endian) and
 * a JSON value. The last record may be torn by a crash; it and what follows it do not count.
 */
import { closeSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from './crc32.js';

const headBytes = 8;

export class Journal<Entry> {
  private constructor(
    private readonly file: FileHandle,
    private end: number,
  ) {}

  /** Opens the journal at `path`, new if there is none, to go on after its last whole record. */
  static async open<Entry>(path: string): Promise<{ journal: Journal<Entry>; entries: Entry[] }> {
    const { entries, end } = readJournal<Entry>(path);
    const file = await open(path, entries.length > 0 ? 'r+' : 'w');
    await file.truncate(end);
    await file.sync();
    syncFolder(dirname(path));
    return { journal: new Journal<Entry>(file, end), entries };
  }

  /** Resolves when the entries have reached the disk. One call at a time. */
  async append(entries: readonly Entry[]): Promise<void> {
    const bytes = Buffer.concat(entries.map(recordOf));
    for (let done = 0; done < bytes.length; ) {
      done += (await this.file.write(bytes, done, bytes.length - done, this.end + done)).bytesWritten;
    }
    this.end += bytes.length;
    await this.file.datasync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

/** The whole records of the journal at `path`, none if there is no file, and the byte at which they end. */
export function readJournal<Entry>(path: string): { entries: Entry[]; end: number } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { entries: [], end: 0 };
    throw error;
  }
  const entries: Entry[] = [];
  let end = 0;
  while (end + headBytes <= bytes.length) {
    const start = end + headBytes;
    const body = bytes.subarray(start, start + bytes.readUInt32LE(end));
    if (start + bytes.readUInt32LE(end) > bytes.length || crc32(body) !== bytes.readUInt32LE(end + 4)) break;
    entries.push(JSON.parse(body.toString()) as Entry);
    end = start + body.length;
  }
  return { entries, end };
}

function recordOf(entry: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(entry));
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(crc32(body), 4);
  return Buffer.concat([head, body]);
}

/** So that the name of a new file survives too. */
function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
