/** NumPy arrays out: `.npy` files and stored `.npz` archives, in C order and little-endian, rows appended as they come. */
import { crc32 } from '../checksum.js';
import { writeOutput } from './output-file.js';
import { localHeader, uint32, type ZipMember, zipDirectory } from './zip-writer.js';

/** `i8` is written from int32 values. */
export type NpyType = 'f4' | 'i4' | 'i8';

/** Appends the next values of an array, in C order and any number at a time. The view may lie on shared memory. */
type Append = (values: Float32Array | Int32Array) => Promise<void>;

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
    await file.write(zipDirectory(members, file.length));
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
