import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocateKnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { normaliseRows } from '../../src/io/normalise.js';
import { searchExactly } from '../../src/knn/exact.js';
import { updateKnn } from '../../src/knn/update.js';
import { SharedRows } from '../../src/memory/shared-rows.js';

/** Gaussian rows around some centres; or, `tied`, rows of four entries of ±½, whose cosines are exact and often equal. */
function madeRows(n: number, d: number, seed: number, tied: boolean): Float32Array {
  const random = new RandomStream(seed, 1, 0);
  const values = new Float32Array(n * d);
  if (tied) {
    for (let i = 0; i < n; i++) {
      for (let filled = 0; filled < 4; ) {
        const at = i * d + random.below(d);
        if (values[at] !== 0) continue;
        values[at] = random.below(2) - 0.5 || 0.5;
        filled++;
      }
    }
  } else random.gaussians(values);
  normaliseRows(values, 0, n, d, 'test rows');
  return values;
}

function rowsOf(values: Float32Array, d: number, wanted: readonly number[]): SharedRows {
  const rows = SharedRows.allocate(wanted.length, d);
  wanted.forEach((row, i) => void rows.row(i).set(values.subarray(row * d, (row + 1) * d)));
  return rows;
}

const threads = 1;

for (const tied of [false, true]) {
  for (const [n, d] of [
    [90, 200],
    [700, 40],
    [1100, 512],
  ]) {
    test(`rows join and leave, ${n} × ${d}${tied ? ', with ties' : ''}: the graph is that of an exact search`, async () => {
      const k = 12;
      const random = new RandomStream(n, 3, 0);
      const values = madeRows(n, d, 1, tied);
      const all = Array.from({ length: n }, (_, row) => row);
      for (const share of [0, 0.02, 0.4]) {
        // Rows of before are the first ones, as a set grows at its end.
        const joining = Math.round(n * share) + 1;
        const before = all.slice(0, n - joining);
        const graph = await searchExactly(rowsOf(values, d, before), { k, threads });
        const left = new Set(share === 0 ? [] : before.filter(() => random.uniform() < share / 2));
        const now = all.filter((row) => !left.has(row));
        const numberOf = new Map(now.map((row, i) => [row, i]));
        const rows = rowsOf(values, d, now);
        const known = allocateKnnGraph(now.length, k + 1);
        now.forEach((row, i) => {
          if (row >= before.length) return;
          const list = graph.ids.subarray(row * (k + 1), (row + 1) * (k + 1));
          known.ids.set(
            Array.from(list, (id) => numberOf.get(id) ?? -1),
            i * (k + 1),
          );
        });
        const { graph: updated, searched, displaced } = await updateKnn(rows, known, { k });
        assert.ok(searched >= joining && searched + displaced <= now.length);
        const expected = await searchExactly(rows, { k, threads });
        assert.deepEqual(updated.ids, expected.ids);
      }
    });
  }
}

test('rows are searched for on several threads where they are many', async () => {
  const [n, d, k, joining] = [3000, 1024, 12, 2850];
  const all = Array.from({ length: n }, (_, row) => row);
  const values = madeRows(n, d, 6, false);
  const rows = rowsOf(values, d, all);
  const before = await searchExactly(rowsOf(values, d, all.slice(0, n - joining)), { k, threads });
  const known = allocateKnnGraph(n, k + 1);
  known.ids.set(before.ids);
  let told = 0;
  const { graph } = await updateKnn(rows, known, {
    k,
    threads: 2,
    onProgress({ done }) {
      told = done;
    },
  });
  assert.equal(told, joining);
  assert.deepEqual(graph.ids, (await searchExactly(rows, { k, threads: 2 })).ids);
});

test('a set that was too small for its lists gets whole ones', async () => {
  const values = madeRows(30, 8, 2, false);
  const few = rowsOf(values, 8, [0, 1, 2, 3, 4]);
  const rows = rowsOf(
    values,
    8,
    Array.from({ length: 30 }, (_, row) => row),
  );
  const graph = await searchExactly(few, { k: 4, threads });
  const known = allocateKnnGraph(30, 5);
  known.ids.set(graph.ids);
  const { graph: updated } = await updateKnn(rows, known, { k: 10 });
  assert.deepEqual(updated.ids, (await searchExactly(rows, { k: 10, threads })).ids);
});

test('a list of an approximate graph becomes the nearest among it and the rows that joined', async () => {
  const [n, joining, d, k] = [400, 100, 16, 6];
  const all = Array.from({ length: n }, (_, row) => row);
  const rows = rowsOf(madeRows(n, d, 4, false), d, all);
  const cosine = (a: number, b: number) => rows.row(a).reduce((sum, x, c) => sum + x * rows.row(b)[c], 0);
  const nearest = (row: number, others: readonly number[]) =>
    others.toSorted((a, b) => cosine(row, b) - cosine(row, a)).slice(0, k);
  const known = allocateKnnGraph(n, k + 1);
  const before = all.slice(0, n - joining);
  // Each row found neighbours among those of its own remainder only.
  for (const row of before) {
    const some = before.filter((other) => other !== row && other % 3 === row % 3);
    known.ids.set([row, ...nearest(row, some)], row * (k + 1));
  }
  const { graph, displaced } = await updateKnn(rows, known, { k });
  assert.ok(displaced > n / 2);
  for (const row of before) {
    const list = known.ids.subarray(row * (k + 1) + 1, (row + 1) * (k + 1));
    const expected = nearest(row, [...list, ...all.slice(n - joining)]);
    assert.deepEqual([...graph.ids.subarray(row * (k + 1) + 1, (row + 1) * (k + 1))], expected);
  }
});
