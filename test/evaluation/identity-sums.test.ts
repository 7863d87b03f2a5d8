import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { IdentityAgreement } from '../../src/evaluation/identity-sums.js';

const labelled = fc.integer({ min: 1, max: 30 }).chain((rows) =>
  fc.record({
    labels: fc.array(fc.integer({ min: -1, max: Math.min(6, rows - 1) }), { minLength: rows, maxLength: rows }),
    truth: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: rows, maxLength: rows }),
  }),
);

test('sums over identities give the agreement that counting gives', () => {
  fc.assert(
    fc.property(labelled, ({ labels, truth }) => {
      if (truth.every((identity) => identity === -1)) return;
      const [rows, known] = [Int32Array.from(labels), Int32Array.from(truth)];
      const agreement = new IdentityAgreement(known);
      const { bcubed, pairwise } = agreement.agreement(agreement.sums(rows));
      const expected = evaluate(rows, known).all;
      for (const part of ['precision', 'recall', 'f'] as const) {
        assert.ok(Math.abs(bcubed[part] - expected.bcubed[part]) < 1e-12);
        assert.ok(Math.abs(pairwise[part] - expected.pairwise[part]) < 1e-12);
      }
    }),
    { numRuns: 1000 },
  );
});

test('an identity that counts twice counts as two that are alike, and one that does not is none', () => {
  const truth = Int32Array.of(0, 0, 1, 1, 2, 2);
  const labels = Int32Array.of(0, 0, 1, 2, 3, 4);
  const agreement = new IdentityAgreement(truth);
  const twice = agreement.agreement(agreement.sums(labels), Uint16Array.of(1, 2, 0));
  const { bcubed, pairwise } = evaluate(Int32Array.of(0, 0, 1, 2, 3, 4), Int32Array.of(0, 0, 1, 1, 2, 2)).all;
  assert.deepEqual(twice.bcubed, bcubed);
  assert.deepEqual(twice.pairwise, pairwise);
  assert.equal(agreement.agreement(agreement.sums(labels), Uint16Array.of(1, 0, 0)).bcubed.f, 1);
});

test('a truth that knows nobody is refused', () => {
  assert.throws(() => new IdentityAgreement(Int32Array.of(-1, -1)), { code: 'BAD_INPUT' });
});
