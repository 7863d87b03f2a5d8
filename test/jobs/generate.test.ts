import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { DisjointSet } from '../../src/cluster/disjoint-set.js';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { plantKnn } from '../../src/graph/knn-planted.js';
import { type SetOptions, SyntheticSet } from '../../src/graph/synthetic-set.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { readLabels, readLabelsBeside } from '../../src/io/labels.js';
import { openRows } from '../../src/io/matrix.js';
import { generate } from '../../src/jobs/generate.js';
import { buildKnn } from '../../src/knn/exact.js';
import { SharedRows } from '../../src/memory/shared-rows.js';

const scratch = mkdtempSync(join(tmpdir(), 'naan-'));
after(() => rmSync(scratch, { recursive: true }));

const small: SetOptions = { seed: 7, split: 1, dim: 24, extent: { ids: 60 }, shuffle: false };

function allRows(set: SyntheticSet): Float32Array {
  const rows = new Float32Array(set.nodeCount * set.dim);
  set.rows(0, set.nodeCount, rows);
  return rows;
}

function rowAt(rows: Float32Array, dim: number, row: number): Float32Array {
  return rows.subarray(row * dim, (row + 1) * dim);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}

describe('synthetic rows', () => {
  it('are the same in any grouping and any order', () => {
    const whole = allRows(new SyntheticSet(small));
    const nodes = whole.length / small.dim;
    const range = fc.tuple(fc.nat({ max: nodes - 1 }), fc.integer({ min: 1, max: 300 }));
    const set = new SyntheticSet(small);
    const property = fc.property(range, ([start, length]) => {
      const count = Math.min(length, nodes - start);
      const rows = new Float32Array(count * small.dim);
      set.rows(start, count, rows);
      assert.deepEqual(rows, whole.subarray(start * small.dim, (start + count) * small.dim));
    });
    fc.assert(property);
  });

  it('are unit vectors that differ', () => {
    const set = new SyntheticSet(small);
    const rows = allRows(set);
    const distinct = new Set<string>();
    for (let row = 0; row < set.nodeCount; row++) {
      const x = rowAt(rows, set.dim, row);
      assert.ok(Math.abs(dot(x, x) - 1) < 1e-6);
      distinct.add(x.join());
    }
    assert.equal(distinct.size, set.nodeCount);
  });

  it('depend on the seed and the split', () => {
    const first = allRows(new SyntheticSet(small)).subarray(0, 24);
    for (const other of [
      { ...small, seed: 8 },
      { ...small, split: 0 as const },
    ]) {
      const cosine = dot(first, allRows(new SyntheticSet(other)).subarray(0, 24));
      assert.ok(cosine < 0.9, `first rows have cosine ${cosine}`);
    }
  });

  it('in shuffled order are the same rows, and labels follow', () => {
    const plain = new SyntheticSet(small);
    const shuffled = new SyntheticSet({ ...small, shuffle: true });
    const [plainRows, shuffledRows] = [allRows(plain), allRows(shuffled)];
    const [plainLabels, shuffledLabels] = [plain.labels(), shuffled.labels()];
    const images = Array.from({ length: plain.nodeCount }, (_, row) => shuffled.imageOfRow(row));
    assert.deepEqual(
      images.toSorted((a, b) => a - b),
      [...images.keys()],
    );
    assert.notDeepEqual(images, [...images.keys()]);
    for (const [row, image] of images.entries()) {
      assert.deepEqual(rowAt(shuffledRows, 24, row), rowAt(plainRows, 24, image));
      assert.equal(shuffledLabels[row], plainLabels[image]);
      assert.equal(shuffled.rowsOfImages()[image], row);
    }
  });

  it('number the nodes asked for exactly', () => {
    for (const nodes of [1, 2, 500, 12174]) {
      const set = new SyntheticSet({ ...small, extent: { nodes } });
      const labels = set.labels();
      assert.equal(set.nodeCount, nodes);
      assert.equal(labels.at(-1), set.identityCount - 1);
      assert.deepEqual(labels, labels.toSorted());
    }
  });

  it('have identities of heavy-tailed sizes', () => {
    const set = new SyntheticSet({ ...small, extent: { ids: 5000 } });
    const sizes = new Int32Array(set.identityCount);
    for (const label of set.labels()) sizes[label]++;
    sizes.sort();
    assert.equal(sizes[0], 1);
    assert.ok(sizes[4999] > 250 && sizes[4999] <= 500, `largest ${sizes[4999]}`);
    assert.ok(sizes[2500] >= 9 && sizes[2500] <= 11, `median ${sizes[2500]}`);
    assert.ok(set.nodeCount > 85_000 && set.nodeCount < 110_000, `${set.nodeCount} nodes`);
  });
});

describe('planted kNN graphs', () => {
  const set = new SyntheticSet({ ...small, dim: 48, extent: { nodes: 3000 } });
  const rows = allRows(set);
  const k = 30;

  it('list distinct nodes by falling cosine, the node itself first', async () => {
    for (const [nodes, neighbours] of [
      [3000, k],
      [81, 80],
      [700, 400],
    ]) {
      const planted = new SyntheticSet({ ...small, dim: 48, extent: { nodes } });
      const graph = await plantKnn(planted, { k: neighbours });
      assert.equal(graph.width, neighbours + 1);
      for (let row = 0; row < nodes; row++) {
        const list = graph.ids.subarray(row * graph.width, (row + 1) * graph.width);
        assert.equal(list[0], row);
        assert.equal(new Set(list).size, list.length);
        assert.ok(list.every((id) => id >= 0 && id < nodes));
        const cosines = Array.from(list, (id) => dot(rowAt(rows, 48, row), rowAt(rows, 48, id)));
        // float32 sums of 48 products
        const rise = cosines.findIndex((cosine, c) => c > 1 && cosine > cosines[c - 1] + 1e-6);
        assert.equal(rise, -1, `row ${row}: cosine rises at column ${rise}`);
      }
    }
  });

  it('find nearly what a search finds among the first ten', async () => {
    const planted = await plantKnn(set, { k });
    const shared = SharedRows.allocate(set.nodeCount, 48);
    shared.eachRun(0, set.nodeCount, (view, first) => set.rows(first, view.length / 48, view));
    const exact = await buildKnn({ kind: 'memory', name: 'rows', rows: shared.handle() }, { k });
    let found = 0;
    for (let row = 0; row < set.nodeCount; row++) {
      const first = (graph: KnnGraph) => graph.ids.subarray(row * graph.width + 1, row * graph.width + 11);
      const truth = new Set(first(exact));
      for (const id of first(planted)) if (truth.has(id)) found++;
    }
    const recall = found / (10 * set.nodeCount);
    assert.ok(recall > 0.75 && recall < 1, `recall ${recall}`);
  });

  it('of a shuffled set are the same graph under other numbers', async () => {
    const shuffled = new SyntheticSet({ ...small, dim: 48, extent: { nodes: 3000 }, shuffle: true });
    const [plainGraph, shuffledGraph] = [await plantKnn(set, { k }), await plantKnn(shuffled, { k })];
    const rowOf = shuffled.rowsOfImages();
    const renumbered = new Int32Array(plainGraph.ids.length);
    for (let image = 0; image < set.nodeCount; image++) {
      for (let c = 0; c <= k; c++) renumbered[rowOf[image] * (k + 1) + c] = rowOf[plainGraph.ids[image * (k + 1) + c]];
    }
    assert.deepEqual(Int32Array.from(shuffledGraph.ids), renumbered);
  });
});

describe('generate', () => {
  const options = { ids: 30, dim: 16, k: 12, seed: 3 };

  function filesOf(folder: string): Map<string, Buffer> {
    const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const paths = names.map((entry) => join(entry.parentPath, entry.name)).sort();
    return new Map(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path)]));
  }

  it('writes both splits, the same bytes for the same options', async () => {
    const [first, second] = [join(scratch, 'first'), join(scratch, 'second')];
    const summary = await generate({ ...options, out: first, threads: 1 });
    await generate({ ...options, out: second, threads: 2 });
    const files = filesOf(first);
    assert.deepEqual(
      [...files.keys()],
      [
        'labeled/split0_feats.npz',
        'labeled/split0_knn.npy',
        'unlabeled/split1_feats.npz',
        'unlabeled/split1_knn.npy',
        'unlabeled/split1_labels.txt',
      ],
    );
    assert.deepEqual(files, filesOf(second));

    const labels = await readLabelsBeside(join(first, 'labeled/split0_feats.npz'));
    const unlabeled = await locateFeatures(join(first, 'unlabeled/split1_feats.npz'));
    assert.deepEqual(
      labels?.codes,
      new SyntheticSet({ ...options, split: 0, extent: options, shuffle: false }).labels(),
    );
    assert.equal(await readLabelsBeside(join(first, 'unlabeled/split1_feats.npz')), undefined);
    const set = new SyntheticSet({ ...options, split: 1, extent: options, shuffle: false });
    assert.deepEqual((await readLabels(join(first, 'unlabeled/split1_labels.txt'))).codes, set.labels());
    const rows = new Float32Array(set.nodeCount * 16);
    openRows(unlabeled).read(0, set.nodeCount, rows);
    assert.deepEqual(rows, allRows(set));
    assert.deepEqual(summary.unlabeled, { nodes: set.nodeCount, identities: 30 });
    const stored = await readKnn(join(first, 'unlabeled/split1_knn.npy'));
    assert.deepEqual(stored.ids, (await buildKnn(unlabeled, { k: 12 })).ids);
    assert.equal(stored.width, 13);
  });

  it('makes only the unlabelled split when asked, of exactly the nodes asked for', async () => {
    const out = join(scratch, 'planted');
    const summary = await generate({ out, nodes: 321, labeledIds: 0, dim: 16, k: 12, plantedKnn: true, shuffle: true });
    assert.equal(summary.labeled, undefined);
    assert.equal(summary.unlabeled.nodes, 321);
    assert.ok(!existsSync(join(out, 'labeled')));
    const set = new SyntheticSet({ seed: 1, split: 1, dim: 16, extent: { nodes: 321 }, shuffle: true });
    const stored = await readKnn(join(out, 'unlabeled/split1_knn.npy'));
    assert.deepEqual(stored.ids, (await plantKnn(set, { k: 12 })).ids);
  });

  it('plants the graph of a large set beside its features, the same', async () => {
    const [out, nodes, dim, k] = [join(scratch, 'beside'), 20_001, 8, 6];
    await generate({ out, nodes, labeledIds: 0, dim, k, plantedKnn: true, shuffle: true });
    const set = new SyntheticSet({ seed: 1, split: 1, dim, extent: { nodes }, shuffle: true });
    const stored = await readKnn(join(out, 'unlabeled/split1_knn.npy'));
    assert.deepEqual(stored.ids, (await plantKnn(set, { k })).ids);
  });

  it('stops both when stopped', async () => {
    const out = join(scratch, 'stopped-beside');
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = () => controller.abort();
    const large = { nodes: 100_000, labeledIds: 0, dim: 512, k: 80, plantedKnn: true };
    await assert.rejects(generate({ out, ...large, signal, onProgress }), { code: 'CANCELLED' });
    assert.deepEqual(readdirSync(out), []);
  });

  it('refuses what cannot be made before it writes anything', async () => {
    const out = join(scratch, 'refused');
    const bad: [object, RegExp][] = [
      [{ ids: 0 }, /^ids is 0, expected an integer from 1 to/],
      [{ dim: 1.5 }, /^dim is 1.5, /],
      [{ seed: -1 }, /^seed is -1, /],
      [{ ids: 5, nodes: 5 }, /^ids 5 and nodes 5 were given, expected one of them/],
      [{ nodes: 80, k: 80 }, /^k is 80, but a split has 80 nodes: expected k below that/],
    ];
    for (const [wrong, message] of bad) {
      await assert.rejects(generate({ out, dim: 16, ...wrong }), { code: 'BAD_USAGE', message });
    }
    assert.ok(!existsSync(out));
  });

  it('leaves no half-written file when stopped', async () => {
    const out = join(scratch, 'stopped');
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const run = generate({ ...options, nodes: 200_000, ids: undefined, out, signal: controller.signal, onProgress });
    await assert.rejects(run, { code: 'CANCELLED' });
    assert.deepEqual([...filesOf(out).keys()], []);
  });
});

/**
 * The best BCubed F of components of candidate edges over 60 thresholds on a score of edges.
 * Amigó et al. 2009; clusters and identities as in DESIGN: precision and recall averaged over nodes.
 */
function bestF(pairs: Int32Array, scores: Float32Array, labels: Int32Array): number {
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
  const sets = new DisjointSet(labels.length);
  let best = 0;
  for (let step = 1; step <= 60; step++) {
    const end = Math.floor((order.length * step) / 60);
    for (let at = Math.floor((order.length * (step - 1)) / 60); at < end; at++) {
      sets.unite(pairs[2 * order[at]], pairs[2 * order[at] + 1]);
    }
    const clusters = Int32Array.from(labels, (_, node) => sets.find(node));
    best = Math.max(best, bcubedF(clusters, labels));
  }
  return best;
}

function bcubedF(clusters: Int32Array, labels: Int32Array): number {
  const tally = (keys: Iterable<number>) => {
    const counts = new Map<number, number>();
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts;
  };
  const n = labels.length;
  const [clusterSizes, labelSizes] = [tally(clusters), tally(labels)];
  let [precision, recall] = [0, 0];
  const cells = tally(Float64Array.from(labels, (label, node) => clusters[node] * n + label));
  for (const [cell, count] of cells) {
    precision += count ** 2 / clusterSizes.get(Math.floor(cell / n))! / n;
    recall += count ** 2 / labelSizes.get(cell % n)! / n;
  }
  return (2 * precision * recall) / (precision + recall);
}

describe('difficulty of synthetic sets', () => {
  const cases = [
    { dim: 512, seed: 1 },
    { dim: 128, seed: 2 },
    { dim: 128, seed: 3 },
  ];
  for (const { dim, seed } of cases) {
    it(`no cosine threshold solves them, but neighbours tell more: d ${dim}, seed ${seed}`, async () => {
      const set = new SyntheticSet({ seed, split: 1, dim, extent: { ids: 1000 }, shuffle: false });
      const rows = SharedRows.allocate(set.nodeCount, dim);
      rows.eachRun(0, set.nodeCount, (view, first) => set.rows(first, view.length / dim, view));
      const graph = await buildKnn({ kind: 'memory', name: 'rows', rows: rows.handle() }, { k: 20 });
      const { offsets, targets } = candidateEdges(graph, 20);
      const pairs = new Int32Array(2 * targets.length);
      for (let p = 0; p < set.nodeCount; p++) {
        for (let e = offsets[p]; e < offsets[p + 1]; e++) pairs.set([p, targets[e]], 2 * e);
      }
      const cosines = (from: SharedRows) =>
        Float32Array.from(targets, (target, e) => dot(from.row(pairs[2 * e]), from.row(target)));
      const labels = set.labels();

      const byCosine = bestF(pairs, cosines(rows), labels);
      assert.ok(byCosine > 0.75 && byCosine < 0.9, `cosine alone: F ${byCosine}`);

      const means = SharedRows.allocate(set.nodeCount, dim);
      for (let row = 0; row < set.nodeCount; row++) {
        const mean = means.row(row);
        for (const id of graph.ids.subarray(row * 21, row * 21 + 11)) {
          const weight = dot(rows.row(row), rows.row(id)) ** 2;
          const neighbour = rows.row(id);
          for (let c = 0; c < dim; c++) mean[c] += weight * neighbour[c];
        }
        const norm = Math.sqrt(dot(mean, mean));
        for (let c = 0; c < dim; c++) mean[c] /= norm;
      }
      const byNeighbours = bestF(pairs, cosines(means), labels);
      assert.ok(byNeighbours > byCosine + 0.05, `means of neighbours: F ${byNeighbours}, cosine alone: F ${byCosine}`);
      console.log(
        `# d ${dim}, seed ${seed}: F ${byCosine.toFixed(3)} by cosine, ${byNeighbours.toFixed(3)} by neighbours`,
      );
    });
  }
});
