/** Every back-end against the results of the published code in PyTorch. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { propagate } from '../../src/cluster/propagation.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import {
  largestDifference,
  loadCase,
  readJson,
  realData,
  realResults,
  withoutRealData,
  withRun,
} from '../engine/fixture.js';
import { setups } from './setups.js';

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
