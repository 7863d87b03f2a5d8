/**
 * Features must be unit vectors, as cosine and the model assume. Rows whose squared norm is within 2e-3 of 1 (what
 * half-precision storage leaves) stay as they are, to the bit; others are scaled.
 */
import { NaanError } from '../errors.js';

const tolerance = 2e-3;

/**
 * Checks and normalises rows [count × dim] in place; `firstRow` and `name` say in errors where they came from.
 * Returns how many rows had to be scaled. Throws BAD_INPUT for a NaN, an infinity or a zero row.
 */
export function normaliseRows(rows: Float32Array, firstRow: number, count: number, dim: number, name: string): number {
  let scaled = 0;
  for (let i = 0; i < count; i++) {
    const start = i * dim;
    const end = start + dim;
    let even = 0;
    let odd = 0;
    let at = start;
    for (; at + 1 < end; at += 2) {
      even += rows[at] * rows[at];
      odd += rows[at + 1] * rows[at + 1];
    }
    if (at < end) even += rows[at] * rows[at];
    const squared = even + odd;
    if (Math.abs(squared - 1) <= tolerance) continue;
    if (!(squared > 0 && squared < Infinity)) throw badRow(rows.subarray(start, end), firstRow + i, name);
    const factor = 1 / Math.sqrt(squared);
    for (let c = start; c < end; c++) rows[c] *= factor;
    scaled++;
  }
  return scaled;
}

function badRow(row: Float32Array, index: number, name: string): NaanError {
  const expected = 'expected finite features that are not all zero';
  return new NaanError('BAD_INPUT', `${name}: row ${index} ${badValue(row)}, ${expected}`);
}

/** What is wrong with a row that cannot be normalised. */
export function badValue(row: Float32Array): string {
  const column = row.findIndex((value) => !Number.isFinite(value));
  return column < 0 ? 'is all zeros' : `column ${column} is ${row[column]}`;
}
