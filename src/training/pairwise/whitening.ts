/**
 * Finds the whitening of a labelled set, and whether it pays. With S the covariance of rows about the mean of their identity,
 *
 *   M = 0.9 S + 0.1 tr(S)/d · I = L Lᵀ (Cholesky)    A = L⁻¹    b = 0
 *
 * so cosines after it are those by M⁻¹; the share of the identity keeps A bounded where a set says little. Embeddings that were made for
 * the kind of images at hand need none, and a set of few rows gives a poor one. The mean of the set's rows is not taken away: another
 * set has another mean, and between rows that all lie to one side of a mean that is not theirs, strangers too, cosines are high.
 *
 * Cosines of rows that S was found from are far better than those of others: of 2,875 people in 512 columns, half of whom found it, the
 * area under the curve of their cosines was .999, and .990 that of the others. A network that learns from the first, and a threshold that
 * is calibrated on them, are too sure of themselves on every other set. So identities are dealt to folds, each of which is whitened by what the
 * others found; that also judges whether whitening pays. The model has what all of them find together.
 */
import { relabel } from '../../cluster/relabel.js';
import type { Differences } from '../../cluster/truth.js';
import { auc } from '../../evaluation/auc.js';
import type { KnnGraph } from '../../graph/knn-graph.js';
import { Whitener, type Whitening } from '../../heads/pairwise/whitening.js';
import { SharedRows, type SharedRowsHandle } from '../../memory/shared-rows.js';

/** A set to find it from; rows are unit vectors of `dim` columns, perhaps padded. */
interface LabelledRows {
  readonly rows: SharedRows;
  readonly dim: number;
  readonly graph: KnnGraph;
  /** Identity of each row, −1 where not known [n]. */
  readonly labels: Int32Array;
  /** Which of them are known to be different, by their order of first appearance; by default any two. */
  readonly differences?: Differences | undefined;
}

export interface FoundWhitening {
  /** From all identities, for sets that have none of them. */
  readonly whitening: Whitening;
  /** For the identities of each fold, from those of all others. */
  readonly heldOut: readonly Whitening[];
}

const folds = 4;

/** The fold of an identity, by its number in the order of first appearance; −1, of which nothing was found, is in any. */
export function whiteningFold(identity: number): number {
  return Math.max(0, identity) % folds;
}

/** Rows that the covariance is found from, and rows whose neighbours judge it. */
const maxRows = 2 ** 14;
const maxJudges = 2 ** 11;
const kept = 0.9;
/** It must add so much to the area under the curve, or such a share of what that is short of 1. */
const worth = 0.02;
const worthOfRest = 0.3;

/** The whitening, where it pays; undefined where it does not, or where hardly an identity has two rows. */
export async function findWhitening(set: LabelledRows): Promise<FoundWhitening | undefined> {
  const { dim } = set;
  const identities = set.labels.slice();
  relabel(identities);
  const scatters = scattersOf(set, identities);
  const heldOut: Whitening[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const others = scatters.filter((_, other) => other !== fold);
    const whitening = whiteningOf(dim, others);
    if (!whitening) return undefined;
    heldOut.push(whitening);
  }
  const { before, after } = await areas(set, identities, heldOut);
  if (!(after - before > Math.min(worth, worthOfRest * (1 - before)))) return undefined;
  return { whitening: whiteningOf(dim, scatters)!, heldOut };
}

/** The memory that threads share to whiten rows. */
export interface WhitenJob {
  /** [n × d], perhaps padded. */
  readonly rows: SharedRowsHandle;
  /** Written: the rows whitened, which may take the place of the others [n × d]. */
  readonly whitened: SharedRowsHandle;
  readonly whitening: Whitening;
}

/** Whitens rows start .. end−1 on the calling thread. */
export async function whitenRows(job: WhitenJob, start: number, end: number): Promise<void> {
  const { whitening } = job;
  const [rows, whitened] = [SharedRows.from(job.rows), SharedRows.from(job.whitened)];
  const whitener = await Whitener.create(whitening);
  const dim = whitening.bias.length;
  const atOnce = 1024;
  const local = new Float32Array(Math.min(atOnce, end - start) * dim);
  for (let first = start; first < end; first += atOnce) {
    const count = Math.min(atOnce, end - first);
    for (let i = 0; i < count; i++) local.set(rows.row(first + i).subarray(0, dim), i * dim);
    await whitener.run(local, count);
    for (let i = 0; i < count; i++) whitened.row(first + i).set(local.subarray(i * dim, (i + 1) * dim));
  }
  await whitener.release();
}

/** How rows of the identities of a fold differ from the means of their identities. */
interface Scatter {
  /** Sums of products, of which the lower triangle is there [d × d]. */
  readonly products: Float64Array;
  /** Rows less identities. */
  freedom: number;
}

/** The scatter of each fold, from the first rows of known identity. */
function scattersOf({ rows, dim }: LabelledRows, identities: Int32Array): Scatter[] {
  const chosen: number[] = [];
  for (let row = 0; row < identities.length && chosen.length < maxRows; row++) {
    if (identities[row] >= 0) chosen.push(row);
  }
  const rowsOf = new Map<number, number[]>();
  for (const row of chosen) {
    const own = rowsOf.get(identities[row]);
    if (own) own.push(row);
    else rowsOf.set(identities[row], [row]);
  }
  const scatters = Array.from({ length: folds }, () => ({ products: new Float64Array(dim * dim), freedom: 0 }));
  const centre = new Float64Array(dim);
  const away = Array.from({ length: rowsAtOnce }, () => new Float64Array(dim));
  for (const [identity, own] of rowsOf) {
    if (own.length < 2) continue;
    const scatter = scatters[whiteningFold(identity)];
    scatter.freedom += own.length - 1;
    centre.fill(0);
    for (const row of own) for (let c = 0; c < dim; c++) centre[c] += rows.row(row)[c] / own.length;
    for (let start = 0; start < own.length; start += rowsAtOnce) {
      for (const [i, values] of away.entries()) {
        // Rows of zeros behind the last one change no sum.
        if (start + i >= own.length) values.fill(0);
        else {
          const x = rows.row(own[start + i]);
          for (let c = 0; c < dim; c++) values[c] = x[c] - centre[c];
        }
      }
      addProducts(scatter.products, away);
    }
  }
  return scatters;
}

const rowsAtOnce = 4;

/** Adds the products of four vectors with themselves, one after the other, to the lower triangle of a matrix [d × d]. */
function addProducts(products: Float64Array, [a, b, c, d]: readonly Float64Array[]): void {
  const dim = a.length;
  for (let row = 0; row < dim; row++) {
    const line = row * dim;
    const [inA, inB, inC, inD] = [a[row], b[row], c[row], d[row]];
    for (let i = 0; i <= row; i++) {
      products[line + i] = products[line + i] + inA * a[i] + inB * b[i] + inC * c[i] + inD * d[i];
    }
  }
}

/** The whitening that the scatters of some folds give; undefined where they are too little for one. */
function whiteningOf(dim: number, scatters: readonly Scatter[]): Whitening | undefined {
  const covariance = new Float64Array(dim * dim);
  let freedom = 0;
  for (const scatter of scatters) {
    freedom += scatter.freedom;
    for (let i = 0; i < covariance.length; i++) covariance[i] += scatter.products[i];
  }
  let trace = 0;
  for (let c = 0; c < dim; c++) trace += covariance[c * dim + c];
  if (freedom < dim || !(trace > 0)) return undefined;
  for (let r = 0; r < dim; r++) {
    for (let c = 0; c <= r; c++) covariance[r * dim + c] *= kept / freedom;
    covariance[r * dim + r] += ((1 - kept) * trace) / freedom / dim;
  }
  const inverse = inverseOfLower(cholesky(covariance, dim), dim);
  return { weight: Float32Array.from(inverse), bias: new Float32Array(dim) };
}

/** The lower triangle L of a positive definite matrix L Lᵀ whose lower triangle is given, in its place. */
function cholesky(matrix: Float64Array, dim: number): Float64Array {
  for (let c = 0; c < dim; c++) {
    for (let r = c; r < dim; r++) {
      let sum = matrix[r * dim + c];
      for (let i = 0; i < c; i++) sum -= matrix[r * dim + i] * matrix[c * dim + i];
      matrix[r * dim + c] = r === c ? Math.sqrt(sum) : sum / matrix[c * dim + c];
    }
  }
  return matrix;
}

function inverseOfLower(lower: Float64Array, dim: number): Float64Array {
  const inverse = new Float64Array(dim * dim);
  for (let c = 0; c < dim; c++) {
    inverse[c * dim + c] = 1 / lower[c * dim + c];
    for (let r = c + 1; r < dim; r++) {
      let sum = 0;
      for (let i = c; i < r; i++) sum -= lower[r * dim + i] * inverse[i * dim + c];
      inverse[r * dim + c] = sum / lower[r * dim + r];
    }
  }
  return inverse;
}

/** The area under the curve of cosines of listed neighbours, as they are and after whitening, each list by one that has not seen its node. */
async function areas(
  { rows, dim, graph, differences }: LabelledRows,
  identities: Int32Array,
  heldOut: readonly Whitening[],
): Promise<{ before: number; after: number }> {
  const isKnown = (a: number, b: number) => a === b || !differences || differences.between(a, b);
  const whiteners = await Promise.all(heldOut.map((whitening) => Whitener.create(whitening)));
  const before: number[] = [];
  const after: number[] = [];
  const same: number[] = [];
  const { width, ids } = graph;
  const list = new Float32Array(width * dim);
  const judges = identities.reduce((count, identity) => count + Number(identity >= 0), 0);
  const share = Math.min(1, maxJudges / judges);
  let passed = 0;
  for (let row = 0; row < identities.length; row++) {
    if (identities[row] < 0) continue;
    passed += share;
    if (passed < 1) continue;
    passed -= 1;
    const others = Array.from(ids.subarray(row * width + 1, (row + 1) * width)).filter(
      (id) => id >= 0 && identities[id] >= 0 && isKnown(identities[row], identities[id]),
    );
    [row, ...others].forEach((id, i) => {
      list.set(rows.row(id).subarray(0, dim), i * dim);
    });
    for (let i = 1; i <= others.length; i++) before.push(dot(list, 0, i * dim, dim));
    await whiteners[whiteningFold(identities[row])].run(list, others.length + 1);
    for (let i = 1; i <= others.length; i++) after.push(dot(list, 0, i * dim, dim));
    for (const id of others) same.push(Number(identities[id] === identities[row]));
  }
  for (const whitener of whiteners) await whitener.release();
  const truth = Uint8Array.from(same);
  return { before: auc(Float32Array.from(before), truth), after: auc(Float32Array.from(after), truth) };
}

function dot(values: Float32Array, a: number, b: number, length: number): number {
  let sum = 0;
  for (let c = 0; c < length; c++) sum += values[a + c] * values[b + c];
  return sum;
}
