import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Arena } from '../../src/kernels/arena.js';
import { InnerProducts, Linear } from '../../src/kernels/gemm.js';
import { bestSimdLevel, type Kernels, loadKernels, type SimdLevel } from '../../src/kernels/kernels.js';
import * as scalar from '../../src/kernels/scalar.js';

const levels: SimdLevel[] = bestSimdLevel() === 'relaxed' ? ['relaxed', 'simd'] : ['simd'];
if (levels.length === 1)
  console.log(`# relaxed SIMD is not enabled in Node ${process.version}: only plain SIMD runs here`);

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

function fill(view: Float32Array, next: () => number): Float32Array {
  for (let i = 0; i < view.length; i++) view[i] = next();
  return view;
}

/** Sums of whole numbers. */
function whole(view: Int32Array, next: () => number): Int32Array {
  for (let i = 0; i < view.length; i++) view[i] = next() * 2 ** 20;
  return view;
}

function inArena(arena: Arena, values: Int32Array): Int32Array {
  const view = arena.int32(values.length);
  view.set(values);
  return view;
}

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    assert.ok(error <= tolerance * Math.max(1, Math.abs(expected[i])), `${what}[${i}]: ${actual[i]} ≠ ${expected[i]}`);
  }
}

const setups: [SimdLevel, Arena, Kernels][] = levels.map((level) => {
  const arena = new Arena(64 << 20, 4096);
  return [level, arena, loadKernels(arena, level)];
});

for (const [level, arena, kernels] of setups) {
  describe(`kernels at SIMD level ${level}`, () => {
    for (const dim of [4, 8, 28, 32, 36, 64, 100, 128, 512]) {
      for (const width of [1, 2, 7, 21]) {
        it(`attend agrees with its scalar twin: d ${dim}, list width ${width}, two heads`, () => {
          const next = random(dim * 31 + width);
          const [count, rowCount, heads] = [9, 40, 2];
          const lists = arena.int32(count * width);
          for (let i = 0; i < count; i++) {
            const length = i === 0 ? width : 1 + Math.floor(((next() + 1) / 2) * (width - 1));
            for (let j = 0; j < width; j++) {
              lists[i * width + j] = j < length ? Math.floor(((next() + 1) / 2) * (rowCount - 1)) : -1;
            }
          }
          const rows = fill(arena.float32(rowCount * dim * heads), next);
          const centre = fill(arena.float32(count * heads), next);
          const neighbour = fill(arena.float32(rowCount * heads), () => next() * 20);
          const outputBias = fill(arena.float32(dim), next);
          const weights = arena.float32(width);
          const out = arena.float32(count * dim);
          const expected = new Float32Array(count * dim);
          for (let head = 0; head < heads; head++) {
            const input = {
              count,
              width,
              dim,
              lists,
              rows,
              rowStride: dim * heads,
              column: head * dim,
              centre,
              neighbour,
              scalarStride: heads,
              head,
              attentionBias: 0.3,
              alpha: 0.2,
              outputBias,
              scale: 0.5,
              accumulate: head > 0,
              weights,
            };
            kernels.attend({ ...input, out });
            scalar.attend({ ...input, out: expected });
          }
          // float32 sums of at most 21 products of values below 1, and e^x to 2e-7
          assertClose(out, expected, 4e-6, 'out');
        });
      }

      it(`pairScores agrees with its scalar twin on every run length: d ${dim}`, () => {
        const next = random(dim);
        const runs = [1, 2, 3, 4, 5, 7, 8, 9, 15];
        const edgeCount = runs.reduce((sum, run) => sum + run, 0);
        const pairs = arena.int32(edgeCount * 2);
        let e = 0;
        runs.forEach((run, a) => {
          for (let i = 0; i < run; i++, e++) pairs.set([a, (e * 7) % 20], 2 * e);
        });
        const left = fill(arena.float32(runs.length * dim), next);
        const right = fill(arena.float32(20 * dim), next);
        const positive = fill(arena.float32(dim), next);
        const negative = fill(arena.float32(dim), next);
        const input = { edgeCount, dim, pairs, left, right, positive, negative, bias: -0.25 };
        const gaps = arena.float32(edgeCount);
        const expected = new Float32Array(edgeCount);
        kernels.pairScores({ ...input, gaps });
        scalar.pairScores({ ...input, gaps: expected });
        assertClose(gaps, expected, 1e-5, 'gaps');

        // an edge alone scores exactly what it scores in company
        const alone = arena.float32(1);
        kernels.pairScores({ ...input, edgeCount: 1, pairs: pairs.subarray(2 * 5, 2 * 5 + 2), gaps: alone });
        assert.equal(alone[0], gaps[5]);
      });
    }

    for (const dim of [4, 12, 16, 60, 64, 68, 512]) {
      it(`listDots agrees with its scalar twin, and a pair has one product wherever it is met: d ${dim}`, () => {
        const rows = fill(arena.float32(7 * dim), random(dim));
        const lists = arena.int32(3 * 4);
        lists.set([2, 5, 0, 6, 5, 2, -1, -1, 3, -1, -1, -1]);
        const out = arena.float32(12).fill(9);
        const expected = new Float32Array(12).fill(9);
        const input = { count: 3, width: 4, dim, lists, rows };
        kernels.listDots({ ...input, out });
        scalar.listDots({ ...input, out: expected });
        // float32 sums of d products below 1
        assertClose(out, expected, 4e-6, 'out');
        assert.equal(out[1], out[5]);
      });
    }

    for (const dim of [1, 2, 3, 4, 5, 7, 8, 15, 16, 17]) {
      it(`rowNorms agrees with its scalar twin: d ${dim}`, () => {
        const rows = fill(arena.float32(5 * dim), random(dim));
        const norms = arena.float32(5);
        const expected = new Float32Array(5);
        kernels.rowNorms(5, dim, rows, norms);
        scalar.rowNorms(5, dim, rows, expected);
        assertClose(norms, expected, 1e-6, 'norms');
      });
    }

    it('upperBounds agrees with its scalar twin to the bit, any columns', () => {
      for (const columns of [1, 3, 4, 7, 16, 33]) {
        const next = random(columns);
        const rows = 5;
        const view = (count: number) => fill(arena.float32(count), next);
        const input = {
          rows,
          columns,
          sums: whole(arena.int32(rows * columns), next),
          rowSteps: view(rows),
          rowMargins: view(rows),
          columnSteps: view(columns),
          columnMargins: view(columns),
        };
        const twin = { ...input, sums: input.sums.slice() };
        kernels.upperBounds(input);
        scalar.upperBounds(twin);
        assert.deepEqual(input.sums.slice(), twin.sums);
      }
    });

    it('greatestSums takes the first of equals, over columns that come in turn, any columns', () => {
      for (const columns of [1, 3, 4, 5, 16, 33]) {
        const next = random(columns);
        const rows = 9;
        const [greatest, places] = [arena.int32(rows).fill(-(2 ** 31)), arena.int32(rows)];
        const twin = { greatest: greatest.slice(), places: places.slice() };
        for (let firstColumn = 0; firstColumn < 3 * columns; firstColumn += columns) {
          const sums = whole(arena.int32(rows * columns), next).map((sum) => sum >> 17);
          const input = { rows, columns, sums: inArena(arena, sums), firstColumn };
          kernels.greatestSums({ ...input, greatest, places });
          scalar.greatestSums({ ...input, ...twin });
        }
        assert.deepEqual([greatest.slice(), places.slice()], [twin.greatest, twin.places], `${columns} columns`);
      }
    });

    it('reachingSums agrees with its scalar twin, any columns', () => {
      for (const columns of [1, 3, 4, 5, 16, 33]) {
        const next = random(columns);
        const rows = 9;
        const sums = whole(arena.int32(rows * columns), next);
        const least = whole(arena.int32(rows), next);
        least[0] = sums[0];
        const pairs = arena.int32(1 + rows * columns);
        const expected = new Int32Array(1 + rows * columns);
        kernels.reachingSums({ rows, columns, sums, firstRow: 70, least, pairs });
        scalar.reachingSums({ rows, columns, sums, firstRow: 70, least, pairs: expected });
        assert.deepEqual(pairs.slice(), expected, `${columns} columns`);
      }
    });

    it('turnRows agrees with its scalar twin, any number of rows', () => {
      for (const count of [1, 2, 3, 4, 5, 7, 8, 30, 33]) {
        const rows = arena.uint8(count * 48);
        for (let i = 0; i < rows.length; i++) rows[i] = 1 + ((i * 7919) % 127);
        const out = arena.uint8(count * 48 + 1);
        const columns = new Int8Array(out.buffer, out.byteOffset, out.length);
        const expected = new Int8Array(count * 48 + 1);
        kernels.turnRows(count, 48, 64, rows, columns);
        scalar.turnRows(count, 48, 64, rows, expected);
        assert.deepEqual(columns.slice(), expected, `${count} rows`);
      }
    });

    it('rowDots reads one head of strided rows and writes one column', () => {
      const rows = fill(arena.float32(6 * 24), random(3));
      const vector = fill(arena.float32(12), random(4));
      const out = arena.float32(12);
      const expected = new Float32Array(12);
      const input = { count: 6, dim: 12, rows, stride: 24, column: 12, vector, outStride: 2, outColumn: 1 };
      kernels.rowDots({ ...input, out });
      scalar.rowDots({ ...input, out: expected });
      assertClose(out, expected, 1e-6, 'out');
      assert.equal(out[0], 0);
    });
  });
}

describe('GEMM', () => {
  const arena = new Arena(32 << 20, 64);

  it('computes x Wᵀ + b', async () => {
    const next = random(1);
    const weight = fill(new Float32Array(6 * 5), next);
    const bias = fill(new Float32Array(6), next);
    const x = fill(arena.float32(3 * 5), next);
    const y = arena.float32(3 * 6);
    const linear = await Linear.create(weight, bias);
    await linear.run(3, x, y);
    const expected = Float32Array.from({ length: 18 }, (_, i) => {
      const [r, o] = [Math.floor(i / 6), i % 6];
      return weight.subarray(o * 5, o * 5 + 5).reduce((sum, w, k) => sum + w * x[r * 5 + k], bias[o]);
    });
    assertClose(y, expected, 1e-6, 'y');
  });

  it('gives a row the same bits wherever it stands in a batch of any size', async () => {
    const dim = 512;
    const next = random(2);
    const linear = await Linear.create(fill(new Float32Array(dim * dim), next), fill(new Float32Array(dim), next));
    const row = fill(new Float32Array(dim), next);
    const rowCount = 333;
    const x = arena.float32(rowCount * dim);
    for (let r = 0; r < rowCount; r++) x.set(row, r * dim);
    const y = arena.float32(rowCount * dim);
    await linear.run(rowCount, x, y);
    const first = y.slice(0, dim);
    for (const count of [rowCount, 1, 2, 3, 5, 7, 8, 12, 13, 16, 100]) {
      await linear.run(count, x, y);
      for (let r = 0; r < count; r++) assert.deepEqual(y.subarray(r * dim, (r + 1) * dim), first);
    }
  });

  it('computes A Bᵀ', async () => {
    const a = fill(arena.float32(2 * 7), random(5));
    const b = fill(arena.float32(3 * 7), random(6));
    const c = arena.float32(6);
    await (await InnerProducts.create(7)).run(2, 3, a, b, c);
    const expected = Float32Array.from({ length: 6 }, (_, i) =>
      a.subarray(Math.floor(i / 3) * 7, Math.floor(i / 3) * 7 + 7).reduce((s, v, k) => s + v * b[(i % 3) * 7 + k], 0),
    );
    assertClose(c, expected, 1e-6, 'c');
  });
});
