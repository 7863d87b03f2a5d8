/**
 * What checkpoints hold beside tensors: values of Python, NumPy and PyTorch that a training script keeps among its options
 * and its history. Numbers and containers become numbers and containers, all else an `Inert` value, which is only named.
 * Nothing is run: each name refers to a function of this file.
 */
import { elementText, float32Decoder, itemBytes, type NumberType, swapBytes } from './numbers.js';
import type { PickleGlobal } from './unpickle.js';

/** A value of which only the type is known. */
class Inert {
  constructor(readonly type: string) {}
}

/** What a pickle may name without saying anything about a tensor, by `module.name`. */
export function inertGlobals(): Map<string, PickleGlobal> {
  const globals = new Map<string, PickleGlobal>();
  const define = (modules: readonly string[], names: readonly string[], globalOf: (name: string) => PickleGlobal) => {
    for (const module of modules) for (const name of names) globals.set(`${module}.${name}`, globalOf(name));
  };
  const named = (): PickleGlobal => ({ call: null });
  const object = (name: string): PickleGlobal => ({ call: () => new Inert(name) });

  // Types such as a defaultdict makes its values by; a pickle of protocol 2 names the modules of Python 2.
  const builtins = ['builtins', '__builtin__'];
  define(builtins, ['bool', 'bytes', 'dict', 'float', 'int', 'list', 'object', 'str', 'tuple', 'type'], named);
  define(['__builtin__'], ['long', 'unicode'], named);
  define(builtins, ['complex', 'range', 'xrange', 'slice', 'bytearray'], object);
  define(builtins, ['set', 'frozenset'], () => ({ call: ([values]) => new Set(listed(values)) }));
  define(['collections'], ['defaultdict'], () => ({ call: () => new Map() })); // its items are set afterwards
  define(['collections'], ['Counter'], () => ({ call: ([counts]) => new Map(counts instanceof Map ? counts : []) }));
  define(['collections'], ['deque'], () => ({ call: ([values]) => [...listed(values)] }));
  define(['datetime'], ['date', 'datetime', 'time', 'timedelta', 'timezone'], object);
  define(['decimal'], ['Decimal'], object);
  define(['pathlib', 'pathlib._local'], ['Path', 'PosixPath', 'PurePath', 'PurePosixPath'], object);
  define(['pathlib', 'pathlib._local'], ['WindowsPath', 'PureWindowsPath'], object);
  define(['_codecs'], ['encode'], () => ({ call: encode }));

  define(['numpy'], ['dtype'], () => ({
    call: ([code]) => new NumpyType(typeof code === 'string' ? code : ''),
    setState: setByteOrder,
  }));
  define(['numpy'], ['ndarray', 'float16', 'float32', 'float64', 'int32', 'int64', 'bool_'], named);
  define(['numpy.core.multiarray', 'numpy._core.multiarray'], ['scalar'], () => ({ call: numpyScalar }));
  define(['numpy.core.multiarray', 'numpy._core.multiarray'], ['_reconstruct'], () => object('ndarray'));
  define(['numpy.core.numeric', 'numpy._core.numeric'], ['_frombuffer'], () => object('ndarray'));

  define(['torch'], ['device'], object);
  define(['torch'], ['Size'], () => ({ call: ([sizes]) => [...listed(sizes)] }));
  define(['torch'], torchTypes, named);
  define(['torch.serialization'], ['_get_layout'], object);
  return globals;
}

const torchTypes = [
  ...['float16', 'float32', 'float64', 'bfloat16', 'half', 'float', 'double', 'complex32', 'complex64', 'complex128'],
  ...['int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'bool', 'qint8', 'quint8', 'qint32'],
  ...['float8_e4m3fn', 'float8_e5m2', 'strided', 'contiguous_format', 'channels_last', 'preserve_format'],
];

function listed(values: unknown): readonly unknown[] {
  return Array.isArray(values) ? values : [];
}

/** How protocol 2 writes bytes: text of the same codes. */
function encode([text, encoding]: readonly unknown[]): unknown {
  return typeof text === 'string' && encoding === 'latin1' ? Uint8Array.from(Buffer.from(text, 'latin1')) : null;
}

/** A `numpy.dtype`: kind and bytes of an element, such as `f8`. */
class NumpyType {
  littleEndian = true;
  constructor(readonly code: string) {}
}

/** The state is a tuple of version, byte order, and more that a number does not have. */
function setByteOrder(type: unknown, state: unknown): void {
  if (type instanceof NumpyType && Array.isArray(state)) type.littleEndian = state[1] !== '>';
}

/** Arguments: the dtype, and the bytes of one element. */
function numpyScalar([type, bytes]: readonly unknown[]): unknown {
  if (!(type instanceof NumpyType) || !(bytes instanceof Uint8Array)) return new Inert('numpy scalar');
  if (type.code === 'b1') return bytes[0] === 1;
  if (!isNumberType(type.code) || bytes.length !== itemBytes(type.code)) return new Inert(type.code);
  const element = Uint8Array.from(bytes);
  if (!type.littleEndian) swapBytes(element, type.code);
  if (type.code !== 'f2') return Number(elementText(type.code, element.buffer, 0));
  const value = new Float32Array(1);
  float32Decoder('f2', element.buffer)(0, 1, value, 0, 1);
  return value[0];
}

function isNumberType(code: string): code is NumberType {
  return /^([iu][1248]|f[248])$/.test(code);
}
