/** Arrays that threads share, of zeros at first. They throw OUT_OF_MEMORY when the machine refuses the memory. */
import { NaanError } from '../errors.js';

export function sharedInts(length: number): Int32Array {
  return new Int32Array(sharedBytes(4 * length));
}

export function sharedCounts(length: number): Uint32Array {
  return new Uint32Array(sharedBytes(4 * length));
}

export function sharedFloats(length: number): Float32Array {
  return new Float32Array(sharedBytes(4 * length));
}

export function sharedCopy(values: Float32Array): Float32Array {
  const copy = sharedFloats(values.length);
  copy.set(values);
  return copy;
}

export function sharedDoubles(length: number): Float64Array {
  return new Float64Array(sharedBytes(8 * length));
}

/** A dimension as rows are laid out, so that kernels take four values at a time. */
export function paddedDim(dim: number): number {
  return Math.ceil(dim / 4) * 4;
}

function sharedBytes(bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (cause) {
    throw new NaanError('OUT_OF_MEMORY', `${(bytes / 2 ** 30).toFixed(1)} GiB of shared memory were refused`, {
      cause,
    });
  }
}
