/**
 * Checkpoints of `torch.save`: a pickle of plain data that refers to tensors, and the storages the tensors are views of.
 * Zip format (since torch 1.6): members NAME/data.pkl and NAME/data/KEY. Legacy format: five pickles in a row (magic
 * number, protocol, system, data, storage keys), then each storage as its length in elements (int64) and its elements.
 * Both are little-endian; see `torch/serialization.py`. Nothing is run: a pickle may only name what is listed here.
 */
import { closeSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { type ByteSource, readAll, readHead, wholeFile } from './byte-source.js';
import { refuseForeign } from './formats/formats.js';
import { inertGlobals } from './inert-values.js';
import { openInput, readFully, readStart } from './input-file.js';
import { quoted } from './messages.js';
import { float32Decoder, isFloat, itemBytes, type NumberType } from './numbers.js';
import { isSafetensors } from './safetensors-header.js';
import { gatherStrided } from './strided.js';
import { type PickleGlobal, type PickleRules, pickleStart, unpickle } from './unpickle.js';
import { isZip, listZip } from './zip.js';

/** A run of elements under one key of the file. */
export class TorchStorage {
  constructor(
    readonly key: string,
    readonly type: NumberType | 'bf16',
    /** Elements stored under the key. */
    readonly length: number,
    /** The first element of a view of the storage. */
    readonly first = 0,
  ) {}
}

/** A view of a storage; offset and strides in elements. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** An `argparse.Namespace`: its attributes by name. */
export class Namespace {
  readonly values = new Map<unknown, unknown>();
}

export interface TorchCheckpoint {
  readonly format: 'zip' | 'legacy';
  /** What was saved: see `unpickle`; tensors are TorchTensor, an argparse.Namespace is Namespace. */
  readonly value: unknown;
  /** Elements of a floating-point tensor in C order. Throws BAD_INPUT. */
  read(tensor: TorchTensor): Promise<Float32Array>;
}

/** Pickles of checkpoints take some kilobytes; storages lie outside them. */
const maxPickleBytes = 2 ** 24;
const legacyMagic = 0x1950a86a20f9469cfc6cn;

/**
 * Opens a checkpoint of either format; tensors are read when asked for.
 * Throws UNSAFE_CHECKPOINT when the pickle names anything but data, BAD_INPUT when the file is damaged.
 */
export async function openTorchCheckpoint(path: string): Promise<TorchCheckpoint> {
  const whole = wholeFile(path);
  const start = readStart(path, 16);
  if (isSafetensors(start)) {
    const advice = 'if naan wrote it, it is a model already';
    throw new NaanError('BAD_INPUT', `${path}: is a safetensors file, expected a checkpoint of torch.save: ${advice}`);
  }
  const format = isZip(start) ? 'zip' : 'legacy';
  if (format === 'legacy' && start[0] !== pickleStart) refuseForeign(path, 'a checkpoint of torch.save');
  const { value, sourceOf } = format === 'zip' ? await openZip(path) : await openLegacy(whole);
  // Tensors may share storages or repeat elements (strides of 0), but a file whose tensors add up to much more than itself
  // is made to exhaust memory.
  const mostBytes = 8 * whole.length + 2 ** 26;
  let budget = mostBytes;
  return {
    format,
    value,
    async read(tensor) {
      const { type } = tensor.storage;
      if (type !== 'bf16' && !isFloat(type)) {
        throw new NaanError('BAD_INPUT', `${path}: a tensor has elements of ${type}, expected floats`);
      }
      const span = spanOf(tensor) * itemBytes(type);
      budget -= span + 4 * elementCount(tensor.shape);
      if (budget < 0) {
        throw new NaanError(
          'BAD_INPUT',
          `${path}: its tensors take more than ${mostBytes} bytes to read, far more than the ${whole.length} of the file`,
        );
      }
      const source = sourceOf(tensor.storage);
      const start = tensor.offset * itemBytes(type);
      const bytes = span === source.length ? await readAll(source, span) : readSlice(source, start, span);
      const elements = new Float32Array(span / itemBytes(type));
      float32Decoder(type, bytes.buffer)(0, elements.length, elements, 0, 1);
      return gatherStrided(elements, tensor.shape, tensor.strides, new Float32Array(elementCount(tensor.shape)));
    },
  };
}

interface Contents {
  readonly value: unknown;
  /** The place of the bytes of a storage, whose length is checked. */
  readonly sourceOf: (storage: TorchStorage) => ByteSource;
}

async function openZip(path: string): Promise<Contents> {
  const members = await listZip(path);
  const pickleName = [...members.keys()].find((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  const pickle = pickleName === undefined ? undefined : members.get(pickleName)?.();
  if (pickleName === undefined || pickle === undefined) {
    throw new NaanError('BAD_INPUT', `${path}: has no member 'data.pkl', expected a checkpoint of torch.save`);
  }
  if ([...members.keys()].some((name) => name.endsWith('/constants.pkl'))) {
    throw new NaanError('BAD_MODEL', `${path}: holds a TorchScript program, expected tensors saved by torch.save`);
  }
  const folder = pickleName.slice(0, -'data.pkl'.length);
  const byteOrder = members.get(`${folder}byteorder`)?.();
  if (byteOrder && Buffer.from(await readHead(byteOrder, 6)).toString() !== 'little') {
    throw new NaanError('BAD_INPUT', `${path}: its elements are big-endian, expected little-endian`);
  }
  const { value } = unpickle(await readAll(pickle, maxPickleBytes), 0, rulesFor(path), path);
  const sourceOf = (storage: TorchStorage): ByteSource => {
    const source = members.get(`${folder}data/${storage.key}`)?.();
    if (!source) throw new NaanError('BAD_INPUT', `${path}: has no storage ${quoted(storage.key)}: it is damaged`);
    const expected = storage.length * itemBytes(storage.type);
    if (source.deflatedLength !== undefined || source.length !== expected) {
      throw new NaanError('BAD_INPUT', `${source.name}: ${source.length} bytes, expected ${expected}, not compressed`);
    }
    return source;
  };
  return { value, sourceOf };
}

async function openLegacy(file: ByteSource): Promise<Contents> {
  const { path } = file;
  const head = await readHead(file, maxPickleBytes);
  const storages = new Map<string, TorchStorage>();
  const rules = rulesFor(path, storages);
  let position = 0;
  const next = (): unknown => {
    const { value, end } = unpickle(head, position, rules, path);
    position = end;
    return value;
  };
  if (next() !== legacyMagic) throw new NaanError('BAD_INPUT', `${path}: is not a checkpoint of torch.save`);
  const protocol = next();
  if (protocol !== 1001) throw new NaanError('BAD_INPUT', `${path}: checkpoint protocol is not 1001`);
  next(); // the system that wrote it: torch itself does not look at it
  const value = next();
  const keys = next();
  const places = placeStorages(file, position, Array.isArray(keys) ? keys : [], storages);
  const sourceOf = (storage: TorchStorage): ByteSource => {
    const place = places.get(storage.key);
    if (place) return place;
    throw new NaanError('BAD_INPUT', `${path}: has no storage ${quoted(storage.key)}: it is damaged`);
  };
  return { value, sourceOf };
}

/** Storages follow one another in the order of `keys`; how long an element is, the data before has said. */
function placeStorages(
  { path, length: fileBytes }: ByteSource,
  start: number,
  keys: readonly unknown[],
  storages: ReadonlyMap<unknown, TorchStorage>,
): Map<string, ByteSource> {
  const places = new Map<string, ByteSource>();
  const fd = openInput(path);
  try {
    let offset = start;
    const lengthBytes = Buffer.alloc(8);
    for (const key of keys) {
      const storage = storages.get(key);
      if (!storage) throw new NaanError('BAD_INPUT', `${path}: stores what no tensor uses: it is damaged`);
      const name = `${path}: storage ${quoted(storage.key)}`;
      readFully(fd, lengthBytes, offset, name);
      const found = Number(lengthBytes.readBigInt64LE());
      if (found !== storage.length) {
        throw new NaanError('BAD_INPUT', `${name}: ${found} elements, expected ${storage.length}`);
      }
      const length = storage.length * itemBytes(storage.type);
      offset += 8;
      if (offset + length > fileBytes) {
        throw new NaanError(
          'BAD_INPUT',
          `${name}: ends at byte ${offset + length}, the file at ${fileBytes}: it is truncated`,
        );
      }
      places.set(storage.key, { path, name, offset, length });
      offset += length;
    }
    return places;
  } finally {
    closeSync(fd);
  }
}

/** `torch.FloatStorage` and its like: only ever named, to say what a storage holds. */
class StorageType implements PickleGlobal {
  readonly call = null;
  constructor(readonly type: NumberType | 'bf16') {}
}

const namespace: PickleGlobal = {
  call: () => new Namespace(),
  setState(value, state) {
    if (!(value instanceof Namespace) || !(state instanceof Map)) return;
    for (const [name, attribute] of state) value.values.set(name, attribute);
  },
};

/** Called with nothing, or with a list of pairs as older Pythons do. Its attributes (`_metadata`) are ignored. */
const orderedDict: PickleGlobal = {
  call([pairs]) {
    const map = new Map<unknown, unknown>();
    for (const pair of Array.isArray(pairs) ? pairs : []) if (Array.isArray(pair)) map.set(pair[0], pair[1]);
    return map;
  },
};

/** What a checkpoint may name. Storages that the pickle refers to are noted in `storages`. */
function rulesFor(path: string, storages = new Map<unknown, TorchStorage>()): PickleRules {
  const globals = new Map<string, PickleGlobal>([
    ...inertGlobals(),
    ['collections.OrderedDict', orderedDict],
    ['argparse.Namespace', namespace],
    ['torch._utils._rebuild_tensor_v2', { call: (args) => rebuildTensor(args, path) }],
    ['torch._utils._rebuild_tensor', { call: (args) => rebuildTensor(args, path) }],
    ['torch._utils._rebuild_parameter', { call: ([tensor]) => tensor }],
    ['torch._utils._rebuild_parameter_with_state', { call: ([tensor]) => tensor }],
    ['torch.FloatStorage', new StorageType('f4')],
    ['torch.DoubleStorage', new StorageType('f8')],
    ['torch.HalfStorage', new StorageType('f2')],
    ['torch.BFloat16Storage', new StorageType('bf16')],
    ['torch.LongStorage', new StorageType('i8')],
    ['torch.IntStorage', new StorageType('i4')],
    ['torch.ShortStorage', new StorageType('i2')],
    ['torch.CharStorage', new StorageType('i1')],
    ['torch.ByteStorage', new StorageType('u1')],
    ['torch.BoolStorage', new StorageType('u1')],
  ]);
  const load = (id: unknown): TorchStorage => {
    const [kind, type, key, , length, view] = Array.isArray(id) ? id : [];
    if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isSize(length)) {
      throw damaged(path, 'refers to what is no storage');
    }
    const known = storages.get(key);
    if (known && (known.type !== type.type || known.length !== length)) {
      throw damaged(path, `describes storage ${quoted(key)} in two ways`);
    }
    const storage = known ?? new TorchStorage(key, type.type, length);
    storages.set(key, storage);
    if (view === undefined || view === null) return storage;
    // Before torch 0.4 a storage could be a view [key, first element, length] of another one.
    const first = Array.isArray(view) ? view[1] : undefined;
    if (!isSize(first)) throw damaged(path, `has a view of storage ${quoted(key)} without a place`);
    return new TorchStorage(key, type.type, length, first);
  };
  return { globals, load };
}

/** Arguments: storage, offset, sizes, strides, and more that say nothing about the elements. */
function rebuildTensor([storage, offset, shape, strides]: readonly unknown[], path: string): TorchTensor {
  if (!(storage instanceof TorchStorage) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) {
    throw damaged(path, 'has a tensor that is not described by storage, offset, sizes and strides');
  }
  const tensor = new TorchTensor(storage, storage.first + offset, shape, strides);
  const span = spanOf(tensor);
  const count = elementCount(shape);
  if (shape.length !== strides.length || !Number.isSafeInteger(count) || tensor.offset + span > storage.length) {
    throw damaged(
      path,
      `has a tensor of shape [${shape}], strides [${strides}] and offset ${tensor.offset} ` +
        `that does not fit its storage of ${storage.length} elements`,
    );
  }
  return tensor;
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Elements of the storage from the first to the last that the tensor sees. */
function spanOf({ shape, strides }: TorchTensor): number {
  if (elementCount(shape) === 0) return 0;
  return 1 + shape.reduce((last, size, axis) => last + (size - 1) * strides[axis], 0);
}

function readSlice({ path, name, offset }: ByteSource, start: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const fd = openInput(path);
  try {
    readFully(fd, bytes, offset + start, name);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 8 && value.every(isSize);
}

function damaged(path: string, what: string): NaanError {
  return new NaanError('BAD_INPUT', `${path}: damaged checkpoint: it ${what}`);
}
