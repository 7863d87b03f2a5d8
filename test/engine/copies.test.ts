import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { locateSource } from '../../src/io/feature-source.js';
import { locateFeatures } from '../../src/io/features.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { type LabelOptions, type LabelResult, label } from '../../src/jobs/label.js';
import { findKnn } from '../../src/knn/find.js';
import { writeModel } from '../../src/model/model-file.js';
import { randomPairwise } from './fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-copies-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const dim = 16;
const people = 30;
const unique = 360;
const k = 20;
const models = { concat: smoothedDistanceModel(dim, [20, 10]), pairwise: randomPairwise(k, 2) };

/** Row of `uniqueRows` that each row is: many copies of one, a few of others, some before and some after the rest. */
const source = (() => {
  const rows = [...Array(unique).keys()];
  for (let c = 0; c < 45; c++) rows.splice((c * 37) % rows.length, 0, 7);
  for (const row of [0, 0, 100, 200, 200, 200, 359]) rows.splice((row * 13) % rows.length, 0, row);
  return Int32Array.from(rows);
})();
const n = source.length;
const first = source.map((row) => source.indexOf(row));
const copies = n - unique;

const uniqueRows = (() => {
  const random = new RandomStream(3, 1, 0);
  const centres = Array.from({ length: people * dim }, () => random.gaussian());
  return Float32Array.from({ length: unique * dim }, (_, i) => {
    const row = Math.floor(i / dim);
    return centres[(row % people) * dim + (i % dim)] + 0.5 * random.gaussian();
  });
})();
/** The unique rows in the order in which the set has them first, so that ids of both rise together. */
const order = [...new Set(source)];
const rowsOf = (numbers: ArrayLike<number>) =>
  Float32Array.from(Array.from(numbers, (row) => [...uniqueRows.subarray(row * dim, (row + 1) * dim)]).flat());
const all = { rows: rowsOf(source), dim };
const once = { rows: rowsOf(order), dim };
const nodeOf = source.map((row) => order.indexOf(row));

let graph: KnnGraph;
let graphOfOnce: KnnGraph;
let keptGraph: KnnGraph;
const notices: string[] = [];
before(async () => {
  const options = { k, threads: 2 };
  const found = await findKnn(await locateSource(all), { ...options, onNotice: (message) => notices.push(message) });
  assert.equal(found.copies, copies);
  graph = found.graph;
  graphOfOnce = (await findKnn(await locateSource(once), options)).graph;
  keptGraph = (await findKnn(await locateSource(all), { k: 2 * k, threads: 2, duplicates: 'keep' })).graph;
});

const listOf = ({ ids, width }: KnnGraph, row: number) => [...ids.subarray(row * width, (row + 1) * width)];

describe('knn of rows with copies', () => {
  it('reads the rows of a file once, copies and rows that are left out among them', async () => {
    const features = at('once.npy');
    const rows = Float32Array.from([...new Float32Array(dim), ...all.rows, ...new Float32Array(dim)]);
    await writeNpy(features, 'f4', [n + 2, dim], rows);
    const options = { k, threads: 2, badRows: 'skip' } as const;
    const told: string[] = [];
    const onNotice = (message: string) => {
      told.push(message.slice(features.length));
      if (message.includes('copies')) truncateSync(features); // all are read by then
    };
    const found = await findKnn(await locateFeatures(features), { ...options, onNotice });
    assert.equal(told.length, 3, `${told}`);
    assert.match(told[2], new RegExp(`: ${unique} rows were not unit vectors`));
    assert.deepEqual([found.copies, found.badRows], [copies, 2]);
    for (let row = 0; row < n; row++) {
      assert.deepEqual(
        listOf(found.graph, row + 1),
        listOf(graph, row).map((id) => id + 1),
      );
    }
  });

  it('searches among one of each; a copy lists that one, and then as it does', () => {
    assert.equal(graph.width, k + 1);
    const rowOfNode = order.map((row) => source.indexOf(row));
    for (let row = 0; row < n; row++) {
      const list = listOf(graphOfOnce, nodeOf[row]).map((node) => rowOfNode[node]);
      const expected = first[row] === row ? list : [row, ...list.slice(0, k)];
      assert.deepEqual(listOf(graph, row), expected);
    }
  });

  it('says so', () => {
    assert.ok(
      notices.some((notice) => notice.includes(`: ${copies} rows are copies of earlier ones`)),
      notices.join(),
    );
  });

  it('is the same for files, any method and any threads', async () => {
    await writeNpy(at('all.npy'), 'f4', [n, dim], all.rows);
    for (const threads of [1, 3]) {
      assert.deepEqual((await findKnn(await locateFeatures(at('all.npy')), { k, threads })).graph.ids, graph.ids);
    }
    const { graph: cells, recall } = await findKnn(await locateSource(all), { k, method: 'ivf' });
    assert.ok(recall >= 0.99);
    for (let row = 0; row < n; row++) if (first[row] !== row) assert.equal(listOf(cells, row)[1], first[row]);
  });

  it('takes sets of nothing but copies', async () => {
    const { graph: same } = await findKnn(await locateSource({ rows: rowsOf([5, 5, 5, 5]), dim }), { k: 2 });
    assert.deepEqual([...same.ids], [0, -1, -1, 1, 0, -1, 2, 0, -1, 3, 0, -1]);
  });

  it('has copies in lists where each row is taken by itself', () => {
    const lists = [...Array(n).keys()].filter((row) => source[row] === 7).map((row) => listOf(keptGraph, row));
    assert.ok(
      lists.every((list) => list.every((id) => source[id] === 7)),
      'all that a list has room for are copies',
    );
  });
});

for (const head of ['concat', 'pairwise'] as const) {
  describe(`label of rows with copies, head ${head}`, () => {
    const input = (more: Partial<LabelOptions>): LabelOptions => ({
      features: all,
      knn: graph,
      model: models[head],
      saveEdges: true,
      threshold: 0.5,
      threads: 2,
      ...more,
    });
    let expected: LabelResult;
    let alone: LabelResult;
    before(async () => {
      expected = await label(input({}));
      alone = await label(input({ features: once, knn: graphOfOnce }));
    });

    it('labels one of each and gives the others its label', () => {
      assert.deepEqual(
        [...expected.labels],
        Array.from(nodeOf, (node) => alone.labels[node]),
      );
      assert.equal(expected.summary.copies, copies);
      assert.equal(expected.summary.nodes, n);
      assert.equal(expected.summary.edges, alone.summary.edges + copies);
    });

    it('has the edges of those, and one of each copy', () => {
      const { pairs, scores } = expected.edges!;
      const seen = new Map<string, number>();
      let copied = 0;
      for (let e = 0; e < scores.length; e++) {
        const [a, b] = [pairs[2 * e], pairs[2 * e + 1]];
        if (e > 0) assert.ok(a > pairs[2 * e - 2] || (a === pairs[2 * e - 2] && b > pairs[2 * e - 1]), 'sorted');
        assert.ok(a < b);
        assert.equal(first[a], a);
        if (first[b] === a) {
          assert.equal(scores[e], 1);
          copied++;
        } else seen.set(`${nodeOf[a]} ${nodeOf[b]}`, scores[e]);
      }
      assert.equal(copied, copies);
      const { pairs: own, scores: ofOwn } = alone.edges!;
      assert.equal(seen.size, ofOwn.length);
      for (let e = 0; e < ofOwn.length; e++) assert.equal(seen.get(`${own[2 * e]} ${own[2 * e + 1]}`), ofOwn[e]);
    });

    it('does not depend on threads, shards or files, and goes on where it was stopped', async () => {
      await writeNpy(at('all.npy'), 'f4', [n, dim], all.rows);
      await writeNpy(at('graph.npy'), 'i4', [n, k + 1], graph.ids);
      await writeModel(at('model.safetensors'), models[head]);
      const files = { features: at('all.npy'), knn: at('graph.npy'), model: at('model.safetensors') };
      const workDir = at(`work-${head}`);
      const controller = new AbortController();
      const stopped = label(
        input({
          ...files,
          workDir,
          signal: controller.signal,
          shards: 6,
          onProgress: ({ stage }) => void (stage === 'score' && controller.abort()),
        }),
      );
      await assert.rejects(stopped, { code: 'CANCELLED' });
      await assert.rejects(label(input({ ...files, workDir, duplicates: 'keep' })), {
        code: 'BAD_USAGE',
        message: /holds a run with duplicates "collapse", got "keep"/,
      });
      for (const more of [
        { threads: 1, shards: 1 },
        { threads: 3, shards: 50, batch: 9 },
        { ...files },
        { ...files, workDir },
      ]) {
        const { labels, edges } = await label(input(more));
        assert.deepEqual(labels, expected.labels);
        assert.deepEqual(edges, expected.edges);
      }
    });

    it('takes graphs of other tools, in which copies fill lists', async () => {
      // Of equal rows some lists have others than some, and the first row's own has copies alone.
      const { labels, summary } = await label(input({ knn: keptGraph, duplicates: 'collapse' }));
      for (let row = 0; row < n; row++) assert.equal(labels[row], labels[first[row]]);
      assert.equal(summary.copies, copies);
      const kept = await label(input({ knn: keptGraph, duplicates: 'keep' }));
      assert.equal(kept.summary.copies, 0);
    });

    it('changes nothing where there are none', async () => {
      const kept = await label(input({ features: once, knn: graphOfOnce, duplicates: 'keep' }));
      assert.deepEqual(kept.labels, alone.labels);
      assert.deepEqual(kept.edges, alone.edges);
    });

    it('gives copies that no list ties to others a label of their own', async () => {
      const same = { rows: rowsOf([1, 1, 2, 2]), dim };
      const ids = Int32Array.of(0, 1, -1, -1, 1, 0, -1, -1, 2, 3, -1, -1, 3, 2, -1, -1);
      const { labels } = await label(input({ features: same, knn: { nodeCount: 4, width: 4, ids } }));
      assert.deepEqual([...labels], [0, 0, 1, 1]);
    });
  });
}
