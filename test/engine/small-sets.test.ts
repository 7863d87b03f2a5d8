import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import { RandomStream } from '../../src/graph/random.js';
import { locateSource } from '../../src/io/feature-source.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { label } from '../../src/jobs/label.js';
import { train } from '../../src/jobs/train.js';
import { findKnn } from '../../src/knn/find.js';
import { writeModel } from '../../src/model/model-file.js';
import { randomPairwise } from './fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-small-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const dim = 8;
const models = { concat: smoothedDistanceModel(dim, [20, 10]), pairwise: randomPairwise(20, 3) };

function randomRows(n: number): { rows: Float32Array; dim: number } {
  const random = new RandomStream(n, 1, 0);
  return { rows: Float32Array.from({ length: n * dim }, () => random.gaussian()), dim };
}

async function knnOf(n: number, k?: number) {
  const notices: string[] = [];
  const features = await locateSource(randomRows(n));
  const { graph } = await findKnn(features, { k, threads: 1, onNotice: (message) => notices.push(message) });
  return { graph, notices };
}

describe('a set of few rows', () => {
  for (const n of [1, 2, 3, 5, 20]) {
    it(`of ${n}: knn lists all others and says so, label takes that`, async () => {
      const { graph, notices } = await knnOf(n);
      assert.equal(graph.width, n);
      for (let node = 0; node < n; node++) {
        const list = [...graph.ids.subarray(node * n, (node + 1) * n)];
        assert.equal(list[0], node);
        assert.deepEqual(
          list.sort((a, b) => a - b),
          [...Array(n).keys()],
        );
      }
      assert.ok(notices.some((notice) => notice.includes(`k is ${n - 1}, all other rows, as there are only ${n}`)));
      for (const head of ['concat', 'pairwise'] as const) {
        const options = { features: randomRows(n), knn: graph, model: models[head], saveEdges: true, threads: 2 };
        const { labels, edges, summary } = await label({ ...options, threshold: 0 });
        assert.equal(edges?.scores.length, (n * (n - 1)) / 2);
        assert.deepEqual(labels, new Int32Array(n).fill(n === 1 ? -1 : 0), head);
        assert.equal(summary.unlabelled, n === 1 ? 1 : 0);
        assert.deepEqual((await label({ ...options, threshold: 0, threads: 1, shards: 1 })).edges, edges);
      }
    });
  }

  it('goes through files and a work directory', async () => {
    const [features, knn, model] = ['x.npy', 'k.npy', 'm.safetensors'].map((name) => join(folder, name));
    await writeNpy(features, 'f4', [5, dim], randomRows(5).rows);
    const { graph } = await knnOf(5);
    await writeNpy(knn, 'i4', [5, 5], graph.ids);
    for (const head of ['concat', 'pairwise'] as const) {
      await writeModel(model, models[head]);
      const expected = await label({ features, knn, model, saveEdges: true });
      const kept = await label({ features, knn, model, saveEdges: true, workDir: join(folder, head) });
      assert.deepEqual(kept.edges, expected.edges);
      assert.deepEqual(kept.labels, expected.labels);
    }
  });

  it('is refused a k that was asked for and cannot be, by the name of the file', async () => {
    const refused = { code: 'BAD_USAGE', message: 'features in memory: k is 5, expected 1..4 for its 5 rows' };
    await assert.rejects(knnOf(5, 5), refused);
  });

  it('needs lists of all others where the model looks at more', async () => {
    const knn = join(folder, 'short.npy');
    const { graph } = await knnOf(15, 10);
    await writeNpy(knn, 'i4', [15, 11], graph.ids);
    await assert.rejects(label({ features: randomRows(15), knn, model: models.pairwise }), {
      code: 'BAD_USAGE',
      message: /short\.npy: the kNN graph has 10 neighbours a node, expected at least 14 for a model/,
    });
  });

  it('of too few identities: train says what it needs before it begins', async () => {
    const { graph: knn } = await knnOf(12, 8);
    const input = { features: randomRows(12), knn };
    const labels = (each: number) => Int32Array.from({ length: 12 }, (_, i) => Math.floor(i / each));
    for (const [head, each, message] of [
      [
        'pairwise',
        12,
        /^labels of .*: all rows are of one identity \('0'\), expected 3 identities or more, some to learn/,
      ],
      ['pairwise', 6, /^labels of .*: 2 identities, expected 3 identities or more, some to learn/],
      ['concat', 4, /^labels of .*: 3 identities, expected 4 .*or --validation 0 to hold none out/],
    ] as const) {
      await assert.rejects(train({ ...input, head, labels: labels(each) }), { code: 'BAD_INPUT', message });
    }
    // People far apart, but for one row that is nearest to another's: without these two all pairs are of one kind.
    const rows = Float32Array.from({ length: 12 * 3 }, (_, i) => (Math.floor(i / 12) === i % 3 ? 1 : 0.001 * (i % 7)));
    rows.set([0.1, 1, 0]);
    const features = { rows, dim: 3 };
    const { graph: pairs } = await findKnn(await locateSource(features), { k: 1, duplicates: 'keep' });
    await assert.rejects(train({ features, knn: pairs, labels: labels(4) }), {
      code: 'BAD_INPUT',
      message:
        /with one of 5 folds of identities held out, \d+ pairs of neighbours are left, .*: expected pairs of both kinds/,
    });
  });
});
