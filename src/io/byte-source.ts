/**
 * A run of bytes in a file: a whole file, or one member of an archive, as it lies there or deflated.
 * Reading front to back is the same for both; only bytes that lie as they are can be read at any place.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { crc32 } from '../checksum.js';
import { NaanError } from '../errors.js';
import { inputSize, unreadable } from './input-file.js';

export interface ByteSource {
  readonly path: string;
  /** The name in messages: the path, and the member of an archive. */
  readonly name: string;
  /** Position of the first byte in the file. */
  readonly offset: number;
  /** Bytes there are, once inflated. */
  readonly length: number;
  /** Bytes they take in the file when deflated; absent when they lie as they are. */
  readonly deflatedLength?: number;
  /** Checksum an archive holds. */
  readonly crc32?: number;
}

export function wholeFile(path: string): ByteSource {
  return { path, name: path, offset: 0, length: inputSize(path) };
}

/** The first bytes of a source, fewer when it is shorter. */
export async function readHead(source: ByteSource, count: number): Promise<Uint8Array> {
  for await (const window of windows(source, 0, count)) return window;
  return new Uint8Array(0);
}

/** All bytes of a small source. Throws BAD_INPUT when it has more than `limit`. */
export async function readAll(source: ByteSource, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  if (source.length > limit) {
    throw new NaanError('BAD_INPUT', `${source.name}: ${source.length} bytes, expected at most ${limit}`);
  }
  const bytes = new Uint8Array(source.length);
  await readWindows(source, 0, 2 ** 20, (window, start) => bytes.set(window, start));
  return bytes;
}

/**
 * Reads a source front to back. After `skip` bytes, `visit` gets windows of `windowBytes` bytes (the last may be
 * shorter), always in the same buffer from its byte 0, and is waited for; `start` counts from the end of the skipped bytes.
 * Throws BAD_INPUT when the bytes end early, do not inflate, or do not match their checksum.
 */
export async function readWindows(
  source: ByteSource,
  skip: number,
  windowBytes: number,
  visit: (window: Uint8Array<ArrayBuffer>, start: number) => void | Promise<void>,
): Promise<void> {
  let checksum = source.crc32 === undefined ? undefined : crc32(await readHead(source, skip));
  let start = 0;
  for await (const window of windows(source, skip, windowBytes)) {
    if (checksum !== undefined) checksum = crc32(window, checksum);
    await visit(window, start);
    start += window.length;
  }
  if (checksum !== source.crc32) throw damaged(source, 'its bytes do not match their checksum');
}

/** The bytes behind `skip`, window by window as `readWindows` has them, but without a look at their checksum. */
export async function* windows(
  source: ByteSource,
  skip: number,
  windowBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const left = source.length - skip;
  if (left <= 0) return;
  const buffer = new Uint8Array(Math.min(windowBytes, left));
  try {
    if (source.deflatedLength === undefined) yield* storedWindows(source, skip, buffer);
    else yield* inflatedWindows(source, source.deflatedLength, skip, buffer);
  } catch (error) {
    throw unreadable(source.name, error);
  }
}

async function* storedWindows(
  source: ByteSource,
  skip: number,
  buffer: Uint8Array<ArrayBuffer>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const file = await open(source.path, 'r');
  try {
    for (let at = skip; at < source.length; at += buffer.length) {
      const size = Math.min(buffer.length, source.length - at);
      for (let filled = 0; filled < size; ) {
        const { bytesRead } = await file.read(buffer, filled, size - filled, source.offset + at + filled);
        if (bytesRead === 0) throw damaged(source, `it ends at byte ${at + filled} of ${source.length}`);
        filled += bytesRead;
      }
      yield buffer.subarray(0, size);
    }
  } finally {
    await file.close();
  }
}

async function* inflatedWindows(
  source: ByteSource,
  deflatedLength: number,
  skip: number,
  buffer: Uint8Array<ArrayBuffer>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const end = source.offset + deflatedLength - 1;
  const deflated = createReadStream(source.path, { start: source.offset, end, highWaterMark: 2 ** 18 });
  // Errors reach the loop below through the last stream; pipeline itself only has to close the first.
  const inflated = pipeline(deflated, createInflateRaw({ chunkSize: 2 ** 18 }), () => undefined);
  let at = 0;
  let filled = 0;
  try {
    for await (const chunk of inflated as AsyncIterable<Uint8Array>) {
      if (at + chunk.length > source.length) throw damaged(source, `it inflates to more than ${source.length} bytes`);
      for (let used = Math.min(chunk.length, Math.max(0, skip - at)); used < chunk.length; ) {
        const count = Math.min(chunk.length - used, buffer.length - filled);
        buffer.set(chunk.subarray(used, used + count), filled);
        used += count;
        filled += count;
        if (filled < buffer.length) continue;
        yield buffer;
        filled = 0;
      }
      at += chunk.length;
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) {
      throw damaged(source, `it does not inflate: ${error.message}`);
    }
    throw error;
  }
  if (at < source.length) throw damaged(source, `it inflates to ${at} bytes, expected ${source.length}`);
  if (filled > 0) yield buffer.subarray(0, filled);
}

function damaged(source: ByteSource, what: string): NaanError {
  return new NaanError('BAD_INPUT', `${source.name}: ${what}: the file is damaged or truncated`);
}
