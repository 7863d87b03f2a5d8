/**
 * Safetensors files: the length of a JSON header (uint64), the header, then the tensors' bytes, little-endian and
 * row-major. The header maps a name to dtype, shape and [begin, end) within the bytes; `__metadata__` holds text by key.
 * Format: https://github.com/huggingface/safetensors, README, "Format".
 */
import { closeSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { refuseForeign } from './formats/formats.js';
import { inputSize, openInput, readFully, readStart } from './input-file.js';
import { quoted } from './messages.js';
import { type FloatType, float32Decoder, itemBytes } from './numbers.js';
import { writeOutput } from './output-file.js';
import { pickleStart } from './unpickle.js';
import { isZip } from './zip.js';

export interface TensorFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

/** A file of which the header has been read. */
export interface TensorHeader {
  /** What is no text in the file is text here, as JSON writes it. */
  readonly metadata: ReadonlyMap<string, string>;
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** Reads tensors by name; F16, BF16 and F64 become float32. Throws BAD_INPUT, also for a tensor of other elements. */
  read(names: Iterable<string>): TensorFile['tensors'];
}

const metadataKey = '__metadata__';
/** The format allows 100 MB; headers of models take some kilobytes, that of a long training's checkpoint some hundred. */
const mostHeaderBytes = 2 ** 24;
const floatTypes: ReadonlyMap<unknown, FloatType | 'bf16'> = new Map([
  ['F16', 'f2'],
  ['BF16', 'bf16'],
  ['F32', 'f4'],
  ['F64', 'f8'],
]);

/** Whether a file that starts with these 16 bytes is one: they hold the upper half of a length, which is 0, and a brace. */
export function isSafetensors(start: Uint8Array): boolean {
  const header = start[8] === 0x7b; // {
  return header && start.subarray(4, 8).every((byte) => byte === 0);
}

/** Writes tensors as F32. Throws NOT_WRITABLE. */
export async function writeSafetensors(path: string, { metadata, tensors }: TensorFile): Promise<void> {
  const header: Record<string, unknown> = { [metadataKey]: Object.fromEntries(metadata) };
  let end = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(text.length / 8) * 8, ' '); // so that tensors are aligned when mapped
  text.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  await writeOutput(path, async (file) => {
    await file.write(length);
    await file.write(padded);
    for (const { data } of tensors.values()) await file.write(data);
  });
}

/** Reads the header alone, so that a file can be refused before its tensors take memory. Throws BAD_INPUT. */
export function openSafetensors(path: string): TensorHeader {
  const size = inputSize(path);
  refuseOthers(path);
  const { dataStart, metadata, tensors } = withInput(path, (fd) => readHeader(fd, size, path));
  return {
    metadata,
    tensors,
    read: (names) => withInput(path, (fd) => readTensors(fd, dataStart, tensors, names, path)),
  };
}

/** A header's length may start with the bytes of another kind of file, so those are looked at last. */
function refuseOthers(path: string): void {
  const start = readStart(path, 16);
  if (isSafetensors(start)) return;
  if (isZip(start) || start[0] === pickleStart) {
    const advice = 'of a checkpoint of torch.save make one with naan import-model';
    throw new NaanError('BAD_INPUT', `${path}: is not a safetensors file: ${advice}`);
  }
  refuseForeign(path, 'a safetensors file');
}

/** Reads all tensors. Throws BAD_INPUT. */
export function readSafetensors(path: string): TensorFile {
  const { metadata, tensors, read } = openSafetensors(path);
  return { metadata, tensors: read(tensors.keys()) };
}

function withInput<T>(path: string, read: (fd: number) => T): T {
  const fd = openInput(path);
  try {
    return read(fd);
  } finally {
    closeSync(fd);
  }
}

interface Entry {
  readonly dtype: unknown;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readTensors(
  fd: number,
  dataStart: number,
  entries: ReadonlyMap<string, Entry>,
  names: Iterable<string>,
  path: string,
): TensorFile['tensors'] {
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const name of names) {
    const bad = (what: string) => new NaanError('BAD_INPUT', `${path}: tensor ${quoted(name)}: ${what}`);
    const entry = entries.get(name);
    if (entry === undefined) throw bad('is missing');
    const { dtype, shape, begin, end } = entry;
    const type = floatTypes.get(dtype);
    if (type === undefined) {
      const got = typeof dtype === 'string' ? quoted(dtype) : 'missing';
      throw bad(`dtype ${got}, expected ${[...floatTypes.keys()].join(', ')}`);
    }
    const needed = shape.reduce((product, size) => product * size, itemBytes(type));
    if (end - begin !== needed) throw bad(`${end - begin} bytes, expected ${needed} for shape [${shape.join(' × ')}]`);
    const bytes = new Uint8Array(end - begin);
    readFully(fd, bytes, dataStart + begin, `${path}: tensor ${quoted(name)}`);
    const data = new Float32Array(bytes.length / itemBytes(type));
    float32Decoder(type, bytes.buffer)(0, data.length, data, 0, 1);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

interface Header {
  readonly dataStart: number;
  readonly metadata: Map<string, string>;
  readonly tensors: Map<string, Entry>;
}

function readHeader(fd: number, size: number, path: string): Header {
  const bad = (what: string) => new NaanError('BAD_INPUT', `${path}: is not a safetensors file: ${what}`);
  if (size < 8) throw bad(`it has ${size} bytes`);
  const lengthBytes = Buffer.alloc(8);
  readFully(fd, lengthBytes, 0, path);
  const length = Number(lengthBytes.readBigUInt64LE());
  if (length > mostHeaderBytes) throw bad(`its header would take ${length} bytes, expected at most ${mostHeaderBytes}`);
  if (8 + length > size) throw bad(`its header ends at byte ${8 + length}, the file at ${size}`);
  const text = Buffer.alloc(length);
  readFully(fd, text, 8, path);
  const parsed = parseObject(text.toString('utf8'));
  if (!parsed) throw bad('its header is not a JSON object');

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
  if (!isSizes(shape)) throw bad('its shape is not a list of sizes');
  if (!isSizes(offsets) || offsets.length !== 2) throw bad('its data_offsets are not two offsets');
  const [begin, end] = offsets;
  if (begin > end || end > dataBytes) throw bad(`bytes ${begin} to ${end} are outside the ${dataBytes} of the file`);
  return { dtype, shape, begin, end };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
