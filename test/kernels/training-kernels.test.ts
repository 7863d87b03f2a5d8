/** The SIMD kernels of training against their scalar twins, on sizes with and without tails. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RandomStream } from '../../src/graph/random.js';
import { Products } from '../../src/kernels/gemm.js';
import { bestSimdLevel, type SimdLevel } from '../../src/kernels/kernels.js';
import { loadTrainingKernels } from '../../src/kernels/training-kernels.js';
import * as scalar from '../../src/kernels/training-scalar.js';

const levels: SimdLevel[] = bestSimdLevel() === 'relaxed' ? ['relaxed', 'simd'] : ['simd'];
const memory = new WebAssembly.Memory({ initial: 256, maximum: 65536, shared: true });

/** Views cut from the start of the memory, one problem after another. */
function problem(seed: number) {
  const random = new RandomStream(seed, 2000, 0);
  let top = 64;
  const cut = (length: number) => {
    const start = top;
    top += Math.ceil((4 * length) / 16) * 16;
    return start;
  };
  const floats = (length: number, next: () => number = () => 0) => {
    const view = new Float32Array(memory.buffer, cut(length), length);
    for (let i = 0; i < length; i++) view[i] = next();
    return view;
  };
  const ints = (values: ArrayLike<number>) => {
    const view = new Int32Array(memory.buffer, cut(values.length), values.length);
    view.set(values);
    return view;
  };
  const gaussian = () => random.gaussian();
  /** Lists of the given lengths of rows below `rowCount`. */
  const lists = (lengths: number[], rowCount: number) => {
    const offsets = [0];
    for (const length of lengths) offsets.push(offsets[offsets.length - 1] + length);
    const entries = offsets[lengths.length];
    const index = ints(Int32Array.from({ length: entries }, () => random.below(rowCount)));
    return { offsets: ints(offsets), index, entries, first: 1, count: lengths.length - 1 };
  };
  return { random, floats, ints, gaussian, lists };
}

/** What float32 sums of some dozens of terms of size one may differ by. */
function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    assert.ok(error <= 2e-5 * Math.max(1, Math.abs(expected[i])), `${what}[${i}]: ${actual[i]} ≠ ${expected[i]}`);
  }
}

const lengths = [2, 1, 3, 4, 5, 7, 8, 9, 15, 21];
const dims = [4, 8, 28, 32, 36, 64, 100, 512];

for (const level of levels) {
  const kernels = loadTrainingKernels(memory, level);
  describe(`training kernels at SIMD level ${level}`, () => {
    for (const dim of dims) {
      it(`weightedRows, with and without a bias: d ${dim}`, () => {
        const { floats, gaussian, lists } = problem(dim);
        const [rowCount, heads] = [13, 2];
        const range = lists([0, ...lengths], rowCount);
        const input = {
          ...range,
          dim,
          weights: floats(range.entries, gaussian),
          rows: floats(rowCount * dim * heads, gaussian),
          rowStride: dim * heads,
          column: dim,
          outStride: dim * heads,
          outColumn: dim,
        };
        for (const bias of [undefined, floats(dim, gaussian)]) {
          const out = floats((lengths.length + 1) * dim * heads);
          const expected = new Float32Array(out.length);
          kernels.weightedRows({ ...input, ...(bias ? { bias } : {}), out });
          scalar.weightedRows({ ...input, ...(bias ? { bias } : {}), out: expected });
          assertClose(out, expected, 'out');
        }
      });

      it(`attentionWeights and attentionGradient: d ${dim}`, () => {
        const { floats, gaussian, lists } = problem(dim + 1);
        const [rowCount, heads] = [13, 2];
        const range = lists(lengths, rowCount);
        const scalars = {
          ...range,
          centre: floats((lengths.length + 3) * heads, gaussian),
          centreShift: 3,
          neighbour: floats(rowCount * heads, () => 9 * gaussian()),
          scalarStride: heads,
          head: 1,
          attentionBias: 0.3,
          alpha: 0.2,
        };
        const weights = floats(range.entries);
        const expectedWeights = new Float32Array(range.entries);
        kernels.attentionWeights({ ...scalars, weights });
        scalar.attentionWeights({ ...scalars, weights: expectedWeights });
        assertClose(weights, expectedWeights, 'weights');

        const input = {
          ...scalars,
          dim,
          weights,
          kept: floats(range.entries, gaussian),
          rowStride: dim * heads,
          column: dim,
          rows: floats(rowCount * dim * heads, () => gaussian() / dim),
          gradient: floats(lengths.length * dim * heads, gaussian),
        };
        const out = { slopes: floats(range.entries), centreSlopes: floats(lengths.length * heads) };
        const expected = {
          slopes: new Float32Array(range.entries),
          centreSlopes: new Float32Array(lengths.length * heads),
        };
        kernels.attentionGradient({ ...input, ...out });
        scalar.attentionGradient({ ...input, ...expected });
        assertClose(out.slopes, expected.slopes, 'slopes');
        assertClose(out.centreSlopes, expected.centreSlopes, 'centreSlopes');
      });

      it(`pairGradients, with sums and in place: d ${dim}`, () => {
        const { floats, gaussian, lists } = problem(dim + 2);
        const rowCount = 13;
        const range = lists([1, 0, ...lengths], rowCount);
        const own = floats((lengths.length + 2) * dim, gaussian);
        const input = {
          ...range,
          dim,
          deltas: floats(range.entries, gaussian),
          own,
          other: floats(rowCount * dim, gaussian),
          positive: floats(dim, gaussian),
          negative: floats(dim, gaussian),
        };
        const expected = new Float32Array(own.length);
        const expectedSums = new Float32Array(2 * dim).fill(0.5);
        scalar.pairGradients({ ...input, out: expected, sums: expectedSums });
        const out = floats(own.length);
        const sums = floats(2 * dim, () => 0.5);
        kernels.pairGradients({ ...input, out, sums });
        assertClose(out, expected, 'out');
        assertClose(sums, expectedSums, 'sums');
        expected.set(own.subarray(0, dim));
        kernels.pairGradients({ ...input, out: own });
        assertClose(own, expected, 'out in place');
      });

      it(`reluGradient: d ${dim}`, () => {
        const { floats, gaussian } = problem(dim + 3);
        const values = floats(5 * 2 * dim, () => Math.max(0, gaussian()));
        const expected = values.slice();
        const input = { count: 5, dim, stride: 2 * dim, column: dim, gradient: floats(5 * dim, gaussian), scale: 0.25 };
        kernels.reluGradient({ ...input, values });
        scalar.reluGradient({ ...input, values: expected });
        assert.deepEqual(Float32Array.from(values), expected);
      });
    }

    it('adam', () => {
      const { floats, gaussian } = problem(5);
      const make = () => ({
        gradient: floats(64, gaussian),
        parameters: floats(64, gaussian),
        firstMoments: floats(64, gaussian),
        secondMoments: floats(64, () => gaussian() ** 2),
      });
      const settings = {
        clip: 0.5,
        decay: 5e-4,
        blend1: 0.1,
        blend2: 0.001,
        epsilon: 1e-8,
        rate: 0.02,
        rootScale: 3,
      };
      const values = make();
      const expected = structuredCloneOf(values);
      kernels.adam({ ...values, ...settings });
      scalar.adam({ ...expected, ...settings });
      for (const name of ['parameters', 'firstMoments', 'secondMoments'] as const) {
        assertClose(values[name], expected[name], name);
      }
    });
  });
}

function structuredCloneOf<T extends Record<string, Float32Array>>(views: T): T {
  return Object.fromEntries(Object.entries(views).map(([name, view]) => [name, view.slice()])) as T;
}

describe('products of matrices that change', () => {
  const [m, n, k] = [5, 4, 3];
  const random = new RandomStream(1, 2001, 0);
  const matrix = (length: number) => Float32Array.from({ length }, () => random.gaussian());
  const expectation = (term: (i: number, j: number, q: number) => number, start: (i: number, j: number) => number) =>
    Float32Array.from({ length: m * n }, (_, place) => {
      const [i, j] = [Math.floor(place / n), place % n];
      let sum = start(i, j);
      for (let q = 0; q < k; q++) sum += term(i, j, q);
      return sum;
    });

  it('linear, plain and inner', async () => {
    const products = await Products.create();
    const y = new Float32Array(m * n);
    const [a, b, c] = [matrix(m * k), matrix(n * k), matrix(n)];
    await products.linear([m, n, k], a, b, c, y);
    const linear = expectation(
      (i, j, q) => a[i * k + q] * b[j * k + q],
      (_, j) => c[j],
    );
    assertClose(y, linear, 'linear');
    await products.plain([m, n, k], a, b, y);
    const plain = expectation(
      (i, j, q) => a[i * k + q] * b[q * n + j],
      () => 0,
    );
    assertClose(y, plain, 'plain');
    await products.inner([m, n, k], a, b, y);
    const inner = expectation(
      (i, j, q) => a[q * m + i] * b[q * n + j],
      (i, j) => plain[i * n + j],
    );
    assertClose(y, inner, 'inner, added');
    await products.release();
  });
});
