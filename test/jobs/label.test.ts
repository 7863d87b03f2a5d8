import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import type { MemoryPlan } from '../../src/engine/memory-plan.js';
import { allocateKnnGraph } from '../../src/graph/knn-graph.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { readKnn } from '../../src/io/knn.js';
import { readLabels } from '../../src/io/labels.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { cluster } from '../../src/jobs/cluster.js';
import { type LabelOptions, label } from '../../src/jobs/label.js';
import { report } from '../../src/jobs/report.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { writeModel } from '../../src/model/model-file.js';
import type { ProgressEvent } from '../../src/progress.js';
import { loadCase, readJson, realData, realResults, withoutRealData } from '../engine/fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-label-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const fixture = 'test/fixtures/four_heads';
const inputs = { features: `${fixture}/feats.npz`, knn: `${fixture}/knn.npy` };
const model = await importCheckpoint(`${fixture}/zip.ckpt`);

describe('label', () => {
  it('writes labels as text and as an array, and what it did', async () => {
    const out = join(folder, 'files');
    const modelFile = join(folder, 'model.safetensors');
    await writeModel(modelFile, model);
    const { summary, labels } = await label({ ...inputs, model: modelFile, out, threshold: 0.99, threads: 2 });
    const arrays = ['feats_labels.npy', 'feats_labels.txt'];
    assert.deepEqual(
      readdirSync(out).sort(),
      [...arrays, 'clusters.csv', 'feats_margins.npy', 'report.html', 'run.json'].sort(),
    );
    const bare = join(folder, 'bare');
    await label({ ...inputs, model: modelFile, out: bare, threshold: 0.99, threads: 2, trust: false, report: false });
    assert.deepEqual(readdirSync(bare).sort(), [...arrays, 'run.json']);
    assert.deepEqual(readFileSync(join(bare, arrays[1])), readFileSync(join(out, arrays[1])));
    assert.deepEqual(await readLabels(join(out, 'feats_labels.txt')), { codes: labels });
    assert.deepEqual(await readLabels(join(out, 'feats_labels.npy')), { codes: labels });
    const run = readJson(join(out, 'run.json'));
    assert.equal(run.nodes, 232);
    assert.equal(run.edges, 1372);
    assert.equal(run.clusters, new Set(labels).size);
    assert.equal(run.options.threshold, 0.99);
    assert.deepEqual(
      run.inputs.map((input: { path: string }) => input.path),
      [inputs.features, inputs.knn, modelFile],
    );
    assert.equal(summary.clusters, run.clusters);
    assert.equal(summary.largest, Math.max(...Array.from(labels, (l) => labels.filter((x) => x === l).length)));
    for (const stage of ['read', 'order', 'edges', 'project', 'aggregate', 'embed', 'split', 'score', 'partition']) {
      assert.ok(run.seconds.stages[stage] > 0, stage);
    }
  });

  it('keeps edges and scores on request, in input order', async () => {
    const out = join(folder, 'edges');
    const { pairs, scores } = await loadCase('four_heads');
    const result = await label({ ...inputs, model, out, saveEdges: true });
    assert.deepEqual(result.edges?.pairs, pairs);
    assert.deepEqual((await readInt32Array(join(out, 'feats_edges.npy'))).data, pairs);
    const written = (await readFloat32Array(join(out, 'feats_scores.npy'))).data;
    assert.deepEqual(written, result.edges?.scores);
    for (let e = 0; e < scores.length; e++) assert.ok(Math.abs(written[e] - scores[e]) <= 2e-6);
  });

  it('agrees with the published ladder on every case, by name of the options', async () => {
    for (const expected of readJson(`${fixture}/expected.json`).propagation) {
      if (expected.th < 0) continue;
      const { labels } = await label({
        ...inputs,
        model,
        start: 'all',
        threshold: expected.th,
        step: expected.step,
        threads: 1,
        maxSize: expected.max_sz,
        maxIterations: expected.max_iter,
        leftovers: expected.leftovers,
      });
      assert.deepEqual([...labels], expected.labels, JSON.stringify({ ...expected, labels: undefined }));
    }
  });

  it('takes components at a threshold, a node without such an edge by itself', async () => {
    for (const { threshold, labels: expected } of readJson(`${fixture}/expected.json`).components_at_threshold) {
      const { labels } = await label({ ...inputs, model, partition: 'threshold', threshold, threads: 1 });
      const sizes = new Map<number, number>();
      for (const l of labels) sizes.set(l, (sizes.get(l) ?? 0) + 1);
      const together = Array.from(labels, (l) => (sizes.get(l) === 1 ? -1 : labels.indexOf(l)));
      const published = Array.from(expected as number[], (l) => (l < 0 ? -1 : expected.indexOf(l)));
      assert.deepEqual(together, published);
    }
  });

  it('labels rows in memory as it does files', async () => {
    const { labels: expected } = await label({ ...inputs, model, threshold: 0.99 });
    const rows = (await readFloat32Array(inputs.features, 'embs')).data;
    const { labels } = await label({
      features: { rows, dim: 48 },
      knn: await readKnn(inputs.knn),
      model,
      threshold: 0.99,
    });
    assert.deepEqual(labels, expected);
  });

  it('does not read features again that the search for the graph has read, where memory has room for them', async () => {
    const features = join(folder, 'once.npy');
    const { data } = await readFloat32Array(inputs.features, 'embs');
    const rows = data.map((value) => 3 * value);
    const notices: string[] = [];
    const plans: MemoryPlan[] = [];
    const labelled = async (given: Partial<LabelOptions>) => {
      await writeNpy(features, 'f4', [rows.length / 48, 48], rows);
      const options = {
        features,
        model,
        threshold: 0.99,
        threads: 2,
        saveEdges: true,
        graphCheck: 'skip',
        ...given,
      } as const;
      return label({ ...options, onNotice: (told) => notices.push(told), onPlan: (plan) => plans.push(plan) });
    };
    const first = await labelled({ saveKnn: join(folder, 'k.npy'), memory: 2 ** 40 });
    const expected = await labelled({ knn: join(folder, 'k.npy') });
    const { nodes } = expected.summary;
    const lost = ({ stage }: ProgressEvent) => {
      if (stage === 'order') writeFileSync(features, '');
    };
    notices.length = 0;
    const found = await labelled({ onProgress: lost });
    for (const run of [first, found]) assert.deepEqual([run.labels, run.edges], [expected.labels, expected.edges]);
    assert.ok(notices.includes(`${features}: ${nodes} rows were not unit vectors and were normalised`), `${notices}`);
    assert.equal(plans.at(-1)?.parts.features, 4 * 48 * nodes);
    const alone = plans[1];
    await labelled({ memory: alone.memoryBytes + 4 * 48 * nodes - 1 });
    assert.deepEqual([plans.at(-1)?.keepsRows, plans.at(-1)?.parts.features], [false, 0]);
  });

  it('gives -1 to a node without candidate edges', async () => {
    const graph = await readKnn(inputs.knn);
    const alone = allocateKnnGraph(graph.nodeCount, graph.width);
    alone.ids.set(graph.ids.map((id) => (id === 5 ? -1 : id)));
    for (let node = 0; node < graph.nodeCount; node++) {
      const list = [...graph.ids.subarray(node * graph.width, (node + 1) * graph.width)];
      const kept = node === 5 ? [5] : list.filter((id) => id !== 5);
      alone.ids.fill(-1, node * graph.width, (node + 1) * graph.width);
      alone.ids.set(kept, node * graph.width);
    }
    for (const partition of ['propagation', 'threshold'] as const) {
      const { labels, summary } = await label({ ...inputs, knn: alone, model, partition });
      assert.equal(labels[5], -1);
      assert.equal(summary.unlabelled, 1);
    }
  });

  it('gives a permuted set the same labels, byte for byte, when the head is symmetric', async () => {
    const rows = (await readFloat32Array(inputs.features, 'embs')).data;
    const graph = await readKnn(inputs.knn);
    const n = graph.nodeCount;
    const symmetric = smoothedDistanceModel(48, [5, 5]);
    const options = { model: symmetric, sampleHops: 10, threshold: 0.2, saveEdges: true };
    const expected = await label({ ...options, features: { rows, dim: 48 }, knn: graph });
    assert.ok(expected.summary.clusters > 5 && expected.summary.singletons < n / 2);

    const moved = (node: number) => (node * 89 + 17) % n;
    const permutedRows = new Float32Array(rows.length);
    const permuted = allocateKnnGraph(n, graph.width);
    for (let node = 0; node < n; node++) {
      permutedRows.set(rows.subarray(node * 48, (node + 1) * 48), moved(node) * 48);
      for (let c = 0; c < graph.width; c++)
        permuted.ids[moved(node) * graph.width + c] = moved(graph.ids[node * graph.width + c]);
    }
    for (const [threads, shards] of [
      [1, 1],
      [2, 7],
      [4, 64],
    ]) {
      const { labels } = await label({
        ...options,
        features: { rows: permutedRows, dim: 48 },
        knn: permuted,
        threads,
        shards,
      });
      const undone = Array.from({ length: n }, (_, node) => labels[moved(node)]);
      const names = new Map<number, number>();
      for (const l of undone) if (!names.has(l)) names.set(l, names.size);
      assert.deepEqual(
        Int32Array.from(undone, (l) => names.get(l) ?? -1),
        expected.labels,
      );
    }
  });

  it('gives real data the published labels for any threads and shards', { skip: withoutRealData }, async () => {
    const published = await importCheckpoint(`${realResults}/model.ckpt`);
    const options: LabelOptions = {
      features: `${realData}/split1_feats.npz`,
      knn: `${realData}/split1_knn.npy`,
      model: published,
      threshold: 0.8,
      step: 0.6,
      maxSize: 600,
      maxIterations: 1000,
      start: 'all',
      leftovers: 'merge',
      kHops: [20, 10],
      sampleHops: 20,
    };
    const expected = (await readInt32Array(`${realResults}/labels_0.npy`)).data;
    for (const threads of [1, 2, 4]) {
      for (const shards of [1, 7, 64]) {
        const { labels } = await label({ ...options, threads, shards });
        assert.deepEqual(labels, expected, `${threads} threads, ${shards} shards`);
      }
    }
  });

  it('stops at an abort and writes nothing', async () => {
    const out = join(folder, 'aborted');
    const controller = new AbortController();
    const stages = new Set<string>();
    const onProgress = ({ stage }: { stage: string }) => {
      stages.add(stage);
      if (stage === 'aggregate') controller.abort();
    };
    await assert.rejects(label({ ...inputs, model, out, signal: controller.signal, onProgress }), {
      code: 'CANCELLED',
    });
    assert.ok(!stages.has('score'));
    assert.ok(!existsSync(out));
  });

  it('names the row of a feature that is no number, and writes nothing', async () => {
    const rows = (await readFloat32Array(inputs.features, 'embs')).data.slice();
    rows[7 * 48 + 3] = Number.NaN;
    const file = join(folder, 'nan.bin');
    writeFileSync(file, new Uint8Array(rows.buffer));
    const out = join(folder, 'nan');
    await assert.rejects(label({ ...inputs, features: file, model, out }), {
      code: 'BAD_INPUT',
      message: /nan\.bin: row 7 column 3 is NaN, expected finite/,
    });
    assert.ok(!existsSync(out));
  });

  it('normalises rows that are not unit vectors, and says so', async () => {
    const rows = (await readFloat32Array(inputs.features, 'embs')).data.slice();
    const { labels: expected } = await label({ ...inputs, model, threshold: 0.99 });
    for (let c = 0; c < 48; c++) rows[9 * 48 + c] *= 3;
    const notices: string[] = [];
    const { labels } = await label({
      features: { rows, dim: 48 },
      knn: inputs.knn,
      model,
      threshold: 0.99,
      onNotice: (message) => notices.push(message),
    });
    assert.deepEqual(labels, expected);
    assert.deepEqual(notices, ['features in memory: 1 rows were not unit vectors and were normalised']);
  });

  it('says with trust how sure clusters and rows are', async () => {
    const out = join(folder, 'trust');
    const { labels, trust, summary } = await label({ ...inputs, model, threshold: 0.6, trust: true, out, threads: 1 });
    assert.ok(trust);
    assert.equal(trust.margins.length, labels.length);
    const [head, ...lines] = readFileSync(join(out, 'clusters.csv'), 'utf8').trim().split('\n');
    assert.equal(head, 'cluster,size,cohesion,separation,weakest_join,trust');
    assert.equal(lines.length, summary.clusters);
    const sizes = lines.map((line) => Number(line.split(',')[1]));
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      labels.filter((id) => id >= 0).length,
    );
    const shuffled = await label({ ...inputs, model, threshold: 0.6, trust: true, threads: 2, shards: 3 });
    assert.deepEqual(shuffled.trust, trust);
  });

  it('leaves out clusters of few rows or of little trust', async () => {
    const { labels, trust, summary } = await label({ ...inputs, model, threshold: 0.6, trust: true });
    assert.ok(trust);
    const sizes = trust.sizes;
    const minTrust = [...trust.trust].sort((a, b) => a - b)[trust.trust.length >> 1];
    const expected = labels.map((id) => (id >= 0 && (sizes[id] < 2 || trust.trust[id] < minTrust) ? -1 : id));
    const less = await label({ ...inputs, model, threshold: 0.6, minSize: 2, minTrust });
    assert.deepEqual(less.labels, expected);
    assert.equal(less.trust, undefined);
    assert.equal(less.summary.clusters, new Set(expected.filter((id) => id >= 0)).size);
    assert.equal(less.summary.unlabelled, expected.filter((id) => id < 0).length);
    assert.ok(less.summary.clusters < summary.clusters && less.summary.clusters > 0);
    assert.equal(less.summary.singletons, 0);

    const out = join(folder, 'report of some');
    await label({ ...inputs, model, threshold: 0.6, minSize: 2, minTrust, out });
    const [, ...lines] = readFileSync(join(out, 'clusters.csv'), 'utf8').trim().split('\n');
    assert.equal(lines.length, less.summary.clusters);
  });

  it('makes the page that naan report makes of the files', async () => {
    const out = join(folder, 'page');
    await label({ ...inputs, model, threshold: 0.6, minSize: 2, out, saveEdges: true, threads: 2 });
    const again = join(folder, 'again.html');
    await report({ run: out, out: again });
    // Scores in clusters.csv have six decimals.
    const page = (path: string) => readFileSync(path, 'utf8').replaceAll(/0\.\d{4,}/g, (x) => Number(x).toFixed(3));
    assert.equal(page(join(out, 'report.html')), page(again));
  });

  it('says which options mean nothing to the partition', async () => {
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    await label({ ...inputs, model, partition: 'linkage', threshold: 0.6, maxSize: 5, onNotice });
    assert.ok(notices.includes('max-size: not used, as the partition is linkage'), notices.join('; '));
  });

  it('gives edges from which each partition can be had again without scoring', async () => {
    for (const partition of ['linkage', 'threshold', 'propagation'] as const) {
      const { labels, edges } = await label({ ...inputs, model, partition, threshold: 0.6, saveEdges: true });
      assert.ok(edges);
      assert.deepEqual(cluster(edges, labels.length, { partition, threshold: 0.6 }), labels);
    }
    const pairs = Int32Array.of(0, 3);
    assert.throws(() => cluster({ pairs, scores: Float32Array.of(1) }, 3, { threshold: 0.5 }), {
      code: 'BAD_INPUT',
      message: 'pairs: got node 3, expected 0 to 2',
    });
  });

  it('refuses a batch that no thread can hold, instead of taking a slower back-end', async () => {
    await assert.rejects(label({ ...inputs, model, batch: 1_000_000 }), {
      code: 'BAD_USAGE',
      message: 'batch: got 1000000, expected 1 to 65536 nodes',
    });
  });

  it('tells which model does not fit the features', async () => {
    await assert.rejects(label({ ...inputs, model: smoothedDistanceModel(16, [5, 5]) }), {
      code: 'BAD_SHAPE',
      message: /feats\.npz.*features have dimension 48, but the model expects 16/,
    });
  });
});
