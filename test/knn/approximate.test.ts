import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { SyntheticSet } from '../../src/graph/synthetic-set.js';
import type { MatrixLocation } from '../../src/io/matrix.js';
import { buildKnn } from '../../src/knn/exact.js';
import { findKnn } from '../../src/knn/find.js';
import { searchCells } from '../../src/knn/ivf.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import type { ProgressEvent } from '../../src/progress.js';

type Location = Extract<MatrixLocation, { kind: 'memory' }>;

function located(rows: SharedRows): Location {
  return { kind: 'memory', name: 'test rows', rows: rows.handle() };
}

function faces(nodes: number, dim: number): Location {
  const set = new SyntheticSet({ seed: 5, split: 1, dim, extent: { nodes }, shuffle: true });
  const rows = SharedRows.allocate(nodes, dim);
  rows.eachRun(0, nodes, (view, first) => set.rows(first, view.length / dim, view));
  return located(rows);
}

/** Rows around one vector: the cosines of all pairs are nearly one, which sketches cannot tell apart. */
function bundle(nodes: number, dim: number, width: number): Location {
  const rows = SharedRows.allocate(nodes, dim);
  const values = new Float32Array(dim);
  for (let i = 0; i < nodes; i++) {
    new RandomStream(7, 1, i).gaussians(values);
    for (let c = 0; c < dim; c++) values[c] = values[c] * width + 1;
    const norm = Math.hypot(...values);
    rows.row(i).set(values.map((value) => value / norm));
  }
  return located(rows);
}

/** Rows of which each has `copies` − 1 others that equal it. */
function copiedRows(nodes: number, dim: number, copies: number): Location {
  const rows = SharedRows.allocate(nodes, dim);
  const different = Math.ceil(nodes / copies);
  const values = new Float32Array(dim);
  for (let i = 0; i < nodes; i++) {
    new RandomStream(9, 1, i % different).gaussians(values);
    const norm = Math.hypot(...values);
    rows.row(i).set(values.map((value) => value / norm));
  }
  return located(rows);
}

/** Share of a graph's neighbours that are in the exact one. */
function agreement(graph: KnnGraph, exact: KnnGraph): number {
  let hits = 0;
  for (let start = 0; start < exact.ids.length; start += exact.width) {
    const near = new Set(exact.ids.subarray(start + 1, start + exact.width));
    for (let c = 1; c < exact.width; c++) if (near.has(graph.ids[start + c])) hits++;
  }
  return hits / (exact.nodeCount * (exact.width - 1));
}

/** Column 0 is the row, no id comes twice, no place is empty, and neighbours are sorted by cosine, then id. */
function assertContract(graph: KnnGraph, { rows: handle }: Location): void {
  const rows = SharedRows.from(handle);
  for (let row = 0; row < graph.nodeCount; row++) {
    const list = [...graph.ids.subarray(row * graph.width, (row + 1) * graph.width)];
    assert.equal(list[0], row);
    assert.equal(new Set(list).size, graph.width, `row ${row}: ${list}`);
    assert.ok(
      list.every((id) => id >= 0 && id < graph.nodeCount),
      `row ${row}: ${list}`,
    );
    const cosines = list.map((id) => rows.row(row).reduce((sum, value, c) => sum + value * rows.row(id)[c], 0));
    for (let c = 2; c < list.length; c++) {
      assert.ok(cosines[c] <= cosines[c - 1] + 1e-6, `row ${row}: column ${c} is nearer than the one before`);
    }
  }
}

describe('method ivf', () => {
  it('finds what it says it finds, in the order and shape of the exact graph', async () => {
    const features = faces(6000, 64);
    const exact = await buildKnn(features, { k: 20, threads: 2 });
    const found = await findKnn(features, { k: 20, threads: 2, method: 'ivf' });
    assert.equal(found.method, 'ivf');
    assert.ok(found.recall >= 0.99, `measured ${found.recall}`);
    const recall = agreement(found.graph, exact);
    assert.ok(recall >= 0.985, `measured ${found.recall}, is ${recall}`);
    assert.ok(Math.abs(recall - found.recall) < 0.01, `measured ${found.recall}, is ${recall}`);
    assertContract(found.graph, features);
  });

  it('looks at part of the pairs only: with less effort it finds less', async () => {
    const features = faces(6000, 64);
    const exact = await buildKnn(features, { k: 10, threads: 2 });
    const rows = SharedRows.from(features.rows);
    const options = { k: 10, threads: 2 };
    const quick = await searchCells(rows.handle(), options, { miss: 0.3, candidates: 1.5 });
    const thorough = await searchCells(rows.handle(), options, { miss: 0.001, candidates: 3 });
    const [some, most] = [agreement(quick.graph, exact), agreement(thorough.graph, exact)];
    assert.ok(some > 0.6 && some < 0.9, `${some}`);
    assert.ok(most > 0.995, `${most}`);
    assert.ok(Math.abs(quick.recall - some) < 0.05, `measured ${quick.recall}, is ${some}`);
  });

  it('gives the same graph for any number of threads', async () => {
    const features = faces(3000, 48);
    const graphs = [];
    for (const threads of [1, 2, 4]) graphs.push(await findKnn(features, { k: 12, threads, method: 'ivf' }));
    for (const { graph, recall } of graphs) {
      assert.deepEqual(graph.ids, graphs[0].graph.ids);
      assert.equal(recall, graphs[0].recall);
    }
  });

  it('gives the same graph from features that are read when they are needed, in any number of windows', async () => {
    const features = faces(3000, 48);
    const scaled = SharedRows.allocate(3000, 48);
    for (let row = 0; row < 3000; row++) {
      scaled.row(row).set(
        SharedRows.from(features.rows)
          .row(row)
          .map((value) => value * (row % 7 === 0 ? 4 : 1)),
      );
    }
    const effort = { miss: 0.01, candidates: 1.75 };
    const inMemory = await searchCells(features.rows, { k: 12, threads: 2 }, effort);
    for (const windowRows of [undefined, 1500, 700]) {
      const source = { features: located(scaled) };
      const { graph, recall, normalised } = await searchCells(source, { k: 12, threads: 2, windowRows }, effort);
      assert.deepEqual(graph.ids, inMemory.graph.ids, `${windowRows}`);
      assert.deepEqual([recall, normalised], [inMemory.recall, Math.ceil(3000 / 7)]);
    }
  });

  it('projects rows of many columns', async () => {
    const features = faces(2000, 512);
    const exact = await buildKnn(features, { k: 10, threads: 2 });
    const { graph, method } = await findKnn(features, { k: 10, threads: 2, method: 'ivf' });
    assert.equal(method, 'ivf');
    assert.ok(agreement(graph, exact) > 0.98);
  });

  it('keeps the contract for few rows, odd dimensions and any k', async () => {
    const sets = fc.record({
      n: fc.integer({ min: 2, max: 400 }),
      d: fc.integer({ min: 2, max: 19 }),
      k: fc.integer({ min: 1, max: 60 }),
    });
    const property = fc.asyncProperty(sets, async ({ n, d, k }) => {
      const features = copiedRows(n, d, 1);
      const { graph } = await searchCells(
        features.rows,
        { k: Math.min(k, n - 1), threads: 1 },
        { miss: 0.05, candidates: 1.5 },
      );
      assertContract(graph, features);
    });
    await fc.assert(property, { numRuns: 12 });
  });

  it('takes rows that are all in one cell, larger than a segment and a block', async () => {
    const features = copiedRows(1200, 16, 1200);
    const { graph, recall } = await findKnn(features, { k: 30, threads: 2, method: 'ivf', duplicates: 'keep' });
    assert.equal(recall, 1);
    assertContract(graph, features);
  });

  it('finds copies of a row before all others', async () => {
    const features = copiedRows(2000, 32, 5);
    const { graph } = await findKnn(features, { k: 10, threads: 2, method: 'ivf', duplicates: 'keep' });
    for (let row = 0; row < 2000; row++) {
      const copies = Array.from({ length: 5 }, (_, c) => (row % 400) + 400 * c).filter((id) => id !== row);
      assert.deepEqual([...graph.ids.subarray(row * 11 + 1, row * 11 + 5)], copies);
    }
  });
});

describe('findKnn', () => {
  it('tries again with more effort, and at last exactly, until the recall is met', async () => {
    const features = bundle(1500, 64, 0.02);
    const notices: string[] = [];
    const options = { k: 10, threads: 2, method: 'ivf', onNotice: (notice: string) => notices.push(notice) } as const;
    const found = await findKnn(features, options);
    assert.ok(notices.length > 0);
    assert.equal(found.attempts, notices.length + 1);
    assert.match(notices[0], /^test rows: ivf found 0\.\d{4} of the neighbours, expected 0\.99: trying again/);
    assert.ok(found.recall >= 0.99);
    assert.ok(agreement(found.graph, await buildKnn(features, { k: 10, threads: 2 })) > 0.985);
  });

  it('gives up on the approximate method for what it cannot find', async () => {
    const features = bundle(1500, 64, 0.005);
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    const found = await findKnn(features, { k: 10, threads: 2, method: 'ivf', minRecall: 0.999, onNotice });
    assert.deepEqual([found.method, found.recall, found.attempts], ['exact', 1, 4]);
    assert.match(notices[2], /expected 0\.999: searching exactly$/);
    assert.deepEqual(found.graph.ids, (await buildKnn(features, { k: 10, threads: 2 })).ids);
  });

  it('is exact for small sets unless told otherwise', async () => {
    const features = faces(500, 16);
    const { method, graph, recall } = await findKnn(features, { k: 5, threads: 1 });
    assert.deepEqual([method, recall], ['exact', 1]);
    assert.deepEqual(graph.ids, (await buildKnn(features, { k: 5, threads: 1 })).ids);
  });

  it('is approximate for large sets, and exact as long as rows have few columns', async () => {
    const large = await findKnn(faces(17_500, 512), { k: 1, threads: 2 });
    assert.equal(large.method, 'ivf');
    assert.ok(large.recall >= 0.99, `measured ${large.recall}`);
    const narrow = await findKnn(faces(17_500, 16), { k: 1, threads: 2 });
    assert.deepEqual([narrow.method, narrow.recall], ['exact', 1]);
  });

  it('refuses a k and a recall that cannot be', async () => {
    const features = faces(50, 16);
    await assert.rejects(findKnn(features, { k: 50, method: 'ivf' }), {
      code: 'BAD_USAGE',
      message: /^test rows: k is 50, /,
    });
    await assert.rejects(findKnn(features, { k: 5, minRecall: 1.5 }), {
      code: 'BAD_USAGE',
      message: /^minRecall is 1.5/,
    });
  });

  it('reports each stage until all of its rows are done', async () => {
    const reached = new Map<string, number[]>();
    const onProgress = ({ stage, done, total }: ProgressEvent) => {
      reached.set(stage, [...(reached.get(stage) ?? []), done / total]);
    };
    await findKnn(faces(3000, 32), { k: 8, threads: 2, method: 'ivf', onProgress });
    assert.ok(reached.size >= 5);
    for (const [stage, shares] of reached) {
      assert.deepEqual(
        shares,
        shares.toSorted((a, b) => a - b),
        stage,
      );
      assert.equal(shares.at(-1), 1, stage);
    }
  });

  it('stops when told to, at any stage', async () => {
    const features = faces(1000, 32);
    for (const [method, stages] of [
      ['ivf', ['sample', 'sketch', 'cells', 'assign', 'compare']],
      ['hnsw', ['sample', 'add']],
    ] as const) {
      for (const last of stages) {
        const controller = new AbortController();
        const seen = new Set<string>();
        const onProgress = ({ stage }: { stage: string }) => {
          seen.add(stage);
          if (stage === last) controller.abort();
        };
        const { signal } = controller;
        const search = findKnn(features, { k: 8, threads: 1, method, signal, onProgress });
        await assert.rejects(search, { code: 'CANCELLED' }, last);
        assert.deepEqual([...seen], stages.slice(0, stages.indexOf(last as never) + 1));
      }
    }
  });
});

describe('method hnsw', async () => {
  const missing = await import('usearch').then(
    () => false,
    () => 'the optional package usearch is not installed',
  );
  if (missing) console.log(`# HNSW not tested: ${missing}`);
  it('finds neighbours in the order and shape of the exact graph', { skip: missing }, async () => {
    const features = faces(3000, 48);
    const exact = await buildKnn(features, { k: 10, threads: 2 });
    const { graph, recall, method } = await findKnn(features, { k: 10, threads: 2, method: 'hnsw', minRecall: 0.95 });
    assert.equal(method, 'hnsw');
    const share = agreement(graph, exact);
    assert.ok(share > 0.94 && Math.abs(share - recall) < 0.02, `measured ${recall}, is ${share}`);
    assertContract(graph, features);
  });

  it('tries again with more effort, and at last exactly, until the recall is met', { skip: missing }, async () => {
    const features = bundle(4000, 96, 10);
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    const found = await findKnn(features, { k: 10, threads: 2, method: 'hnsw', minRecall: 0.9999, onNotice });
    assert.match(notices[0], /^test rows: hnsw found 0\.\d{4} of the neighbours, expected 0\.9999: trying again/);
    assert.equal(found.attempts, notices.length + 1);
    assert.ok(found.recall >= 0.9999);
  });
});
