import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { wholeLimit, wholeZero } from '../../src/kernels/gemm.js';
import { Coder } from '../../src/knn/codes.js';
import { candidatesFor, searchByBounds, searchByCosines } from '../../src/knn/exact.js';
import { SharedRows } from '../../src/memory/shared-rows.js';

/** Unit vectors around `centres` random ones: x = c + spread · noise, normalised. */
function clusteredRows(n: number, d: number, centres: number, spread: number): SharedRows {
  const random = new RandomStream(7, 1, n);
  const middle = new Float32Array(centres * d);
  random.gaussians(middle);
  const rows = SharedRows.allocate(n, d);
  const noise = new Float32Array(d);
  for (let i = 0; i < n; i++) {
    random.gaussians(noise);
    const row = rows.row(i);
    for (let c = 0; c < d; c++) row[c] = middle[(i % centres) * d + c] + spread * noise[c];
    const norm = Math.hypot(...row);
    for (let c = 0; c < d; c++) row[c] /= norm;
  }
  return rows;
}

function cosine(rows: SharedRows, a: number, b: number): number {
  const [x, y] = [rows.row(a), rows.row(b)];
  let sum = 0;
  for (let c = 0; c < x.length; c++) sum += x[c] * y[c];
  return sum;
}

/** Asserts that each place of a list has the cosine, within float32 rounding, that the true list has there. */
function assertNearest(rows: SharedRows, { ids, width }: KnnGraph): void {
  for (let row = 0; row < rows.rowCount; row++) {
    const list = [...ids.subarray(row * width, (row + 1) * width)];
    assert.equal(list[0], row);
    assert.equal(new Set(list).size, width, `row ${row} names a node twice: ${list}`);
    const cosines = Float64Array.from({ length: rows.rowCount }, (_, id) => cosine(rows, row, id));
    const expected = cosines
      .filter((_, id) => id !== row)
      .sort()
      .reverse();
    for (let place = 1; place < width; place++) {
      const gap = Math.abs(cosines[list[place]] - expected[place - 1]);
      assert.ok(gap <= 1e-6, `row ${row}, place ${place}: ${list[place]} is ${gap} from the cosine expected`);
    }
  }
}

describe('codes', () => {
  for (const dim of [1, 33, 64, 100, 512]) {
    it(`bound the inner product of any two rows, d ${dim}`, () => {
      const coder = new Coder(dim);
      const values = new Float32Array(40 * dim);
      new RandomStream(3, 1, dim).gaussians(values);
      const coded = Array.from({ length: 40 }, (_, i) => {
        const row = values.subarray(i * dim, (i + 1) * dim);
        // From even rows to rows with one great column.
        for (let c = 0; c < dim; c++) row[c] *= c === i % dim ? i + 1 : 1;
        const code = new Uint8Array(coder.length);
        coder.run(row, code);
        assert.ok(code.every((value) => Math.abs(value - wholeZero) <= wholeLimit));
        assert.ok(Math.abs(coder.norm - Math.hypot(...row)) < 1e-5 * coder.norm);
        return { row, code, step: coder.step, error: coder.error, norm: coder.norm };
      });
      for (const a of coded) {
        for (const b of coded) {
          let [exact, whole] = [0, 0];
          for (let c = 0; c < dim; c++) exact += a.row[c] * b.row[c];
          for (let c = 0; c < coder.length; c++) whole += (a.code[c] - wholeZero) * (b.code[c] - wholeZero);
          const gap = Math.abs(exact - a.step * b.step * whole);
          const bound = a.error * b.norm + (a.norm + a.error) * b.error;
          assert.ok(gap <= bound * (1 + 1e-9) + 1e-9, `${gap} > ${bound}`);
        }
      }
    });
  }

  it('have small errors whatever columns a row has its weight in', () => {
    const coder = new Coder(512);
    for (const heavy of [0, 1, 17, 64, 300, 511]) {
      const row = new Float32Array(512).fill(0.1);
      row[heavy] = 30;
      coder.run(row, new Uint8Array(512));
      assert.ok(coder.error < 0.02 * coder.norm, `column ${heavy}: ${coder.error} of ${coder.norm}`);
    }
  });
});

describe('searchByBounds', () => {
  it('is exact with few candidates, when hardly a list is proven, and with all', async () => {
    const rows = clusteredRows(700, 33, 50, 0.6);
    for (const candidates of [5, 12, 60, 699]) {
      assertNearest(rows, await searchByBounds(rows, { k: 5, threads: 1 }, candidates));
    }
  });

  it('gives the same graph for any number of threads', async () => {
    const rows = clusteredRows(1500, 64, 100, 0.5);
    const alone = await searchByBounds(rows, { k: 9, threads: 1 }, 30);
    for (const threads of [2, 3]) {
      assert.deepEqual((await searchByBounds(rows, { k: 9, threads }, 30)).ids, alone.ids, `${threads} threads`);
    }
  });

  it('lists equal rows by rising id, more of them than candidates', async () => {
    const rows = clusteredRows(600, 16, 3, 0);
    const graph = await searchByBounds(rows, { k: 4, threads: 2 }, 20);
    for (let row = 0; row < 600; row++) {
      const equals = [0, 1, 2, 3, 4].map((i) => 3 * i + (row % 3)).filter((id) => id !== row);
      assert.deepEqual([...graph.ids.subarray(row * 5, row * 5 + 5)], [row, ...equals.slice(0, 4)]);
    }
  });

  it('is chosen with as many candidates as prove nearly all lists, and not where too many rows are alike', async () => {
    const apart = clusteredRows(8192, 512, 1000, 0.7);
    const candidates = await candidatesFor(apart, 5);
    assert.ok(candidates !== undefined && candidates > 5 && candidates < 100, `${candidates} candidates`);
    const [bounds, cosines] = [
      await searchByBounds(apart, { k: 5, threads: 2 }, candidates),
      await searchByCosines(apart, { k: 5, threads: 2 }),
    ];
    for (let at = 0; at < bounds.ids.length; at++) {
      if (bounds.ids[at] === cosines.ids[at]) continue;
      const row = Math.floor(at / 6);
      const gap = Math.abs(cosine(apart, row, bounds.ids[at]) - cosine(apart, row, cosines.ids[at]));
      assert.ok(gap <= 1e-6, `row ${row}: ${bounds.ids[at]} and ${cosines.ids[at]} are ${gap} apart`);
    }
    assert.equal(await candidatesFor(clusteredRows(8192, 512, 10, 0.05), 5), undefined);
    assert.equal(await candidatesFor(clusteredRows(500, 64, 50, 0.7), 5), undefined);
  });
});
