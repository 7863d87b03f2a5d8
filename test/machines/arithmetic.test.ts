import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOffsets } from '../../src/graph/candidate-edges.js';
import { arithmeticOf } from '../../src/machines/arithmetic.js';

test('the digest of the arithmetic is the same each time, and another for another head', async () => {
  const first = await arithmeticOf('pairwise');
  assert.match(first, /^[0-9a-f]{16}$/);
  assert.equal(await arithmeticOf('pairwise'), first);
  assert.notEqual(await arithmeticOf('concat'), first);
});

test('more candidate edges than offsets can count are refused', () => {
  assert.equal(startOffsets(Uint32Array.of(0, 2 ** 31, 2 ** 31 - 1)), 2 ** 32 - 1);
  assert.throws(() => startOffsets(Uint32Array.of(0, 2 ** 31, 2 ** 31)), { code: 'BAD_SHAPE' });
});
