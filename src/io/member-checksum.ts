/** The checksum of an archive's member from runs of its bytes that threads read in any order, each byte once. */
import { closeSync } from 'node:fs';
import { crc32 } from '../checksum.js';
import { NaanError } from '../errors.js';
import { openInput, readFully } from './input-file.js';

/** The place of a stored member's bytes in its archive, and their checksum. */
export interface StoredMember {
  readonly start: number;
  readonly end: number;
  readonly crc32: number;
}

/** Sums what runs of bytes add to a member's checksum. */
export class MemberChecksum {
  sum = 0;

  constructor(private readonly member: StoredMember) {}

  /** `position`: of the first byte in the file. */
  add(bytes: Uint8Array, position: number): void {
    this.sum ^= partOf(crc32(bytes), this.member.end - position - bytes.length);
  }
}

const windowBytes = 2 ** 20;

/** Throws BAD_INPUT unless bytes [from, to), which add `sum`, and those around them match the checksum. */
export function checkMember(
  { path, name, member }: { readonly path: string; readonly name: string; readonly member: StoredMember },
  from: number,
  to: number,
  sum: number,
): void {
  const around = new MemberChecksum(member);
  const window = new Uint8Array(windowBytes);
  const fd = openInput(path);
  try {
    for (const [start, end] of [
      [member.start, from],
      [to, member.end],
    ]) {
      for (let at = start; at < end; at += windowBytes) {
        const bytes = window.subarray(0, Math.min(windowBytes, end - at));
        readFully(fd, bytes, at, name);
        around.add(bytes, at);
      }
    }
  } finally {
    closeSync(fd);
  }
  if ((sum ^ around.sum) >>> 0 === member.crc32) return;
  throw new NaanError('BAD_INPUT', `${name}: its bytes do not match their checksum: the file is damaged or truncated`);
}

/**
 * What a run of bytes of this checksum adds to the checksum of a whole in which `following` bytes come after it: the checksum
 * of the whole is the sum (exclusive or) of what its runs add, in any order. As in zlib's crc32_combine: the product of
 * two polynomials over GF(2), of the checksum and of x to the power of the bits that follow.
 */
function partOf(checksum: number, following: number): number {
  let part = checksum;
  let power = x8;
  for (let bytes = following; bytes > 0; bytes = Math.floor(bytes / 2)) {
    if (bytes % 2 === 1) part = product(power, part);
    power = product(power, power);
  }
  return part >>> 0;
}

/** The lowest powers are in the most significant bits, as in the checksum. */
const x8 = 2 ** 23;
const polynomial = 0xedb88320;

function product(a: number, b: number): number {
  let sum = 0;
  let shifted = b;
  for (let bit = 2 ** 31; bit > 0; bit /= 2) {
    if (a & bit) sum ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return sum;
}
