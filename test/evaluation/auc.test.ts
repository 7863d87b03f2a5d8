import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { auc } from '../../src/evaluation/auc.js';

test('the share of pairs of a positive and a negative that are in order, ties counted half', () => {
  const pair = fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 1 }));
  fc.assert(
    fc.property(fc.array(pair, { minLength: 2, maxLength: 40 }), (pairs) => {
      const positives = pairs.filter(([, target]) => target === 1);
      const negatives = pairs.filter(([, target]) => target === 0);
      fc.pre(positives.length > 0 && negatives.length > 0);
      let wins = 0;
      for (const [p] of positives) for (const [n] of negatives) wins += p > n ? 1 : p === n ? 0.5 : 0;
      const scores = Float32Array.from(pairs, ([score]) => score / 7);
      const found = auc(
        scores,
        pairs.map(([, target]) => target),
      );
      assert.equal(found, wins / (positives.length * negatives.length));
    }),
  );
});

test('no positives, or no negatives: there is nothing to rank', () => {
  assert.ok(Number.isNaN(auc(Float32Array.of(0.5, 0.6), [1, 1])));
  assert.ok(Number.isNaN(auc(Float32Array.of(0.5, 0.6), [0, 0])));
});
