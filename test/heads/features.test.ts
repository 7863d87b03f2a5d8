import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { reverseEdges } from '../../src/graph/reverse-edges.js';
import { quantiseScore, ScoreFeatures, summariseScores } from '../../src/heads/pairwise/score-features.js';
import { withSimilarities } from '../../src/heads/pairwise/similarities.js';
import { StructuralFeatures, summariseLists } from '../../src/heads/pairwise/structural-features.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import * as literal from './literal.js';

function assertClose(actual: Float32Array, expected: number[], tolerance: number, what: string): void {
  expected.forEach((value, f) => {
    const error = Math.abs(actual[f] - value);
    assert.ok(error <= tolerance * Math.max(1, Math.abs(value)), `${what}: feature ${f} is ${actual[f]}, not ${value}`);
  });
}

test('structural features are what they are defined to be, for lists of any length and any numbering of nodes', () => {
  let edgesSeen = 0;
  fc.assert(
    fc.property(
      literal.randomLists,
      fc.constantFrom(3, 12, 20),
      fc.boolean(),
      ({ nodeCount, lists, order }, k, isComplete) => {
        const given = literal.neighbourLists(lists, k + 2, order);
        const edges = literal.edgesOf(given, isComplete ? k + 1 : Math.ceil(k / 2), order);
        const summaries = new Float32Array(6 * nodeCount);
        summariseLists(given, k, 0, nodeCount, summaries);
        const out = new Float32Array(edges.targets.length * 17);
        const features = new StructuralFeatures(
          given,
          edges,
          summaries,
          k,
          isComplete ? reverseEdges(edges) : undefined,
        );
        const all = Int32Array.from(edges.targets.keys());
        features.write(all, all.length, out, 17);
        literal.eachEdge(edges, order, (e, a, b) => {
          edgesSeen++;
          const expected = literal.structuralFeatures(lists, k, a, b);
          assertClose(out.subarray(e * 17, e * 17 + 16), expected, 2e-6, `edge ${a}, ${b} at k ${k}`);
        });
        const some = all.filter((e) => e % 5 === 2);
        const ofSome = new Float32Array(some.length * 17);
        features.write(some, some.length, ofSome, 17);
        some.forEach((e, i) => {
          assert.deepEqual(ofSome.subarray(i * 17, i * 17 + 16), out.subarray(e * 17, e * 17 + 16));
        });
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(edgesSeen > 1000);
});

test('score features are what they are defined to be', () => {
  fc.assert(
    fc.property(literal.randomLists, ({ nodeCount, lists, order, next }) => {
      const given = literal.neighbourLists(lists, 21, order);
      const edges = literal.edgesOf(given, 20, order);
      const scores = Float32Array.from(edges.targets, () => quantiseScore(next() ** 4));
      const byPair = Array.from({ length: nodeCount }, () => new Map<number, number>());
      literal.eachEdge(edges, order, (e, a, b) => {
        byPair[a].set(b, scores[e]);
        byPair[b].set(a, scores[e]);
      });
      const reverse = reverseEdges(edges);
      const summaries = new Float64Array(4 * nodeCount);
      summariseScores(edges, reverse, scores, 0, nodeCount, summaries);
      const out = new Float32Array(edges.targets.length * 18);
      new ScoreFeatures(edges, reverse, summaries).write(
        Int32Array.from(scores.keys()),
        scores.length,
        scores,
        out,
        18,
        2,
      );
      literal.eachEdge(edges, order, (e, a, b) => {
        const expected = literal.scoreFeatures(byPair, a, b);
        assertClose(out.subarray(e * 18 + 2), expected, 2e-6, `edge ${a}, ${b}`);
      });
    }),
    { numRuns: 150 },
  );
});

test('every edge is listed once at its other end', () => {
  fc.assert(
    fc.property(literal.randomLists, ({ nodeCount, lists, order }) => {
      const edges = literal.edgesOf(literal.neighbourLists(lists, 21, order), 20, order);
      const { offsets, sources, edges: numbers } = reverseEdges(edges);
      const seen = new Set<number>();
      for (let node = 0; node < nodeCount; node++) {
        for (let i = offsets[node]; i < offsets[node + 1]; i++) {
          assert.equal(edges.targets[numbers[i]], node);
          assert.ok(edges.offsets[sources[i]] <= numbers[i] && numbers[i] < edges.offsets[sources[i] + 1]);
          seen.add(numbers[i]);
        }
      }
      assert.equal(seen.size, edges.targets.length);
    }),
  );
});

test('cosines stand beside their neighbours, whatever the dimension', () => {
  for (const dim of [1, 3, 4, 17]) {
    const rows = SharedRows.allocate(4, dim);
    for (let i = 0; i < 4; i++) {
      const row = rows.row(i);
      for (let c = 0; c < dim; c++) row[c] = Math.sin(i * dim + c + 1);
    }
    const graph = { nodeCount: 4, width: 3, ids: Int32Array.of(0, 3, 1, 1, 2, -1, 2, -1, -1, 3, 0, 2) };
    const { similarities } = withSimilarities(graph, rows);
    graph.ids.forEach((id, at) => {
      if (id < 0) return;
      const expected = rows.row(Math.floor(at / 3)).reduce((sum, value, c) => sum + value * rows.row(id)[c], 0);
      assert.ok(Math.abs(similarities[at] - expected) < 1e-5, `${at}: ${similarities[at]} ≠ ${expected}`);
    });
  }
});
