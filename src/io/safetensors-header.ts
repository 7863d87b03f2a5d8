/**
 * Header of a safetensors file: the length of a JSON text (uint64, little-endian), then the text. It maps a name to dtype,
 * shape and [begin, end) within the bytes that follow; `__metadata__` holds text by key.
 * Format: https://github.com/huggingface/safetensors, README, "Format".
 */
import { closeSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { inputSize, openInput, readFully } from './input-file.js';
import { isObject, parseJsonObject } from './json.js';
import { quoted } from './messages.js';

export const metadataKey = '__metadata__';
/** The format allows 100 MB; headers of models take some kilobytes, that of a long training's checkpoint some hundred. */
const maxHeaderBytes = 2 ** 24;

const maxAxes = 64;

/** Whether a file that starts with these 16 bytes is one: they hold the upper half of a length, which is 0, and a brace. */
export function isSafetensors(start: Uint8Array): boolean {
  const header = start[8] === 0x7b; // {
  return header && start.subarray(4, 8).every((byte) => byte === 0);
}

/** The place and shape of a tensor, whatever its elements are. */
export interface Entry {
  readonly dtype: unknown;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

interface Header {
  /** Position of the bytes that offsets count from. */
  readonly dataStart: number;
  readonly metadata: Map<string, string>;
  readonly tensors: Map<string, Entry>;
}

/** Reads the header of a file. Throws BAD_INPUT. */
export function readHeader(path: string): Header {
  return withInput(path, (fd) => parseHeader(fd, inputSize(path), path));
}

/** Opens a file for as long as `read` takes. */
export function withInput<T>(path: string, read: (fd: number) => T): T {
  const fd = openInput(path);
  try {
    return read(fd);
  } finally {
    closeSync(fd);
  }
}

function parseHeader(fd: number, size: number, path: string): Header {
  const bad = (what: string) => new NaanError('BAD_INPUT', `${path}: is not a safetensors file: ${what}`);
  if (size < 8) throw bad(`it has ${size} bytes`);
  const lengthBytes = Buffer.alloc(8);
  readFully(fd, lengthBytes, 0, path);
  const length = Number(lengthBytes.readBigUInt64LE());
  if (length > maxHeaderBytes) throw bad(`its header would take ${length} bytes, expected at most ${maxHeaderBytes}`);
  if (8 + length > size) throw bad(`its header ends at byte ${8 + length}, the file at ${size}`);
  const text = Buffer.alloc(length);
  readFully(fd, text, 8, path);
  const parsed = parseJsonObject(text.toString('utf8'));
  if (!parsed) throw bad('its header is not a JSON object of a few levels');

  const metadata = new Map<string, string>();
  for (const [key, value] of Object.entries(isObject(parsed[metadataKey]) ? parsed[metadataKey] : {})) {
    metadata.set(key, typeof value === 'string' ? value : JSON.stringify(value));
  }
  const entries: [name: string, entry: Entry][] = [];
  for (const [name, value] of Object.entries(parsed)) {
    if (name !== metadataKey) entries.push([name, parseEntry(name, value, size - 8 - length, path)]);
  }
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (let i = 1; i < entries.length; i++) {
    const [[before, { end }], [name, { begin }]] = [entries[i - 1], entries[i]];
    if (begin < end) throw bad(`tensors ${quoted(before)} and ${quoted(name)} overlap`);
  }
  return { dataStart: 8 + length, metadata, tensors: new Map(entries) };
}

function parseEntry(name: string, value: unknown, dataBytes: number, path: string): Entry {
  const bad = (what: string) => new NaanError('BAD_INPUT', `${path}: tensor ${quoted(name)}: ${what}`);
  if (!isObject(value)) throw bad('its description is not an object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSizes(shape) || shape.length > maxAxes) throw bad(`its shape is not a list of sizes, ${maxAxes} at most`);
  if (!isSizes(offsets) || offsets.length !== 2) throw bad('its data_offsets are not two offsets');
  const [begin, end] = offsets;
  if (begin > end || end > dataBytes) throw bad(`bytes ${begin} to ${end} are outside the ${dataBytes} of the file`);
  return { dtype, shape, begin, end };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
