/** Tensors of safetensors files as arrays: features, graphs and labels as PyTorch's users save them. */
import { oneLine } from '../messages.js';
import type { NumberType } from '../numbers.js';
import { isSafetensors, readHeader } from '../safetensors-header.js';
import type { StoredArray } from '../stored-array.js';
import { arrayFormat, type NamedArrays } from './named-arrays.js';

const numberTypes: ReadonlyMap<unknown, NumberType> = new Map([
  ['F16', 'f2'],
  ['BF16', 'bf16'],
  ['F32', 'f4'],
  ['F64', 'f8'],
  ['BOOL', 'u1'],
  ['U8', 'u1'],
  ['I8', 'i1'],
  ['U16', 'u2'],
  ['I16', 'i2'],
  ['U32', 'u4'],
  ['I32', 'i4'],
  ['U64', 'u8'],
  ['I64', 'i8'],
]);

export const safetensors = arrayFormat(
  'a safetensors file',
  ({ start }) => isSafetensors(start),
  async (path) => listTensors(path),
);

function listTensors(path: string): NamedArrays {
  const { dataStart, tensors } = readHeader(path);
  const arrays = new Map<string, () => Promise<StoredArray>>();
  for (const [name, { dtype, shape, begin, end }] of tensors) {
    const source = { path, name: `${path}:${oneLine(name)}`, offset: dataStart + begin, length: end - begin };
    arrays.set(name, async () => ({
      source,
      dataStart: 0,
      dtype: typeof dtype === 'string' ? dtype : 'none',
      type: numberTypes.get(dtype),
      littleEndian: true,
      fortran: false,
      shape,
      length: shape.reduce((product, size) => product * size, 1),
    }));
  }
  return arrays;
}
