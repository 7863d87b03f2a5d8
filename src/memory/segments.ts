/**
 * Files that are written once, for folders that machines share: what a task leaves of one array. A segment has a name that
 * never comes again and is not opened by others before somebody names it, so no cache of a network file system can hold an
 * older state of it, and nothing depends on locks or renaming.
 *
 * A head of 256 bytes, then the bytes. The head is written last: a segment that a crash has cut has none.
 *
 *   0    "naan seg"
 *   8    uint32 CRC-32 of the head from byte 12 on
 *   12   uint32 CRC-32 of the bytes
 *   16   uint64 how many bytes
 *   24   its own name, then zeros
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { crc32 } from '../checksum.js';
import { NaanError } from '../errors.js';
import { mayPass, systemReason } from '../system-error.js';
import type { RangeCheck } from './file-writes.js';
import type { RowStore } from './row-store.js';

const magic = Buffer.from('naan seg', 'latin1');
const headBytes = 256;
const windowBytes = 2 ** 20;
const manifestName = /^[A-Za-z]+-\d{1,9}\.\d{1,9}\.[0-9a-f]{32}\.manifest$/;
const segmentName = /^[A-Za-z]+-\d{1,9}-\d{1,9}\.[0-9a-f]{32}\.[A-Za-z0-9]+\.(rows|column)$/;
/** A name that another machine has just made may take so long to be seen here. */
export const patienceMs = 90_000;
const lookMs = 250;
/** Files that a thread keeps open. */
const maxOpen = 128;

/** Whether `name` is one that segments have. */
export function isSegment(name: string): boolean {
  return segmentName.test(name);
}

/** Whether `name` is one that lists of segments have, one for all shards of a stage. */
export function isManifest(name: string): boolean {
  return manifestName.test(name);
}

/** The array that a segment is a part of, such as `scores.column`. */
export function arrayOf(segment: string): string {
  return segment.split('.').slice(-2).join('.');
}

/** The segments that one task at a time leaves in a folder, one for each array that it appends to. */
export class TaskSegments {
  private readonly open = new Map<string, SegmentWriter>();
  private prefix = '';

  constructor(private readonly folder: string) {}

  /** A task begins. What one before left unfinished is removed. */
  begin(task: string): void {
    this.abandon();
    this.prefix = `${task}.${randomBytes(16).toString('hex')}`;
  }

  /** Bytes that follow those appended to the array before. Throws NOT_WRITABLE. */
  append(array: string, bytes: Uint8Array): void {
    let writer = this.open.get(array);
    if (writer === undefined) {
      writer = new SegmentWriter(join(this.folder, `${this.prefix}.${array}`));
      this.open.set(array, writer);
    }
    writer.append(bytes);
  }

  /** Resolves what the task has left; by then its bytes are on the disk. Throws NOT_WRITABLE. */
  taken(): RangeCheck[] {
    const checks: RangeCheck[] = [];
    for (const [array, writer] of this.open) {
      checks.push(writer.finish());
      this.open.delete(array);
    }
    return checks;
  }

  abandon(): void {
    for (const writer of this.open.values()) writer.abandon();
    this.open.clear();
  }
}

class SegmentWriter {
  private readonly fd: number;
  private closed = false;
  private length = 0;
  private crc = 0;

  constructor(private readonly path: string) {
    this.fd = written(path, () => openSync(path, 'wx'));
  }

  append(bytes: Uint8Array): void {
    this.write(bytes, headBytes + this.length);
    this.crc = crc32(bytes, this.crc);
    this.length += bytes.length;
  }

  finish(): RangeCheck {
    const { path, length, crc } = this;
    this.write(headOf(basename(path), length, crc), 0);
    written(path, () => fsyncSync(this.fd));
    written(path, () => this.close());
    return { file: basename(path), start: headBytes, length, crc };
  }

  /** Storage that is away keeps a file that nobody will name. */
  abandon(): void {
    for (const end of [() => this.close(), () => rmSync(this.path, { force: true })]) {
      try {
        end();
      } catch (error) {
        if (systemReason(error) === undefined) throw error;
      }
    }
  }

  /** Once: a number that was closed, even in vain, is soon another file's. */
  private close(): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.fd);
  }

  private write(bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.length; ) {
      done += written(this.path, () => writeSync(this.fd, bytes, done, bytes.length - done, position + done));
    }
  }
}

function headOf(name: string, length: number, crc: number): Buffer {
  const head = Buffer.alloc(headBytes);
  magic.copy(head);
  head.writeUInt32LE(crc, 12);
  head.writeBigUInt64LE(BigInt(length), 16);
  head.write(name, 24, 'latin1');
  head.writeUInt32LE(crc32(head.subarray(12)), 8);
  return head;
}

/**
 * Opens a segment and looks at its head and size. The caller closes it. Throws BAD_INPUT when it is not the one that was
 * written, or does not appear.
 */
function openSegment(folder: string, { file, length, crc }: RangeCheck): number {
  const path = join(folder, file);
  const fd = openPatiently(path);
  try {
    if (fstatSync(fd).size !== headBytes + length) throw damaged(path);
    const head = Buffer.alloc(headBytes);
    readAt(fd, head, 0, headBytes, 0, path);
    if (!head.equals(headOf(basename(file), length, crc))) throw damaged(path);
    return fd;
  } catch (error) {
    closeRead(fd);
    throw error;
  }
}

/** Reads all of a segment, to use it later. Throws BAD_INPUT when its bytes are not as they were written. */
export function checkSegment(folder: string, check: RangeCheck): void {
  const path = join(folder, check.file);
  const fd = openSegment(folder, check);
  try {
    const window = Buffer.allocUnsafe(Math.min(windowBytes, check.length));
    let crc = 0;
    for (let done = 0; done < check.length; ) {
      const count = Math.min(window.length, check.length - done);
      readAt(fd, window, 0, count, headBytes + done, path);
      crc = crc32(window.subarray(0, count), crc);
      done += count;
    }
    if (crc !== check.crc) throw damaged(path);
  } finally {
    closeRead(fd);
  }
}

/** True when a segment is there with its head and in its size, as far as can be told without reading it. */
export function isWholeSegment(folder: string, check: RangeCheck): boolean {
  try {
    closeRead(openSegment(folder, check));
    return true;
  } catch (error) {
    if (error instanceof NaanError) return false;
    throw error;
  }
}

/** Fills `pieces`, one after the other, with all of a segment. Throws BAD_INPUT when its bytes are not as they were written. */
export function readSegment(folder: string, check: RangeCheck, ...pieces: readonly Uint8Array[]): void {
  const path = join(folder, check.file);
  if (check.length !== pieces.reduce((sum, { length }) => sum + length, 0)) throw damaged(path);
  const fd = openSegment(folder, check);
  try {
    let [crc, position] = [0, headBytes];
    for (const piece of pieces) {
      readAt(fd, piece, 0, piece.length, position, path);
      crc = crc32(piece, crc);
      position += piece.length;
    }
    if (crc !== check.crc) throw damaged(path);
  } finally {
    closeRead(fd);
  }
}

/** An index of the rows that tasks have left: shard s has the rows starts[s] .. starts[s + 1] − 1. */
export interface SegmentIndex {
  readonly folder: string;
  /** Segments by shard; a shard without rows has none. */
  readonly segments: readonly (RangeCheck | undefined)[];
  readonly starts: readonly number[];
  /** The number under which shards count each row, where it is not its own. */
  readonly order?: Int32Array | undefined;
}

/** Rows of 32-bit words in segments, to be read. */
export class SegmentRows implements RowStore {
  /** Open files by shard, the one used last at the end. */
  private readonly files = new Map<number, number>();

  constructor(
    private readonly index: SegmentIndex,
    readonly rowCount: number,
    readonly dim: number,
  ) {}

  gather(ids: Int32Array, count: number, out: Float32Array, columns: number = this.dim): void {
    const { order, starts, segments } = this.index;
    const bytes = new Uint8Array(out.buffer, out.byteOffset, count * columns * 4);
    for (let i = 0; i < count; ) {
      const row = order ? order[ids[i]] : ids[i];
      const shard = shardOf(starts, row);
      const [first, end] = [starts[shard], starts[shard + 1]];
      const segment = segments[shard];
      if (segment === undefined) throw new Error(`no segment holds row ${row}`);
      const rowBytes = segment.length / (end - first);
      if (rowBytes % 4 !== 0) throw damaged(segment.file);
      let run = 1;
      if (columns * 4 === rowBytes) {
        while (i + run < count && row + run < end && (order ? order[ids[i + run]] : ids[i + run]) === row + run) run++;
      } else if (columns * 4 > rowBytes) throw new Error(`${segment.file}: has rows of ${rowBytes} bytes`);
      const fd = this.fileOf(shard);
      readAt(fd, bytes, i * columns * 4, run * columns * 4, headBytes + (row - first) * rowBytes, segment.file);
      i += run;
    }
  }

  scatter(): void {
    throw new Error('segments are written once');
  }

  close(): void {
    for (const fd of this.files.values()) closeRead(fd);
    this.files.clear();
  }

  private fileOf(shard: number): number {
    const { folder, segments } = this.index;
    const fd = this.files.get(shard) ?? openSegment(folder, segments[shard]!);
    this.files.delete(shard);
    this.files.set(shard, fd);
    if (this.files.size > maxOpen) {
      const [oldest] = this.files.keys();
      closeRead(this.files.get(oldest)!);
      this.files.delete(oldest);
    }
    return fd;
  }
}

/** The last shard that starts at a row or before it. */
function shardOf(starts: readonly number[], row: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (starts[middle] <= row) low = middle;
    else high = middle;
  }
  return low;
}

/** Rows that the running task appends to an array, in the order of their numbers. */
export class OutgoingRows implements RowStore {
  constructor(
    private readonly segments: TaskSegments,
    private readonly array: string,
    readonly rowCount: number,
    readonly dim: number,
  ) {}

  gather(): void {
    throw new Error('a task does not read what it leaves');
  }

  scatter(rows: Float32Array, _ids: Int32Array, count: number, columns: number = this.dim): void {
    this.segments.append(this.array, new Uint8Array(rows.buffer, rows.byteOffset, count * columns * 4));
  }

  close(): void {}
}

function openPatiently(path: string): number {
  for (let waited = 0; ; waited += lookMs) {
    try {
      if (!statSync(path).isFile()) throw damaged(path); // a pipe would hold the thread
      return openSync(path, 'r');
    } catch (error) {
      if (!mayPass(error)) throw unreadable(path, error);
      if (waited >= patienceMs) {
        throw new NaanError('BAD_INPUT', `${path}: is not there: do all machines see the same folder?`);
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookMs);
    }
  }
}

/** Closes a file that was only read: an error, of storage that is away, would hide what went before. */
function closeRead(fd: number): void {
  try {
    closeSync(fd);
  } catch (error) {
    if (systemReason(error) === undefined) throw error;
  }
}

function readAt(fd: number, bytes: Uint8Array, start: number, length: number, position: number, name: string): void {
  for (let done = 0; done < length; ) {
    let got: number;
    try {
      got = readSync(fd, bytes, start + done, length - done, position + done);
    } catch (error) {
      throw unreadable(name, error);
    }
    if (got === 0) throw damaged(name);
    done += got;
  }
}

function unreadable(path: string, error: unknown): unknown {
  const reason = systemReason(error);
  if (reason === undefined) return error;
  return new NaanError('BAD_INPUT', `${path}: cannot be read: ${reason}`, { cause: error });
}

function damaged(path: string): NaanError {
  return new NaanError(
    'BAD_INPUT',
    `${path}: is not as it was written: the same command of the rank that wrote it computes it again, its disk may be failing`,
  );
}

function written<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (cause) {
    const reason = systemReason(cause);
    if (reason === undefined) throw cause;
    throw new NaanError('NOT_WRITABLE', `${path}: cannot be written: ${reason}`, { cause });
  }
}
