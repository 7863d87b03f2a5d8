import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { relabel } from '../../src/cluster/relabel.js';

test('labels are numbered by first appearance and −1 stays', () => {
  const labels = Int32Array.of(7, -1, 3, 7, 0, 3, -1);
  assert.equal(relabel(labels), 3);
  assert.deepEqual([...labels], [0, -1, 1, 0, 2, 1, -1]);
});

test('any integers may name clusters; equal labels stay equal and different ones different', () => {
  const label = fc.oneof(
    fc.integer({ min: -1, max: 5 }),
    fc.constantFrom(-(2 ** 31), -2, 2 ** 31 - 1, 1e9),
    fc.integer(),
  );
  fc.assert(
    fc.property(fc.array(label), (given) => {
      const labels = Int32Array.from(given);
      const count = relabel(labels);
      const names = [...new Set(given.filter((name) => name !== -1))];
      assert.equal(count, names.length);
      assert.deepEqual(
        [...labels],
        given.map((name) => names.indexOf(name)),
      );
    }),
  );
});

test('more sparse labels than a Map holds', () => {
  const distinct = 2 ** 24 + 1;
  const labels = new Int32Array(distinct + 1000);
  for (let i = 0; i < labels.length; i++) labels[i] = 127 * (i % distinct);
  assert.equal(relabel(labels), distinct);
  let wrong = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i] !== i % distinct) wrong++;
  assert.equal(wrong, 0);
});

test('no labels', () => {
  assert.equal(relabel(new Int32Array(0)), 0);
});
