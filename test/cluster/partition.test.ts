import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { labelsAt, partitionEdges, partitions } from '../../src/cluster/partition.js';
import { relabel } from '../../src/cluster/relabel.js';
import { partitionDefaults } from '../../src/defaults.js';
import { edgesOfLinks } from './stored-cases.js';

/** Labels numbered by first appearance. */
function numbered(labels: Int32Array): Int32Array {
  const copy = labels.slice();
  relabel(copy);
  return copy;
}

test('any graph: labels at rising thresholds are those of a partition at each of them', () => {
  const graph = fc.integer({ min: 1, max: 20 }).chain((nodeCount) => {
    const node = fc.nat(nodeCount - 1);
    const score = fc.oneof(fc.constantFrom(0, 0.25, 0.5, 0.75, 1), fc.float({ min: 0, max: 1, noNaN: true }));
    return fc.record({
      nodeCount: fc.constant(nodeCount),
      links: fc.uniqueArray(fc.tuple(node, node, score), {
        selector: ([a, b]) => `${Math.min(a, b)} ${Math.max(a, b)}`,
        maxLength: 60,
      }),
    });
  });
  const threshold = fc.oneof(fc.constantFrom(0.25, 0.5, 0.75, 1), fc.double({ min: 0.01, max: 1, noNaN: true }));
  const settings = fc.record({
    partition: fc.constantFrom(...partitions),
    thresholds: fc.array(threshold, { minLength: 1, maxLength: 8 }),
    start: fc.constantFrom('threshold' as const, 'all' as const),
    maxSize: fc.constantFrom(1, 2, 4, 8, 1000),
  });
  fc.assert(
    fc.property(graph, settings, (given, { partition, thresholds, start, maxSize }) => {
      const links = given.links.filter(([a, b]) => a !== b);
      const { edges, scores } = edgesOfLinks(given.nodeCount, links);
      const rising = [...thresholds].sort((a, b) => a - b);
      const options = { ...partitionDefaults, start, maxSize };
      const found = [...labelsAt({ ...edges, scores }, partition, options, rising)];
      assert.equal(found.length, rising.length);
      for (const [t, labels] of found.entries()) {
        const alone = partitionEdges(edges, scores, partition, { ...options, threshold: rising[t] });
        // A node without an edge is labelled −1 or a cluster of its own.
        const own = Int32Array.from(alone, (label, node) => (label < 0 ? alone.length + node : label));
        const cut = Int32Array.from(labels, (label, node) => (label < 0 ? labels.length + node : label));
        assert.deepEqual(numbered(cut), numbered(own));
      }
    }),
    { numRuns: 500 },
  );
});
