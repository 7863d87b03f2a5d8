import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanLabels } from '../../src/evaluation/clean-labels.js';

test('rows alone in their cluster become −1 and the rest is renumbered, one label a row', () => {
  const labels = Int32Array.of(9, 4, -1, 7, 4, 1, 7, 7, -1);
  assert.deepEqual([...cleanLabels(labels)], [-1, 0, -1, 1, 0, -1, 1, 1, -1]);
  assert.equal(labels[0], 9, 'the labels given are left as they were');
  assert.deepEqual([...cleanLabels(new Int32Array(0))], []);
});
