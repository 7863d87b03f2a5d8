/** NumPy arrays out: `.npy` files and stored `.npz` archives, in C order and little-endian, rows appended as they come. */
import { crc32 } from './crc32.js';
import type { OutputFile } from './output-file.js';
import { writeOutput } from './output-file.js';

/** `i8` is written from int32 values. */
export type NpyType = 'f4' | 'i4' | 'i8';

/** Appends the next values of an array, in C order and any number at a time. The view may lie on shared memory. */
export type Append = (values: Float32Array | Int32Array) => Promise<void>;

/** What to put in an array: all values at once, or a function that appends them. */
export type NpyContent = Float32Array | Int32Array | ((append: Append) => Promise<void>);

/** Adds one array to an archive; arrays follow one another. */
export type AddMember = (name: string, type: NpyType, shape: readonly number[], content: NpyContent) => Promise<void>;

/** Writes a `.npy` file of the given type and shape. Throws NOT_WRITABLE. */
export async function writeNpy(
  path: string,
  type: NpyType,
  shape: readonly number[],
  content: NpyContent,
): Promise<void> {
  await writeOutput(path, (file) => writeArray(type, shape, content, (bytes) => file.write(bytes)));
}

/**
 * Writes an `.npz` archive that NumPy loads: stored members, ZIP64 fields where a size or an offset needs them.
 *
 *     await writeNpz(path, async (add) => {
 *       await add('embs', 'f4', [n, d], async (append) => { for (const tile of tiles) await append(tile); });
 *       await add('labels', 'i8', [n], labels);
 *     });
 */
export async function writeNpz(path: string, fill: (add: AddMember) => Promise<void>): Promise<void> {
  await writeOutput(path, async (file) => {
    const members: ZipMember[] = [];
    await fill(async (name, type, shape, content) => {
      const size = npyHeader(type, shape).length + elementCount(shape) * (type === 'i8' ? 8 : 4);
      const member: ZipMember = { name: `${name}.npy`, size, offset: file.length, crc32: 0 };
      await file.write(localHeader(member));
      await writeArray(type, shape, content, async (bytes) => {
        member.crc32 = crc32(bytes, member.crc32);
        await file.write(bytes);
      });
      await file.writeAt(uint32(member.crc32), member.offset + 14);
      members.push(member);
    });
    await writeDirectory(file, members);
  });
}

type WriteBytes = (bytes: Uint8Array) => Promise<void>;

async function writeArray(
  type: NpyType,
  shape: readonly number[],
  content: NpyContent,
  write: WriteBytes,
): Promise<void> {
  const expected = elementCount(shape);
  let appended = 0;
  const append: Append = async (values) => {
    appended += values.length;
    if (appended > expected) return;
    if (type === 'i8') await writeInt64(values, write);
    else await write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  };
  await write(npyHeader(type, shape));
  if (typeof content === 'function') await content(append);
  else await append(content);
  if (appended !== expected) throw new RangeError(`${appended} values for an array of shape [${shape}]`);
}

/** A signed 64-bit value is its low word and the sign spread over the high word. */
async function writeInt64(values: Float32Array | Int32Array, write: WriteBytes): Promise<void> {
  const words = new Int32Array(2 * Math.min(values.length, 2 ** 19));
  for (let start = 0; start < values.length; start += words.length / 2) {
    const count = Math.min(values.length - start, words.length / 2);
    for (let i = 0; i < count; i++) {
      words[2 * i] = values[start + i];
      words[2 * i + 1] = values[start + i] >> 31;
    }
    await write(new Uint8Array(words.buffer, 0, 8 * count));
  }
}

/** Format version 1.0, padded so that the data starts at a multiple of 64. */
function npyHeader(type: NpyType, shape: readonly number[]): Buffer {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '<${type}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = Buffer.alloc(length, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(length - 10, 8);
  header.write(text, 10);
  header[length - 1] = 0x0a;
  return header;
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

interface ZipMember {
  readonly name: string;
  readonly size: number;
  readonly offset: number;
  crc32: number;
}

const limit32 = 0xffffffff;
/** 1980-01-01 00:00, the first date ZIP knows: the same arrays give the same bytes. */
const dosDate = 0x0021;

/** Fields shared by the local and the central header, from "version needed" to "extra field length". */
function commonFields(member: ZipMember, extraBytes: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(extraBytes > 0 ? 45 : 20, 0);
  fields.writeUInt16LE(0x0800, 2); // names are UTF-8
  fields.writeUInt16LE(dosDate, 8);
  fields.writeUInt32LE(member.crc32, 10);
  fields.writeUInt32LE(Math.min(member.size, limit32), 14);
  fields.writeUInt32LE(Math.min(member.size, limit32), 18);
  fields.writeUInt16LE(Buffer.byteLength(member.name), 22);
  fields.writeUInt16LE(extraBytes, 24);
  return fields;
}

/** ZIP64 extra field: the values that do not fit their 32 bits, in this order: size twice, offset. */
function zip64Extra(values: readonly number[]): Buffer {
  if (values.length === 0) return Buffer.alloc(0);
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return extra;
}

function localHeader(member: ZipMember): Buffer {
  const extra = zip64Extra(member.size >= limit32 ? [member.size, member.size] : []);
  return Buffer.concat([uint32(0x04034b50), commonFields(member, extra.length), Buffer.from(member.name), extra]);
}

function centralHeader(member: ZipMember): Buffer {
  const large = member.size >= limit32 ? [member.size, member.size] : [];
  const extra = zip64Extra(member.offset >= limit32 ? [...large, member.offset] : large);
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(0o100644 * 2 ** 16, 6); // a plain file, as unzip tools on Unix show it
  tail.writeUInt32LE(Math.min(member.offset, limit32), 10);
  const madeBy = Buffer.from([45, 3]);
  return Buffer.concat([
    uint32(0x02014b50),
    madeBy,
    commonFields(member, extra.length),
    tail,
    Buffer.from(member.name),
    extra,
  ]);
}

async function writeDirectory(file: OutputFile, members: readonly ZipMember[]): Promise<void> {
  const start = file.length;
  for (const member of members) await file.write(centralHeader(member));
  const size = file.length - start;
  if (start >= limit32 || members.length >= 0xffff) {
    const record = Buffer.alloc(76);
    record.writeUInt32LE(0x06064b50, 0);
    record.writeBigUInt64LE(44n, 4);
    record.writeUInt16LE(45, 12);
    record.writeUInt16LE(45, 14);
    record.writeBigUInt64LE(BigInt(members.length), 24);
    record.writeBigUInt64LE(BigInt(members.length), 32);
    record.writeBigUInt64LE(BigInt(size), 40);
    record.writeBigUInt64LE(BigInt(start), 48);
    record.writeUInt32LE(0x07064b50, 56);
    record.writeBigUInt64LE(BigInt(file.length), 64);
    record.writeUInt32LE(1, 72);
    await file.write(record);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(members.length, 0xffff), 8);
  end.writeUInt16LE(Math.min(members.length, 0xffff), 10);
  end.writeUInt32LE(Math.min(size, limit32), 12);
  end.writeUInt32LE(Math.min(start, limit32), 16);
  await file.write(end);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
