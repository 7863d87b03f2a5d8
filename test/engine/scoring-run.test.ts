import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { propagate } from '../../src/cluster/propagation.js';
import type { EngineOptions, ScoringRun } from '../../src/engine/scoring-run.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { largestDifference, loadCase, readJson, realData, realResults, withoutRealData, withRun } from './fixture.js';

function centreOf(run: ScoringRun, position: number, dim: number): Float32Array {
  const row = new Float32Array(run.centres.dim);
  run.centres.gather(Int32Array.of(position), 1, row);
  return row.subarray(0, dim);
}

const setups: [name: string, options: EngineOptions][] = [
  ['reference', { backend: 'reference', threads: 1 }],
  ['native', { backend: 'native', threads: 2 }],
  ['native without SIMD', { backend: 'native', simd: 'scalar', threads: 1 }],
  ['tfjs', { backend: 'tfjs', threads: 2 }],
];

for (const [setup, options] of setups) {
  describe(`back-end ${setup} agrees with PyTorch`, () => {
    for (const name of ['one_head', 'four_heads', 'wide'] as const) {
      it(`on ${name}`, async () => {
        const { model, features, graph, centres, pairs, scores } = await loadCase(name);
        await withRun(model, { features, graph }, { ...options, shards: 3, batch: 32 }, async (run) => {
          await run.buildEdges();
          await run.embedNodes();
          const { dim } = model.config;
          for (let node = 0; node < graph.nodeCount; node++) {
            const row = centreOf(run, node, dim);
            assert.ok(largestDifference(row, centres.subarray(node * dim, (node + 1) * dim)) <= 2e-6, `node ${node}`);
          }
          await run.scoreEdges();
          const { offsets, targets } = run.edges;
          const found: number[] = [];
          for (let a = 0; a < graph.nodeCount; a++) {
            for (let e = offsets[a]; e < offsets[a + 1]; e++) found.push(a, targets[e]);
          }
          assert.deepEqual(Int32Array.from(found), pairs);
          assert.ok(largestDifference(run.edges.scores, scores) <= 2e-6);
        });
      });
    }
  });
}

describe('a labelling run', () => {
  it('gives the same bits for any threads, shards, batch and order of nodes', async () => {
    const { model, features, graph } = await loadCase('four_heads');
    const n = graph.nodeCount;
    const observe = (order: Int32Array | undefined, options: EngineOptions) =>
      withRun(model, { features, graph, order, uniteFrom: 0.99 }, options, async (run) => {
        await run.buildEdges();
        await run.embedNodes();
        const nodeOf = (p: number) => (order ? order[p] : p);
        const centres: Float32Array[] = [];
        for (let p = 0; p < n; p++) centres[nodeOf(p)] = centreOf(run, p, model.config.dim);
        await run.scoreEdges();
        const scores = new Map<number, number>();
        const { edges } = run;
        for (let p = 0; p < n; p++) {
          for (let e = edges.offsets[p]; e < edges.offsets[p + 1]; e++) {
            scores.set(nodeOf(p) * n + nodeOf(edges.targets[e]), edges.scores[e]);
          }
        }
        const components = run.components.componentOf();
        const together = (a: number, b: number) => components[a] === components[b];
        const positions = new Int32Array(n);
        for (let p = 0; p < n; p++) positions[nodeOf(p)] = p;
        const partition = Array.from({ length: n }, (_, a) => {
          for (let b = 0; b < a; b++) if (together(positions[a], positions[b])) return b;
          return a;
        });
        return { centres, scores: [...scores].sort((x, y) => x[0] - y[0]), partition };
      });
    const expected = await observe(undefined, { threads: 1, shards: 1, batch: 512 });
    assert.ok(new Set(expected.partition).size > 1 && new Set(expected.partition).size < n);

    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 100 }),
        fc.option(
          fc.shuffledSubarray(
            Array.from({ length: n }, (_, i) => i),
            { minLength: n },
          ),
          { nil: undefined },
        ),
        async (threads, shards, batch, order) => {
          const actual = await observe(order && Int32Array.from(order), { threads, shards, batch });
          assert.deepEqual(actual, expected);
        },
      ),
      { numRuns: 12 },
    );
  });

  it('reproduces the published labels on real data', { skip: withoutRealData }, async () => {
    const model = await importCheckpoint(`${realResults}/model.ckpt`);
    const { location: features } = await locateFeatures(`${realData}/split1_feats.npz`);
    const graph = await readKnn(`${realData}/split1_knn.npy`, { columns: 21 });
    await withRun(model, { features, graph, uniteFrom: -Infinity }, { threads: 2 }, async (run) => {
      await run.buildEdges();
      await run.embedNodes();
      await run.scoreEdges();
      const pairs = (await readInt32Array(`${realResults}/edges.npy`)).data;
      const expected = (await readFloat32Array(`${realResults}/scores.npy`)).data;
      assert.deepEqual(
        run.edges.targets,
        pairs.filter((_, i) => i % 2 === 1),
      );
      assert.ok(largestDifference(run.edges.scores, expected) <= 5e-6);
      for (const setting of readJson(`${realResults}/expected.json`).cases) {
        const { th, step, max_size: maxSize, max_iterations: maxIterations, start, leftovers } = setting;
        const ladder = { threshold: th, step, maxSize, maxIterations, start, leftovers };
        const labels = propagate(run.edges, run.edges.scores, ladder, run.components.componentOf());
        const published = (await readInt32Array(`${realResults}/${setting.file}`)).data;
        assert.deepEqual(labels, published, setting.file);
      }
    });
  });

  it('says what the graph must have when hops are larger', async () => {
    const { model, features, graph } = await loadCase('wide');
    const narrow = { ...graph, width: 5, ids: graph.ids.slice(0, graph.nodeCount * 5) };
    await assert.rejects(
      withRun(model, { features, graph: narrow }, { threads: 1 }, async () => {}),
      { code: 'BAD_USAGE', message: /has 4 neighbours a node, expected at least 8/ },
    );
  });
});
