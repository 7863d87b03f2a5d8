import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allocateKnnGraph, type KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { type MatrixLocation, openRows } from '../../src/io/matrix.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { blockCountFor, createBlockSearch, pairRounds } from '../../src/knn/blocks.js';
import { buildKnn } from '../../src/knn/exact.js';
import { SharedRows } from '../../src/memory/shared-rows.js';

interface Matrix {
  readonly n: number;
  readonly d: number;
  readonly values: Float32Array;
}

/** Gaussian unit vectors. */
function randomUnitRows(n: number, d: number, seed: number): Matrix {
  const values = new Float32Array(n * d);
  new RandomStream(seed, 1, 0).gaussians(values);
  for (let i = 0; i < n; i++) {
    const row = values.subarray(i * d, (i + 1) * d);
    const norm = Math.hypot(...row);
    for (let c = 0; c < d; c++) row[c] /= norm;
  }
  return { n, d, values };
}

/** Four entries of ±½ a row: all cosines are multiples of ¼ and exact in float32, so ties abound. */
function tiedRows(n: number, d: number, seed: number): Matrix {
  const values = new Float32Array(n * d);
  const random = new RandomStream(seed, 2, 0);
  for (let i = 0; i < n; i++) {
    const columns = new Set<number>();
    while (columns.size < 4) columns.add(random.below(d));
    for (const c of columns) values[i * d + c] = random.below(2) - 0.5;
  }
  return { n, d, values };
}

function inMemory({ n, d, values }: Matrix): MatrixLocation {
  const rows = SharedRows.allocate(n, d);
  rows.eachRun(0, n, (view, first) => view.set(values.subarray(first * d, first * d + view.length)));
  return { kind: 'memory', name: 'test rows', rows: rows.handle() };
}

/** The search without threads. */
async function search(matrix: Matrix, k: number): Promise<KnnGraph> {
  const location = inMemory(matrix);
  assert.ok(location.kind === 'memory');
  const graph = allocateKnnGraph(matrix.n, k + 1);
  const blockCount = blockCountFor(matrix.n);
  const lists = SharedRows.allocate(matrix.n, 2 * k).handle();
  const run = await createBlockSearch({ rows: location.rows, lists, graph, blockCount });
  for (const round of pairRounds(blockCount)) for (const task of round) await run(task);
  for (let block = 0; block < blockCount; block++) await run({ kind: 'finish', block });
  return graph;
}

function cosine({ d, values }: Matrix, a: number, b: number): number {
  let sum = 0;
  for (let c = 0; c < d; c++) sum += values[a * d + c] * values[b * d + c];
  return sum;
}

/** Neighbours of a row by falling cosine, then rising id, in float64. */
function naive(matrix: Matrix, row: number, k: number): number[] {
  const others = [...Array(matrix.n).keys()].filter((id) => id !== row);
  const similarity = Float64Array.from({ length: matrix.n }, (_, id) => cosine(matrix, row, id));
  others.sort((a, b) => similarity[b] - similarity[a] || a - b);
  return [row, ...others.slice(0, k)];
}

function list({ ids, width }: KnnGraph, row: number): number[] {
  return [...ids.subarray(row * width, (row + 1) * width)];
}

/** Asserts that lists are the naive ones where cosines differ by more than float32 sums of d products may. */
function assertNearest(matrix: Matrix, graph: KnnGraph): void {
  const tolerance = 1e-6;
  for (let row = 0; row < matrix.n; row++) {
    const found = list(graph, row);
    const expected = naive(matrix, row, graph.width - 1);
    assert.equal(found[0], row);
    assert.equal(new Set(found).size, graph.width, `row ${row} names a node twice: ${found}`);
    for (let c = 1; c < graph.width; c++) {
      if (found[c] === expected[c]) continue;
      const gap = Math.abs(cosine(matrix, row, found[c]) - cosine(matrix, row, expected[c]));
      assert.ok(
        gap <= tolerance,
        `row ${row}, column ${c}: got ${found[c]}, expected ${expected[c]}, cosines differ by ${gap}`,
      );
    }
  }
}

describe('pair rounds', () => {
  it('name every pair of blocks once, and no block twice in a round', () => {
    for (let blocks = 1; blocks < 30; blocks++) {
      const seen = new Set<string>();
      for (const round of pairRounds(blocks)) {
        const used = round.flatMap((task) => (task.kind === 'compare' ? [...new Set([task.a, task.b])] : []));
        assert.equal(new Set(used).size, used.length);
        for (const task of round) seen.add(JSON.stringify(task));
      }
      assert.equal(seen.size, (blocks * (blocks + 1)) / 2);
    }
  });
});

describe('block search', () => {
  it('agrees with the naive search on any size', async () => {
    for (const n of [2, 3, 4, 5, 7, 8, 9, 17, 63, 64, 65, 127, 129, 200]) {
      for (const d of [2, 3, 4, 5, 31, 64]) {
        const matrix = randomUnitRows(n, d, n * 100 + d);
        assertNearest(matrix, await search(matrix, Math.min(n - 1, 10)));
      }
    }
  });

  it('agrees when k takes every other node', async () => {
    const matrix = randomUnitRows(150, 16, 5);
    assertNearest(matrix, await search(matrix, 149));
  });

  it('breaks ties by the smaller id, across blocks too', async () => {
    const sets = fc.record({
      n: fc.integer({ min: 2, max: 300 }),
      d: fc.integer({ min: 4, max: 9 }),
      k: fc.integer({ min: 1, max: 40 }),
      seed: fc.nat(),
    });
    const property = fc.asyncProperty(sets, async ({ n, d, k, seed }) => {
      const matrix = tiedRows(n, d, seed);
      const graph = await search(matrix, Math.min(k, n - 1));
      for (let row = 0; row < n; row++) assert.deepEqual(list(graph, row), naive(matrix, row, graph.width - 1));
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('gives copies of a vector the same cosines wherever they stand', async () => {
    const base = randomUnitRows(40, 37, 9);
    const n = 400;
    const values = new Float32Array(n * base.d);
    for (let i = 0; i < n; i++) values.set(base.values.subarray((i % 40) * 37, ((i % 40) + 1) * 37), i * 37);
    const graph = await search({ n, d: 37, values }, 25);
    for (let row = 0; row < n; row++) {
      const found = list(graph, row).slice(1);
      const copies = Array.from({ length: 10 }, (_, c) => (row % 40) + 40 * c).filter((id) => id !== row);
      assert.deepEqual(found.slice(0, 9), copies);
      assert.deepEqual(
        found.slice(9, 19).map((id) => id - 40 * Math.floor(id / 40)),
        Array(10).fill(found[9] % 40),
      );
      assert.deepEqual(
        found.slice(9, 19),
        found.slice(9, 19).sort((a, b) => a - b),
      );
    }
  });
});

describe('buildKnn', () => {
  it('gives the same graph for any number of threads', async () => {
    const matrix = randomUnitRows(700, 33, 11);
    const features = inMemory(matrix);
    const alone = await buildKnn(features, { k: 21, threads: 1 });
    assertNearest(matrix, alone);
    for (const threads of [2, 3]) {
      assert.deepEqual((await buildKnn(features, { k: 21, threads })).ids, alone.ids, `${threads} threads`);
    }
  });

  it('normalises rows that are no unit vectors, says so, and leaves the caller’s as they are', async () => {
    const unit = randomUnitRows(90, 8, 12);
    const values = unit.values.map((value, at) => value * (1 + (Math.floor(at / 8) % 3)));
    const features = inMemory({ ...unit, values });
    const notices: string[] = [];
    const graph = await buildKnn(features, { k: 5, threads: 1, onNotice: (notice) => notices.push(notice) });
    assertNearest(unit, graph);
    assert.deepEqual(notices, ['test rows: 60 rows were not unit vectors and were normalised']);
    const after = new Float32Array(values.length);
    openRows(features).read(0, 90, after);
    assert.deepEqual(after, values);
  });

  it('reads rows from a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'naan-'));
    try {
      const matrix = randomUnitRows(130, 12, 13);
      const path = join(folder, 'feats.npy');
      await writeNpy(path, 'f4', [130, 12], matrix.values);
      const graph = await buildKnn(await locateFeatures(path), { k: 7, threads: 2 });
      assert.deepEqual(graph.ids, (await search(matrix, 7)).ids);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses a k that the rows do not have', async () => {
    const features = inMemory(randomUnitRows(5, 4, 1));
    for (const k of [0, 5, 2.5]) {
      const expected = { code: 'BAD_USAGE', message: `test rows: k is ${k}, expected 1..4 for its 5 rows` };
      await assert.rejects(buildKnn(features, { k }), expected);
    }
  });

  it('names the row and column of a value that is no number', async () => {
    const matrix = randomUnitRows(70, 4, 1);
    matrix.values[65 * 4 + 2] = Number.NaN;
    await assert.rejects(buildKnn(inMemory(matrix), { k: 3, threads: 1 }), {
      code: 'BAD_INPUT',
      message: /^test rows: row 65 column 2 is NaN/,
    });
  });

  it('stops when told to', async () => {
    const controller = new AbortController();
    const features = inMemory(randomUnitRows(2000, 8, 1));
    controller.abort();
    await assert.rejects(buildKnn(features, { k: 3, threads: 1, signal: controller.signal }), { code: 'CANCELLED' });
  });

  it('reports rows until all are done', async () => {
    const done: number[] = [];
    await buildKnn(inMemory(randomUnitRows(300, 8, 1)), {
      k: 3,
      threads: 2,
      onProgress: (event) => {
        assert.equal(`${event.stage} ${event.total} ${event.unit}`, 'knn 300 rows');
        done.push(event.done);
      },
    });
    assert.equal(done.at(-1), 300);
    assert.deepEqual(
      done,
      done.toSorted((a, b) => a - b),
    );
  });

  const folder = join('..', 'shared', 'data', 'omniglot_longtail');
  const skip = existsSync(folder) ? false : `${folder} is not here`;
  if (skip) console.log(`# not compared with real embeddings: ${skip}`);
  it('finds the stored neighbours of real embeddings', { skip }, async () => {
    const location = await locateFeatures(join(folder, 'split1_feats.npz'));
    const stored = await readKnn(join(folder, 'split1_knn.npy'));
    const graph = await buildKnn(location, { k: stored.width - 1 });
    const reader = openRows(location);
    const [n, d] = [reader.rowCount, reader.dim];
    const matrix = { n, d, values: new Float32Array(n * d) };
    reader.read(0, n, matrix.values);
    for (let at = 0; at < graph.ids.length; at++) {
      if (graph.ids[at] === stored.ids[at]) continue;
      const row = Math.floor(at / graph.width);
      const gap = Math.abs(cosine(matrix, row, graph.ids[at]) - cosine(matrix, row, stored.ids[at]));
      assert.ok(gap <= 1e-6, `row ${row}: got ${graph.ids[at]}, stored ${stored.ids[at]}, cosines differ by ${gap}`);
    }
  });
});
