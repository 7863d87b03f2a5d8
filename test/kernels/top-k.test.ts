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
  it(`similarities that reach the least of their column are found, SIMD level ${level}`, () => {
    for (const columns of [...sizes, 64, 100]) {
      for (const rows of [1, 3, 9]) {
        const arena = new Arena(2 ** 16, 8);
        const kernels = loadKernels(arena, level);
        const tile = {
          rows,
          columns,
          similarities: arena.float32(rows * columns + 15).fill(1),
          leastOfColumn: arena.float32(columns + 15).fill(-1),
        };
        tile.similarities.set(coarse(rows * columns, columns));
        tile.similarities[rows * columns - 1] = Number.NaN;
        tile.leastOfColumn.set(coarse(columns, rows).map((value, j) => (j % 5 === 1 ? Infinity : value)));
        const [places, twin] = [arena.int32(rows * columns + 1), new Int32Array(rows * columns + 1)];
        kernels.reaching({ ...tile, places });
        scalar.reaching({ ...tile, places: twin });
        assert.deepEqual(places, twin);
        assert.ok(columns < 8 || (places[0] > 0 && places[0] < rows * columns));
      }
    }
  });

  describe(`top-k lists at SIMD level ${level}`, () => {
    for (const columns of sizes) {
      it(`agree with their scalar twin, ${columns} columns, any rows and k`, () => {
        for (const rows of [1, 2, 9]) {
          for (const k of [1, 2, 3, 4, 6, 7]) {
            const arena = new Arena(2 ** 16, 8);
            const kernels = loadKernels(arena, level);
            const tile = {
              rows,
              columns,
              k,
              firstRow: 100,
              firstColumn: 200,
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

for (const level of levels) {
  it(`lists of picked rows agree with their scalar twin and take a pair once, SIMD level ${level}`, () => {
    for (const [rows, columns, k, blocks] of [
      [1, 1, 1, 2],
      [3, 7, 2, 2],
      [9, 16, 5, 2],
      [8, 33, 4, 1],
      [17, 15, 7, 1],
    ]) {
      const listCount = 40;
      const arena = new Arena(2 ** 16, 8);
      const kernels = loadKernels(arena, level);
      const picked = arena.int32(rows);
      picked.set(Array.from({ length: rows }, (_, i) => (i * 2) % listCount));
      const similarities = arena.int32(rows * columns + 15);
      const size = listCount * 2 * k;
      const [own, other] = [arena.float32(size), arena.float32(size)];
      const [ownLeast, otherLeast] = [arena.float32(listCount + 15), arena.float32(listCount + 15)];
      kernels.leastKept(listCount, k, own, ownLeast);
      kernels.leastKept(listCount, k, other, otherLeast);
      const twin = [new Float32Array(new ArrayBuffer(size * 4)), new Float32Array(new ArrayBuffer(size * 4))];
      const values = coarse(rows * columns, rows + columns);
      // Two blocks of lists, or one that serves rows and columns, whose pairs then have one similarity in either order.
      const firstRow = 100;
      const firstColumn = blocks === 1 ? firstRow + 3 : 500;
      const columnAt = blocks === 1 ? 3 : 0;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          const [a, b] = [firstRow + picked[i], firstColumn + j].sort((x, y) => x - y);
          values[i * columns + j] = ((a * 31 + b * 17) % 23) - 8;
        }
      }
      const shape = { rows, columns, k, picked, firstRow, firstColumn };
      for (let pass = 0; pass < 2; pass++) {
        similarities.set(values);
        const lists = (sides: Float32Array[]) => ({
          rowLists: sides[0],
          rowLeast: ownLeast,
          columnLists: sides[blocks === 1 ? 0 : 1].subarray(columnAt * 2 * k),
          columnLeast: (blocks === 1 ? ownLeast : otherLeast).subarray(columnAt),
        });
        kernels.offerPicked({ ...shape, similarities, ...lists([own, other]) });
        scalar.offerPicked({ ...shape, similarities, ...lists(twin) });
      }
      for (const [lists, least] of [
        [own, ownLeast],
        [other, otherLeast],
      ]) {
        const expected = new Float32Array(listCount);
        scalar.leastKept(listCount, k, lists, expected);
        assert.deepEqual(least.subarray(0, listCount), expected);
      }
      for (const lists of [own, other]) kernels.sortLists(listCount, k, lists);
      assert.deepEqual([bits(own), bits(other)], twin.map(bits), `${rows} × ${columns}, k ${k}, ${blocks} blocks`);
      const keys = bits(own).filter((key) => key !== 0n);
      assert.ok(keys.length > 0);
    }
  });

  it(`picked rows are copied whole, SIMD level ${level}`, () => {
    const arena = new Arena(4096, 4);
    const kernels = loadKernels(arena, level);
    const [rows, out, picked] = [arena.uint8(5 * 48), arena.uint8(4 * 48), arena.int32(3)];
    rows.forEach((_, at) => {
      rows[at] = at;
    });
    picked.set([4, 0, 4]);
    kernels.pickRows(3, 48, picked, rows, out);
    const twin = new Uint8Array(4 * 48);
    scalar.pickRows(3, 48, picked, rows, twin);
    assert.deepEqual(out, twin);
    assert.deepEqual([...out.subarray(0, 48)], [...rows.subarray(4 * 48)]);
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
