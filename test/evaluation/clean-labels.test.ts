import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanLabels } from '../../src/evaluation/clean-labels.js';

test('rows alone in their cluster become −1 and the rest is renumbered, one label a row', () => {
  const codes = Int32Array.of(9, 4, -1, 7, 4, 1, 7, 7, -1);
  assert.deepEqual(cleanLabels({ codes }), { codes: Int32Array.of(-1, 0, -1, 1, 0, -1, 1, 1, -1) });
  assert.equal(codes[0], 9, 'the labels given are left as they were');
  assert.deepEqual(cleanLabels({ codes: new Int32Array(0) }), { codes: new Int32Array(0) });
});

test('names stay with their clusters', () => {
  const names = ['ann', 'bob', 'eve'];
  const cleaned = cleanLabels({ codes: Int32Array.of(2, 0, 1, -1, 1), names });
  assert.deepEqual(cleaned, { codes: Int32Array.of(-1, -1, 1, -1, 1), names });
});
