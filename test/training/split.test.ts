import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allocateKnnGraph, type KnnGraph, withWidth } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { holdOut, nodesOf, restrictGraph } from '../../src/training/split.js';

test('identities are held out whole, as many as asked for, with the same share of unlabelled rows', () => {
  const labels = Int32Array.from({ length: 20_000 }, (_, i) => (i % 4 === 0 ? -1 : i % 500));
  const parts = holdOut(labels, 0.2, 7);
  const heldOut = new Set<number>();
  const rest = new Set<number>();
  labels.forEach((label, row) => {
    if (label >= 0) (parts[row] === 1 ? heldOut : rest).add(label);
  });
  assert.deepEqual(
    [...heldOut].filter((identity) => rest.has(identity)),
    [],
  );
  assert.equal(heldOut.size, 75);
  const unlabelled = labels.reduce((sum, label, row) => sum + (label < 0 ? parts[row] : 0), 0) / 5000;
  assert.ok(Math.abs(unlabelled - 0.2) < 0.03, `${unlabelled} of the unlabelled rows`);
  assert.deepEqual(holdOut(labels, 0.2, 7), parts, 'the same seed holds out the same');
  assert.notDeepEqual(holdOut(labels, 0.2, 8), parts);
});

test('at least two identities on either side, whatever the share', () => {
  const labels = Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3);
  for (const share of [0.01, 0.9]) assert.equal(nodesOf(holdOut(labels, share, 1), 1).length, 4);
  assert.throws(
    () =>
      holdOut(
        labels.map((label) => label % 3),
        0.1,
        1,
      ),
    {
      code: 'BAD_INPUT',
      message: /3 identities are too few/,
    },
  );
});

/** Exact lists of points on a line. */
function nearest(points: readonly number[], width: number): KnnGraph {
  const graph = allocateKnnGraph(points.length, width);
  points.forEach((x, i) => {
    const order = points.map((y, j) => [Math.abs(x - y), j] as const).filter(([, j]) => j !== i);
    order.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    graph.ids.set([i, ...order.map(([, j]) => j)].slice(0, width), i * width);
  });
  return graph;
}

test('a restricted list is the beginning of the exact list among the nodes kept', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 2, max: 12 }), fc.nat(), (count, width, seed) => {
      const random = new RandomStream(seed, 1, 1);
      const points = Array.from({ length: count }, () => random.uniform());
      const kept = Int32Array.from(points.keys()).filter(() => random.uniform() < 0.7);
      const restricted = restrictGraph(nearest(points, width), kept);
      const exact = nearest(
        [...kept].map((node) => points[node]),
        width,
      );
      assert.equal(restricted.width, width);
      for (let node = 0; node < kept.length; node++) {
        const list = restricted.ids.subarray(node * width, (node + 1) * width);
        const length = list.indexOf(-1) < 0 ? width : list.indexOf(-1);
        assert.ok(length >= 1);
        assert.deepEqual([...list.subarray(0, length)], [...exact.ids.subarray(node * width, node * width + length)]);
        assert.ok(list.subarray(length).every((id) => id === -1));
      }
    }),
  );
});

test('lists of another width are cut, or filled with -1', () => {
  const graph = nearest([0, 1, 3], 3);
  assert.deepEqual([...withWidth(graph, 2).ids], [0, 1, 1, 0, 2, 1]);
  assert.deepEqual([...withWidth(graph, 4).ids], [0, 1, 2, -1, 1, 0, 2, -1, 2, 1, 0, -1]);
});
