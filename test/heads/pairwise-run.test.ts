import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import { scorePairwise } from '../../src/heads/pairwise/scorer.js';
import { openRows } from '../../src/io/matrix.js';
import { label } from '../../src/jobs/label.js';
import { largestDifference, loadCase, randomPairwise } from '../engine/fixture.js';

describe('a run of the pairwise head', () => {
  for (const rounds of [1, 2, 3]) {
    it(`agrees with the scorer on one thread, and with itself for any threads, shards and batch: ${rounds} rounds`, async () => {
      const { features, graph } = await loadCase('four_heads');
      const model = randomPairwise(10, rounds);
      const { nodeCount: n, width } = graph;
      const reader = openRows(features);
      const rows = new Float32Array(n * reader.dim);
      reader.read(0, n, rows);
      reader.close();
      const row = (node: number) => rows.subarray(node * reader.dim, (node + 1) * reader.dim);
      const similarities = Float32Array.from(graph.ids, (id, at) =>
        id < 0 ? 0 : row(Math.floor(at / width)).reduce((sum, x, c) => sum + x * row(id)[c], 0),
      );
      const expected = await scorePairwise(model, { ...graph, similarities }, candidateEdges(graph, 10));

      const options = { features: { rows, dim: reader.dim }, knn: graph, model, saveEdges: true, threshold: 0.5 };
      const first = await label({ ...options, threads: 1, shards: 1 });
      assert.ok(first.edges && largestDifference(first.edges.scores, expected) <= 2e-4);
      assert.ok(new Set(first.edges.scores).size > 100);
      for (const [threads, shards, batch] of [
        [2, 7, 100],
        [3, 64, 9],
      ]) {
        const again = await label({ ...options, threads, shards, batch });
        assert.deepEqual(again.edges, first.edges);
        assert.deepEqual(again.labels, first.labels);
      }
      const plain = await label({ ...options, backend: 'reference', threads: 1 });
      assert.ok(plain.edges && largestDifference(plain.edges.scores, first.edges.scores) <= 2e-4);
    });
  }

  it('asks for as many neighbours as the model looks at', async () => {
    const { graph } = await loadCase('wide');
    const features = { rows: new Float32Array(graph.nodeCount * 8).fill(0.5), dim: 8 };
    await assert.rejects(label({ features, knn: graph, model: randomPairwise(18, 1) }), {
      code: 'BAD_USAGE',
      message: /has 16 neighbours a node, expected at least 18 for a model that looks at 18/,
    });
  });
});
