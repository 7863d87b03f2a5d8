import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkGraph } from '../../src/engine/graph-check.js';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import type { MatrixLocation } from '../../src/io/matrix.js';
import { label } from '../../src/jobs/label.js';
import { train } from '../../src/jobs/train.js';
import { findKnn } from '../../src/knn/find.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import { randomPairwise } from './fixture.js';

const random = new RandomStream(5, 1, 0);
const dim = 24;
const people = 40;
const each = 15;
const n = people * each;

/** Rows around the centre of their identity; with `lengths` of different norms. */
function clusteredRows(lengths: boolean): SharedRows {
  const rows = SharedRows.allocate(n, dim);
  const centres = Array.from({ length: people }, () => Float64Array.from({ length: dim }, () => random.gaussian()));
  for (let i = 0; i < n; i++) {
    const length = lengths ? 0.5 + 2 * random.uniform() : 1;
    const row = Float64Array.from(centres[i % people], (x) => x + 0.6 * random.gaussian());
    const norm = Math.hypot(...row);
    rows.row(i).set(row.map((x) => (length * x) / norm));
  }
  return rows;
}

const rows = clusteredRows(false);
const features: MatrixLocation = { kind: 'memory', name: 'faces.npy', rows: rows.handle() };
const found = new Map<string, KnnGraph>();
async function graphOf(k: number, method: 'exact' | 'ivf' | 'hnsw' = 'exact'): Promise<KnnGraph> {
  const name = `${k} ${method}`;
  const graph = found.get(name) ?? (await findKnn(features, { k, method, threads: 2 })).graph;
  found.set(name, graph);
  return graph;
}

/** What the check says of a graph: the notice, the error, or nothing. */
function said(graph: KnnGraph, of: MatrixLocation = features): string {
  const notices: string[] = [];
  try {
    checkGraph(of, { name: 'k.npy', graph }, (message) => notices.push(message));
  } catch (error) {
    return String(error);
  }
  return notices.join('\n');
}

function changed(graph: KnnGraph, list: (node: number, ids: Int32Array) => ArrayLike<number>): KnnGraph {
  const { width } = graph;
  const ids = graph.ids.slice();
  for (let node = 0; node < graph.nodeCount; node++) {
    ids.set(list(node, graph.ids.subarray(node * width + 1, (node + 1) * width)), node * width + 1);
  }
  return { ...graph, ids };
}

/** Lists of the rows that `nearness` puts first. */
function ranked(k: number, of: SharedRows, nearness: (a: Float32Array, b: Float32Array) => number): KnnGraph {
  const ids = new Int32Array(n * (k + 1));
  for (let node = 0; node < n; node++) {
    const others = Array.from({ length: n }, (_, i) => [nearness(of.row(node), of.row(i)), i] as const);
    others.sort(([a, i], [b, j]) => b - a || i - j);
    const nearest = others.map(([, i]) => i).filter((i) => i !== node);
    ids.set([node, ...nearest.slice(0, k)], node * (k + 1));
  }
  return { nodeCount: n, width: k + 1, ids };
}

describe('a look at the kNN graph', () => {
  for (const k of [1, 2, 5, 20, 100, n - 1]) {
    it(`is content with the exact graph of ${k} neighbours`, async () => assert.equal(said(await graphOf(k)), ''));
  }

  for (const method of ['ivf', 'hnsw'] as const) {
    it(`is content with a graph of method ${method}`, async () => assert.equal(said(await graphOf(20, method)), ''));
  }

  it('is content with a graph by distance of rows that are no unit vectors', () => {
    const raw = clusteredRows(true);
    const graph = ranked(20, raw, (a, b) => -a.reduce((sum, x, c) => sum + (x - b[c]) ** 2, 0));
    assert.equal(said(graph, { kind: 'memory', name: 'raw.npy', rows: raw.handle() }), '');
  });

  it('is content where no row is nearer than another, and with a single row', () => {
    const axes = SharedRows.allocate(64, 64);
    for (let i = 0; i < 64; i++) axes.row(i)[i] = 1;
    const ids = Int32Array.from({ length: 64 * 5 }, (_, at) => (Math.floor(at / 5) + 7 * (at % 5)) % 64);
    const location: MatrixLocation = { kind: 'memory', name: 'axes.npy', rows: axes.handle() };
    assert.equal(said({ nodeCount: 64, width: 5, ids }, location), '');
    assert.equal(said({ nodeCount: 1, width: 3, ids: Int32Array.of(0, -1, -1) }, location), '');
  });

  it('is content where a list names one of many equal rows, and still refuses a graph of other rows', async () => {
    // Each of 60 rows stands there ten times; lists name each once, though its copies are nearer than the next.
    const distinct = 60;
    const copied = SharedRows.allocate(n, dim);
    for (let i = 0; i < n; i++) copied.row(i).set(rows.row(i % distinct));
    const location: MatrixLocation = { kind: 'memory', name: 'copies.npy', rows: copied.handle() };
    const { graph } = await findKnn(location, { k: 40, threads: 2, duplicates: 'collapse' });
    assert.equal(said(graph, location), '');
    const wrong = changed(graph, (_, ids) => ids.map((id) => (id * 7 + 3) % n));
    assert.match(said(wrong, location), /^NaanError: k\.npy: is not a graph of copies\.npy: /);
  });

  it('refuses a graph of rows in another order, one of the farthest rows, and a matrix of zeros and ones', async () => {
    const graph = await graphOf(20);
    const permuted = changed(graph, (node) =>
      graph.ids.subarray(((node * 7 + 3) % n) * 21 + 1, ((node * 7 + 3) % n) * 21 + 21),
    );
    const farthest = ranked(20, rows, (a, b) => -a.reduce((sum, x, c) => sum + x * b[c], 0));
    const matrix = changed(graph, (_, ids) => ids.map((id) => id % 2));
    for (const wrong of [permuted, farthest, matrix]) {
      assert.match(said(wrong), /^NaanError: k\.npy: is not a graph of faces\.npy: .* --graph-check skip to go on$/);
    }
  });

  it('refuses a graph without any neighbour', async () => {
    const none = changed(await graphOf(5), (_, ids) => ids.map(() => -1));
    assert.match(said(none), /^NaanError: k\.npy: no row has a neighbour, /);
  });

  it('tells of a graph that half belongs, and of lists in another order', async () => {
    const graph = await graphOf(20);
    const half = changed(graph, (node, ids) => (node % 2 ? ids : ids.map((id) => (id * 7 + 3) % n)));
    assert.match(said(half), /^k\.npy: may not be a graph of faces\.npy: in a sample, \d+ % /);
    for (const reordered of [
      changed(graph, (_, ids) => ids.slice().reverse()),
      changed(graph, (_, ids) => ids.slice().sort()),
    ]) {
      assert.match(said(reordered), /^k\.npy: its lists are not in order, expected the nearest first: /);
    }
  });

  it('stands before label and train, which can be told to go on', async () => {
    const graph = await graphOf(20);
    const wrong = changed(graph, (_, ids) => ids.map((id) => (id * 7 + 3) % n));
    const values = Float32Array.from({ length: n * dim }, (_, i) => rows.row(Math.floor(i / dim))[i % dim]);
    const input = { features: { rows: values, dim }, knn: wrong };
    const model = randomPairwise(20, 1);
    const message = /^the kNN graph: is not a graph of features in memory/;
    await assert.rejects(label({ ...input, model }), { code: 'BAD_INPUT', message });
    const { summary } = await label({ ...input, model, graphCheck: 'skip' });
    assert.equal(summary.nodes, n);
    const labels = Int32Array.from({ length: n }, (_, i) => i % people);
    await assert.rejects(train({ ...input, labels, epochs: 1 }), { code: 'BAD_INPUT', message });
  });
});
