/** Every back-end: head `concat` against the results of the published code in PyTorch, `pairwise` against plain loops. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { propagate } from '../../src/cluster/propagation.js';
import type { EngineOptions } from '../../src/engine/scoring-run.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { label } from '../../src/jobs/label.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import {
  largestDifference,
  loadCase,
  randomPairwise,
  readJson,
  realData,
  realResults,
  withoutRealData,
  withRun,
} from '../engine/fixture.js';
import { pairwiseTolerance, setups } from './setups.js';

for (const { name: setup, options, skip = false, tolerance, realTolerance } of setups) {
  describe(`back-end ${setup} agrees with PyTorch`, { skip }, () => {
    for (const name of ['one_head', 'four_heads', 'wide'] as const) {
      it(`on ${name}`, async () => {
        const { model, features, graph, centres, pairs, scores } = await loadCase(name);
        await withRun(model, { features, graph }, { ...options, shards: 3, batch: 32 }, async (run, score) => {
          await score((part) => {
            if (part !== 'embed') return;
            const { dim } = model.config;
            const found = run.rows('c');
            const row = new Float32Array(found.dim);
            for (let node = 0; node < graph.nodeCount; node++) {
              found.gather(Int32Array.of(node), 1, row);
              const expected = centres.subarray(node * dim, (node + 1) * dim);
              assert.ok(largestDifference(row.subarray(0, dim), expected) <= tolerance, `node ${node}`);
            }
          });
          const { offsets, targets } = run.edges;
          const found: number[] = [];
          for (let a = 0; a < graph.nodeCount; a++) {
            for (let e = offsets[a]; e < offsets[a + 1]; e++) found.push(a, targets[e]);
          }
          assert.deepEqual(Int32Array.from(found), pairs);
          assert.ok(largestDifference(run.edges.scores, scores) <= tolerance);
        });
      });
    }

    it('with the same labels on real data', { skip: withoutRealData }, async () => {
      const model = await importCheckpoint(`${realResults}/model.ckpt`);
      const features = await locateFeatures(`${realData}/split1_feats.npz`);
      const graph = await readKnn(`${realData}/split1_knn.npy`, { columns: 21 });
      await withRun(model, { features, graph, uniteFrom: -Infinity }, options, async (run, score) => {
        await score();
        const pairs = (await readInt32Array(`${realResults}/edges.npy`)).data;
        const expected = (await readFloat32Array(`${realResults}/scores.npy`)).data;
        assert.deepEqual(
          run.edges.targets,
          pairs.filter((_, i) => i % 2 === 1),
        );
        assert.ok(largestDifference(run.edges.scores, expected) <= realTolerance);
        for (const setting of readJson(`${realResults}/expected.json`).cases) {
          const { th, step, max_size: maxSize, max_iterations: maxIterations, start, leftovers } = setting;
          const ladder = { threshold: th, step, maxSize, maxIterations, start, leftovers };
          const labels = propagate(run.edges, run.edges.scores, ladder, run.components.componentOf());
          const published = (await readInt32Array(`${realResults}/${setting.file}`)).data;
          assert.deepEqual(labels, published, setting.file);
        }
      });
    });
  });
}

const pairwiseInputs = {
  'a fixture, in three rounds': {
    features: 'test/fixtures/four_heads/feats.npz',
    knn: 'test/fixtures/four_heads/knn.npy',
  },
  'Omniglot longtail, by the general model': realSet('longtail'),
  'Omniglot matched, by the general model': realSet('matched'),
} as const;

function realSet(name: string) {
  const folder = `../shared/data/omniglot_${name}`;
  return { features: `${folder}/split0_feats.npz`, knn: `${folder}/split0_knn.npy` };
}

/** Scores and labels of an input in plain loops, computed once. */
const plainResults = new Map<string, ReturnType<typeof labelPairwise>>();

function labelPairwise(name: keyof typeof pairwiseInputs, options: EngineOptions) {
  const model = name.startsWith('a fixture') ? { model: randomPairwise(10, 3), threshold: 0.5 } : {};
  return label({ ...pairwiseInputs[name], ...model, ...options, saveEdges: true });
}

for (const { name: setup, options, skip = false } of setups.slice(1)) {
  describe(`back-end ${setup} scores pairwise as plain loops do`, { skip }, () => {
    for (const name of Object.keys(pairwiseInputs) as (keyof typeof pairwiseInputs)[]) {
      const missing = existsSync(pairwiseInputs[name].features)
        ? false
        : `${pairwiseInputs[name].features} is not here`;
      it(`on ${name}, with the same labels`, { skip: missing }, async () => {
        const plain = plainResults.get(name) ?? labelPairwise(name, { backend: 'reference', threads: 2 });
        plainResults.set(name, plain);
        const [expected, found] = await Promise.all([plain, labelPairwise(name, options)]);
        assert.ok(expected.edges && found.edges);
        assert.deepEqual(found.edges.pairs, expected.edges.pairs);
        const difference = largestDifference(found.edges.scores, expected.edges.scores);
        assert.ok(difference <= pairwiseTolerance, String(difference));
        assert.deepEqual(found.labels, expected.labels);
      });
    }
  });
}
