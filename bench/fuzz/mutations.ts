/** Damage to files: of their bytes as a whole, of numbers written in them as text, and of JSON. A function of its random stream. */
import type { RandomStream } from '../../src/graph/random.js';

/** Numbers at which readers go wrong: none, the last of a type, one more. */
const bounds = [0, 1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff];
const largeBounds = [0x80000000n, 0xffffffffn, 0x100000000n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 64n - 1n];
const numerals = [
  '0',
  '-1',
  '1',
  '255',
  '65537',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '1e999',
  '-0.0',
  'NaN',
];

export function oneOf<T>(random: RandomStream, some: readonly T[]): T {
  return some[random.below(some.length)];
}

/** Damages bytes one to three times. `other`: bytes to splice with. */
export function damaged(random: RandomStream, bytes: Buffer, other: Buffer): Buffer {
  let file: Buffer = Buffer.from(bytes);
  for (let steps = 1 + random.below(3); steps > 0; steps--) file = oneOf(random, damages)(random, file, other);
  return file;
}

type Damage = (random: RandomStream, file: Buffer, other: Buffer) => Buffer;

/** Half of all places lie where structure is: at the start and the end. */
function place(random: RandomStream, length: number): number {
  const near = Math.min(length, 300);
  const choice = random.below(4);
  if (choice === 0) return random.below(near + 1);
  return choice === 1 ? length - random.below(near + 1) : random.below(length + 1);
}

const damages: readonly Damage[] = [
  function flipBits(random, file) {
    for (let count = 1 + random.below(8); count > 0 && file.length > 0; count--) {
      file[Math.min(file.length - 1, place(random, file.length))] ^= 1 << random.below(8);
    }
    return file;
  },
  (random, file) => file.subarray(0, place(random, file.length)),
  function zeros(random, file) {
    const at = place(random, file.length);
    return file.fill(0, at, Math.min(file.length, at + oneOf(random, [1, 4, 8, 64, 4096])));
  },
  function insertion(random, file) {
    const at = place(random, file.length);
    const inserted = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
    return Buffer.concat([file.subarray(0, at), inserted, file.subarray(at)]);
  },
  function removal(random, file) {
    const at = place(random, file.length);
    return Buffer.concat([file.subarray(0, at), file.subarray(at + random.below(64))]);
  },
  function spliceWithOther(random, file, other) {
    return Buffer.concat([file.subarray(0, place(random, file.length)), other.subarray(place(random, other.length))]);
  },
  function copyWithin(random, file) {
    const from = place(random, file.length);
    const piece = Buffer.from(file.subarray(from, from + random.below(200)));
    const at = place(random, file.length);
    return Buffer.concat([file.subarray(0, at), piece, file.subarray(at)]);
  },
  function repetition(random, file) {
    const from = place(random, file.length);
    const piece = Buffer.from(file.subarray(from, from + 1 + random.below(12)));
    const at = place(random, file.length);
    const many = Array<Buffer>(oneOf(random, [2, 50, 2000])).fill(piece);
    return Buffer.concat([file.subarray(0, at), ...many, file.subarray(at)]);
  },
  function bound(random, file) {
    const size = oneOf(random, [1, 2, 4, 8]);
    if (file.length < size) return file;
    const at = Math.min(place(random, file.length), file.length - size);
    const little = random.below(4) > 0;
    if (size === 8) {
      const value = random.below(2) ? oneOf(random, largeBounds) : BigInt(oneOf(random, bounds));
      if (little) file.writeBigUInt64LE(value, at);
      else file.writeBigUInt64BE(value, at);
      return file;
    }
    const value = oneOf(random, bounds) % 2 ** (8 * size);
    if (little) file.writeUIntLE(value, at, size);
    else file.writeUIntBE(value, at, size);
    return file;
  },
  (random, file) => Buffer.from(withOtherNumber(random, file.toString('latin1')), 'latin1'),
];

/** The text with one of its numbers replaced, or multiplied by appended digits. */
export function withOtherNumber(random: RandomStream, text: string): string {
  const found = [...text.slice(0, 4096).matchAll(/\d+/g)];
  if (found.length === 0) return text;
  const { index, 0: digits } = oneOf(random, found);
  const other = random.below(4) === 0 ? digits + '0'.repeat(1 + random.below(20)) : oneOf(random, numerals);
  return text.slice(0, index) + other + text.slice(index + digits.length);
}

const hostile: readonly (() => unknown)[] = [
  () => null,
  () => -1,
  () => 2 ** 53,
  () => 0.5,
  () => '',
  () => '../x.rows',
  () => 'a\u0000\n"',
  () => 'x'.repeat(5000),
  () => [],
  () => ({}),
  () => [[[[]]]],
  () => ({ __proto__: null, toString: 1, length: -1 }),
  () => Array(2000).fill(7),
  () => nested(500),
];

function nested(levels: number): unknown {
  let value: unknown = 0;
  for (let level = 0; level < levels; level++) value = level % 2 ? [value] : { a: value };
  return value;
}

/** A copy in which one value, at random depth, is replaced, dropped, or put under another key. */
export function withOtherValue(random: RandomStream, value: unknown): unknown {
  const copy = structuredClone(value);
  let at: unknown = copy;
  for (;;) {
    if (typeof at !== 'object' || at === null) return oneOf(random, hostile)();
    const holder = at as Record<string, unknown>;
    const keys = Object.keys(holder);
    if (keys.length === 0) return oneOf(random, hostile)();
    const key = oneOf(random, keys);
    const inner = holder[key];
    if (typeof inner === 'object' && inner !== null && random.below(3) > 0) {
      at = inner;
      continue;
    }
    const choice = random.below(5);
    if (choice === 0) delete holder[key];
    else if (choice === 1) holder[oneOf(random, ['x', '', 'shape', 'files', 'dtype', key + key])] = inner;
    else holder[key] = oneOf(random, hostile)();
    return copy;
  }
}
