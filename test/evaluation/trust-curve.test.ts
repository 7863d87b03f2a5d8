import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { trustCurve } from '../../src/evaluation/trust-curve.js';
import { RandomStream } from '../../src/graph/random.js';

test('a point of the curve is what evaluate gives for the rows of the clusters that are trusted so much', () => {
  const random = new RandomStream(5, 1, 0);
  const rows = 400;
  const truth = Int32Array.from({ length: rows }, () => random.below(40) - 1);
  const labels = truth.map((identity) => (random.below(3) > 0 ? Math.max(0, identity) : random.below(60) - 1));
  const trust = Float32Array.from({ length: 60 }, (_, c) => (c === 7 ? Number.NaN : random.below(12) / 12));
  const points = trustCurve(labels, trust, truth, 10);
  assert.ok(points.length >= 8 && points.length <= 10);
  for (const { trust: least, rows: kept, share, bcubed, pairwise } of points) {
    const left = labels.map((label) => (label >= 0 && trust[label] >= least ? label : -1));
    const expected = evaluate(left, truth, { unlabelled: 'drop' }).all;
    const known = (label: number, row: number) => label !== -1 && truth[row] !== -1;
    assert.equal(kept, left.filter(known).length);
    assert.equal(share, kept / truth.filter((identity) => identity !== -1).length);
    for (const measure of ['precision', 'recall', 'f'] as const) {
      assert.ok(Math.abs(bcubed![measure] - expected.bcubed[measure]) < 1e-12);
      assert.ok(Math.abs(pairwise![measure] - expected.pairwise[measure]) < 1e-12);
    }
  }
  assert.deepEqual(
    points.map((point) => point.trust),
    [...points.map((point) => point.trust)].sort((a, b) => b - a),
  );
});

test('without a truth a curve says how much is kept', () => {
  const points = trustCurve(Int32Array.of(0, 0, 1, 2, -1), Float32Array.of(0.5, 0.9, 0.5), undefined, 5);
  assert.deepEqual(points, [
    { trust: Math.fround(0.9), rows: 1, share: 0.2 },
    { trust: 0.5, rows: 4, share: 0.8 },
  ]);
});
