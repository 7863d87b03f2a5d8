import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trustOf } from '../../src/cluster/trust.js';
import { edgesFromPairs } from '../../src/graph/candidate-edges.js';

test('clusters are as sure as their edges, rows as their best scores within and beyond', () => {
  // A triangle, a pair that an edge of .25 ties to it, a node alone, and one without edges or label.
  const pairs = [0, 1, 0, 2, 1, 2, 3, 4, 2, 3, 4, 5];
  const scores = [1, 0.5, 0.75, 0.875, 0.25, 0.125];
  const { edges, place } = edgesFromPairs(7, pairs);
  const placed = new Float32Array(scores.length);
  scores.forEach((score, e) => {
    placed[place[e]] = score;
  });
  const labels = Int32Array.of(0, 0, 0, 1, 1, 2, -1);
  const { margins, cohesion, separation, weakestJoin, trust } = trustOf({ ...edges, scores: placed }, labels, 3);
  assert.deepEqual([...cohesion], [0.75, 0.875, Number.NaN]);
  assert.deepEqual([...separation], [0.25, 0.25, 0.125]);
  assert.deepEqual([...weakestJoin], [0.75, 0.875, Number.NaN]);
  // The node alone is tied to the pair by .125.
  assert.deepEqual([...trust], [2.5 / 3, 0.6875, 0.875].map(Math.fround));
  assert.deepEqual([...margins], [1, 1, 0.5, 0.625, 0.75, -0.125, 0]);
});
