/**
 * The meaning of a cosine differs between embeddings. Where all rows share a direction, rows that have nothing to do with each
 * other are alike: models for any embeddings read cosines beside the middle, the median of random pairs, which is 0 then; 1
 * stays 1. And with the dimension, the spectrum and the number of rows it differs how near the nearest of these rows is:
 * scores of cosines that are not higher are bounded. Both are measured on the set at hand, without labels: few random
 * pairs are of one identity, and those lie above the rest.
 */

import { isObject } from '../../io/json.js';
import { type MatrixLocation, openRows } from '../../io/matrix.js';
import { dot } from '../../kernels/scalar.js';
import type { PairwiseModel } from '../../model/model.js';
import type { CosineGuard } from '../../model/pairwise.js';

/** Rows that say enough: each is compared with all others. */
const maxRows = 512;
/** A set whose rows are all but equal has nothing to read. */
const highestMiddle = 0.99;

/** Cosines of rows that have nothing to do with each other. */
interface Chance {
  readonly middle: number;
  /** Beside the middle, of the nearest of all rows: that of a normal distribution which agrees with the cosines below the middle. */
  readonly nearest: number;
}

/** A model that knows what chance gives in the set that it is about to score, where it asks for it. */
export function settleModel(model: PairwiseModel, features: MatrixLocation): PairwiseModel {
  const { config } = model;
  if (!config.centred) return model;
  const { middle, nearest } = chanceOf(features);
  const [from, to] = guardShares.map((share) => share * Math.max(nearest, leastNearest));
  return { ...model, config: { ...config, middle, guard: { from, to } } };
}

/** The model as it was settled for an earlier set, by its settings in the record of that run; as it is where the record has none. */
export function settleAgain(model: PairwiseModel, recorded: unknown): PairwiseModel {
  if (!isObject(recorded) || typeof recorded.middle !== 'number') return model;
  const { middle, guard } = recorded;
  const isGuard = isObject(guard) && typeof guard.from === 'number' && typeof guard.to === 'number';
  const { guard: own } = model.config;
  return { ...model, config: { ...model.config, middle, guard: isGuard ? (guard as unknown as CosineGuard) : own } };
}

/** The guard's ends as shares of the cosine of the nearest by chance: nearer than it by so much, few strangers are. */
const guardShares = [0.8, 1.15] as const;
/** The least cosine taken for the nearest row by chance, where chance gives nothing, as among rows at right angles. */
const leastNearest = 0.05;

/** The chance cosines of a set, by some of its rows, evenly spaced; rows that are no vectors are left out. */
export function chanceOf(features: MatrixLocation): Chance {
  const reader = openRows(features);
  try {
    const { rowCount, dim } = reader;
    const rows: Float32Array[] = [];
    const count = Math.min(maxRows, rowCount);
    for (let i = 0; i < count; i++) {
      const row = new Float32Array(dim);
      reader.read(Math.floor((i * rowCount) / count), 1, row);
      const norm = Math.sqrt(dot(row, row));
      if (norm > 0 && norm < Infinity) rows.push(row.map((value) => value / norm));
    }
    const cosines = cosinesOf(rows);
    const middle = Math.min(Math.max(0, cosines[cosines.length >> 1] ?? 0), highestMiddle);
    const deviation = middle - (cosines[Math.floor(shareBelow * cosines.length)] ?? middle);
    return { middle, nearest: (deviation * highestOf(rowCount)) / (1 - middle) };
  } finally {
    reader.close();
  }
}

/** The share of a normal distribution that lies more than one deviation below the middle. */
const shareBelow = 0.15866;

/** The value that one of n standard normal numbers exceeds, by the leading term of the tail, exp(−z²/2) / (z √2π) = 1/n. */
function highestOf(n: number): number {
  const many = Math.max(n, 16);
  let z = Math.sqrt(2 * Math.log(many));
  for (let step = 0; step < 4; step++) z = Math.sqrt(2 * Math.log(many / (z * Math.sqrt(2 * Math.PI))));
  return z;
}

/** Cosines of all pairs, rising. */
function cosinesOf(rows: readonly Float32Array[]): Float32Array {
  const cosines = new Float32Array((rows.length * (rows.length - 1)) / 2);
  let next = 0;
  for (let a = 0; a < rows.length; a++) for (let b = 0; b < a; b++) cosines[next++] = dot(rows[a], rows[b]);
  return cosines.sort();
}

/** Cosines from `start` to `end` beside the middle, in place. */
export function besideMiddle(cosines: Float32Array, middle: number, start = 0, end = cosines.length): void {
  for (let i = start; i < end; i++) cosines[i] = (cosines[i] - middle) / (1 - middle);
}
