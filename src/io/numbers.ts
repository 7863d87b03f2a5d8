/**
 * Elements as files store them, turned into int32 or float32. Types are named as NumPy names them; `bf16` is what it
 * lacks. A decoder is bound to one buffer of little-endian elements from its first byte on; the buffer may be refilled.
 */
type IntegerType = 'i1' | 'i2' | 'i4' | 'i8' | 'u1' | 'u2' | 'u4' | 'u8';
export type FloatType = 'f2' | 'bf16' | 'f4' | 'f8';
export type NumberType = IntegerType | FloatType;

export function itemBytes(type: NumberType): 1 | 2 | 4 | 8 {
  return type === 'bf16' ? 2 : (Number(type[1]) as 1 | 2 | 4 | 8);
}

export function isFloat(type: NumberType): type is FloatType {
  return type[0] === 'f' || type === 'bf16';
}

/** Makes big-endian elements little-endian, in place. */
export function swapBytes(bytes: Uint8Array, type: NumberType): void {
  const elements = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (itemBytes(type) === 2) elements.swap16();
  if (itemBytes(type) === 4) elements.swap32();
  if (itemBytes(type) === 8) elements.swap64();
}

/**
 * Writes elements from .. from + count − 1 to out[at], out[at + 1], … and returns how many it wrote before one that
 * int32 cannot hold (too large, or not whole): `count` when there is none.
 */
export type Int32Decoder = (from: number, count: number, out: Int32Array, at: number) => number;

export function int32Decoder(type: Exclude<NumberType, 'f2' | 'bf16'>, buffer: ArrayBuffer): Int32Decoder {
  if (type === 'i8' || type === 'u8') return wordPairDecoder(buffer, type === 'i8');
  const elements = viewOf(type, buffer);
  return (from, count, out, at) => {
    for (let i = 0; i < count; i++) {
      const value = elements[from + i];
      if (value !== (value | 0)) return i;
      out[at + i] = value;
    }
    return count;
  };
}

/** A 64-bit integer that int32 can hold is a low word and its sign spread over the high word. No BigInt on the way. */
function wordPairDecoder(buffer: ArrayBuffer, signed: boolean): Int32Decoder {
  const words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
  return (from, count, out, at) => {
    for (let i = 0; i < count; i++) {
      const low = words[2 * (from + i)];
      if (words[2 * (from + i) + 1] !== low >> 31 || (low < 0 && !signed)) return i;
      out[at + i] = low;
    }
    return count;
  };
}

/** Writes elements from .. from + count − 1 to out[at], out[at + step], … */
export type Float32Decoder = (from: number, count: number, out: Float32Array, at: number, step: number) => void;

export function float32Decoder(type: FloatType, buffer: ArrayBuffer): Float32Decoder {
  if (type === 'f2' || type === 'bf16') {
    const values = type === 'f2' ? halfValues() : brainValues();
    const codes = viewOf('u2', buffer);
    return (from, count, out, at, step) => {
      for (let i = 0; i < count; i++) out[at + i * step] = values[codes[from + i]];
    };
  }
  const elements = viewOf(type, buffer) as Float32Array | Float64Array;
  return (from, count, out, at, step) => {
    if (step === 1) out.set(elements.subarray(from, from + count), at);
    else for (let i = 0; i < count; i++) out[at + i * step] = elements[from + i];
  };
}

/** One element as text, for messages. */
export function elementText(type: NumberType, buffer: ArrayBuffer, index: number): string {
  if (type === 'i8') return String(new BigInt64Array(buffer, 8 * index, 1)[0]);
  if (type === 'u8') return String(new BigUint64Array(buffer, 8 * index, 1)[0]);
  return String(viewOf(type, buffer)[index]);
}

type NumberView =
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Float32Array
  | Float64Array;

function viewOf(type: Exclude<NumberType, 'i8' | 'u8'>, buffer: ArrayBuffer): NumberView {
  const views = {
    i1: Int8Array,
    i2: Int16Array,
    i4: Int32Array,
    u1: Uint8Array,
    u2: Uint16Array,
    u4: Uint32Array,
    f2: Uint16Array,
    bf16: Uint16Array,
    f4: Float32Array,
    f8: Float64Array,
  };
  return new views[type](buffer, 0, Math.floor(buffer.byteLength / itemBytes(type)));
}

let halves: Float32Array | undefined;
let brains: Float32Array | undefined;

/** The value of each IEEE 754 binary16 code: 1 sign, 5 exponent, 10 fraction bits. All are exact in float32. */
function halfValues(): Float32Array {
  halves ??= Float32Array.from({ length: 2 ** 16 }, (_, code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const exponent = (code >> 10) & 0x1f;
    const fraction = code & 0x3ff;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  });
  return halves;
}

/** The value of each bfloat16 code: the upper half of a float32. */
function brainValues(): Float32Array {
  brains ??= new Float32Array(Uint32Array.from({ length: 2 ** 16 }, (_, code) => code << 16).buffer);
  return brains;
}
