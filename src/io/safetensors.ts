/** Safetensors files: a header (see safetensors-header.ts), then the tensors' bytes, little-endian and row-major. */
import { NaanError } from '../errors.js';
import { refuseForeign } from './formats/formats.js';
import { readFully, readStart } from './input-file.js';
import { quoted } from './messages.js';
import { type FloatType, float32Decoder, itemBytes } from './numbers.js';
import { writeOutput } from './output-file.js';
import { type Entry, isSafetensors, metadataKey, readHeader, withInput } from './safetensors-header.js';
import { pickleStart } from './unpickle.js';
import { isZip } from './zip.js';

export interface TensorFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** Tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

/** A file of which the header has been read. */
export interface TensorHeader {
  /** What is no text in the file is text here, as JSON writes it. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** Reads tensors by name; F16, BF16 and F64 become float32. Throws BAD_INPUT, also for a tensor of other elements. */
  read(names: Iterable<string>): TensorFile['tensors'];
}

const floatTypes: ReadonlyMap<unknown, FloatType> = new Map([
  ['F16', 'f2'],
  ['BF16', 'bf16'],
  ['F32', 'f4'],
  ['F64', 'f8'],
]);

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
  refuseOthers(path);
  const { dataStart, metadata, tensors } = readHeader(path);
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
