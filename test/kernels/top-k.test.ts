import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Arena } from '../../src/kernels/arena.js';
import { bestSimdLevel, listedIds, loadKernels, type SimdLevel } from '../../src/kernels/kernels.js';
import * as scalar from '../../src/kernels/scalar.js';

const levels: SimdLevel[] = bestSimdLevel() === 'relaxed' ? ['relaxed', 'simd'] : ['simd'];
const sizes = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33];

/** Values in steps of 1/8 from −1 to 1, so that ties, both zeros and both signs occur. */
function coarse(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = ((state >>> 8) % 17) / 8 - 1;
    return value === 0 && (state & 128) !== 0 ? -0 : value;
  });
}

for (const level of levels) {
  describe(`top-k lists at SIMD level ${level}`, () => {
    for (const columns of sizes) {
      it(`agree with their scalar twin, ${columns} columns, any rows and k`, () => {
        for (const rows of [1, 2, 9]) {
          for (const k of [1, 2, 3, 4, 6, 7]) {
            const arena = new Arena(2 ** 16, 8);
            const kernels = loadKernels(arena, level);
            const tile = {
              ...{ rows, columns, k, firstRow: 100, firstColumn: 200 },
              similarities: arena.float32(rows * columns + 15),
              leastOfColumn: arena.float32(columns + 15),
            };
            const [rowLists, columnLists] = [arena.float32(rows * 2 * k), arena.float32(columns * 2 * k)];
            const twin = {
              rowLists: new Float32Array(new ArrayBuffer(rows * 8 * k)),
              columnLists: new Float32Array(new ArrayBuffer(columns * 8 * k)),
            };
            for (let pass = 0; pass < 3; pass++) {
              const offered = { ...tile, firstRow: 100 + pass * rows, firstColumn: 200 + pass * columns };
              tile.similarities.set(coarse(rows * columns, pass + columns * 31 + k));
              if (pass === 1) tile.similarities[0] = Number.NaN;
              kernels.offerTile({ ...offered, rowLists, columnLists: pass === 2 ? undefined : columnLists });
              scalar.offerTile({ ...offered, ...twin, columnLists: pass === 2 ? undefined : twin.columnLists });
            }
            kernels.sortLists(rows, k, rowLists);
            kernels.sortLists(columns, k, columnLists);
            assert.deepEqual(bits(rowLists), bits(twin.rowLists), `row lists: ${rows} × ${columns}, k ${k}`);
            assert.deepEqual(bits(columnLists), bits(twin.columnLists), `column lists: ${rows} × ${columns}, k ${k}`);
          }
        }
      });
    }
  });
}

it('lists hold the greatest similarities, ties by the smaller id', () => {
  const arena = new Arena(4096, 8);
  const kernels = loadKernels(arena);
  const similarities = arena.float32(6 + 15);
  similarities.set([0.5, -0.25, 0.5, Number.NaN, -0, 0]);
  const rowLists = arena.float32(2 * 5);
  const leastOfColumn = arena.float32(6 + 15);
  kernels.offerTile({ rows: 1, columns: 6, similarities, k: 5, firstRow: 0, firstColumn: 10, rowLists, leastOfColumn });
  kernels.sortLists(1, 5, rowLists);
  const ids = new Int32Array(5);
  listedIds(1, 5, rowLists, ids);
  assert.deepEqual([...ids], [10, 12, 14, 15, 11]);
});

function bits(lists: Float32Array): BigUint64Array {
  return new BigUint64Array(lists.buffer, lists.byteOffset, lists.length / 2).slice();
}
