import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { relabel } from '../../src/cluster/relabel.js';
import { whispers } from '../../src/cluster/whispers.js';
import { NaanError } from '../../src/errors.js';
import { scoredEdges } from './stored-cases.js';

const options = { threshold: 0.5, maxIterations: 20 };

/** Edges between all of the nodes. */
const clique = (nodes: number[], score: number) =>
  nodes.flatMap((a, i) => nodes.slice(i + 1).map((b) => [a, b, score]));

function label(nodeCount: number, links: number[][], some: Partial<typeof options> = {}): number[] {
  const { edges, scores } = scoredEdges(
    nodeCount,
    links.flatMap((link) => link.slice(0, 2)),
    links.map((link) => link[2]),
  );
  return [...whispers(edges, scores, { ...options, ...some })];
}

test('two groups with a bridge stay two, where components would be one', () => {
  const links = [...clique([0, 1, 2, 3], 0.8), ...clique([4, 5, 6, 7], 0.8), [3, 4, 0.99]];
  assert.deepEqual(label(8, links), [0, 0, 0, 0, 1, 1, 1, 1]);
});

test('edges under the threshold say nothing, and nodes without edges are −1', () => {
  assert.deepEqual(
    label(5, [
      [0, 1, 0.5],
      [1, 2, 0.4999],
      [3, 2, 0.1],
    ]),
    [0, 0, 1, 2, -1],
  );
  assert.deepEqual(label(0, []), []);
});

test('a node goes where the sum of scores is larger, not where one score is', () => {
  const groups = [...clique([1, 2, 3], 0.9), ...clique([4, 5, 6], 0.9)];
  const links = [...groups, [0, 1, 0.95], [0, 4, 0.6], [0, 5, 0.6]];
  const labels = label(7, links);
  assert.equal(labels[0], labels[4]);
  assert.notEqual(labels[0], labels[1]);
});

/** Links whose weights sum to different totals at different nodes nearly always: the order of visits has no ties. */
const graph = fc.integer({ min: 2, max: 25 }).chain((nodeCount) =>
  fc.record({
    nodeCount: fc.constant(nodeCount),
    links: fc.uniqueArray(
      fc.tuple(fc.nat(nodeCount - 1), fc.nat(nodeCount - 1), fc.integer({ min: 2 ** 23, max: 2 ** 24 })),
      { maxLength: 80, selector: ([a, b]) => Math.min(a, b) * nodeCount + Math.max(a, b) },
    ),
    random: fc.infiniteStream(fc.nat()),
  }),
);

test('reordering and turning edges changes nothing; renaming nodes nothing but names, unless weights tie', () => {
  let renamedRuns = 0;
  fc.assert(
    fc.property(graph, ({ nodeCount, links, random }) => {
      const given = links.filter(([a, b]) => a !== b).map(([a, b, weight]) => [a, b, weight / 2 ** 24]);
      const wanted = label(nodeCount, given);
      const turned = shuffled(given.length, random).map((e) => [given[e][1], given[e][0], given[e][2]]);
      assert.deepEqual(label(nodeCount, turned), wanted);

      const totals = new Array<number>(nodeCount).fill(0);
      for (const [a, b, score] of given) {
        totals[a] += score;
        totals[b] += score;
      }
      const linked = totals.filter((total) => total > 0);
      if (new Set(linked).size < linked.length) return;
      renamedRuns++;
      const nameOf = shuffled(nodeCount, random);
      const labels = label(
        nodeCount,
        given.map(([a, b, score]) => [nameOf[a], nameOf[b], score]),
      );
      const back = Int32Array.from(nameOf, (name) => labels[name]);
      relabel(back);
      assert.deepEqual([...back], wanted);
    }),
    { numRuns: 500 },
  );
  assert.ok(renamedRuns > 50, `${renamedRuns} graphs without ties`);
});

test('once changes have come to an end nobody would rather be elsewhere', () => {
  fc.assert(
    fc.property(graph, ({ nodeCount, links }) => {
      const given = links.filter(([a, b]) => a !== b).map(([a, b, weight]) => [a, b, weight / 2 ** 24]);
      const labels = label(nodeCount, given, { maxIterations: 1e6 });
      for (let node = 0; node < nodeCount; node++) {
        const heard = new Map<number, number>();
        for (const [a, b, score] of given) {
          if (a !== node && b !== node) continue;
          const other = labels[a === node ? b : a];
          heard.set(other, (heard.get(other) ?? 0) + score);
        }
        assert.ok((heard.get(labels[node]) ?? 0) >= Math.max(0, ...heard.values()));
      }
    }),
    { numRuns: 300 },
  );
});

test('arguments that do not fit are refused', () => {
  const { edges, scores } = scoredEdges(2, [0, 1], [0.5]);
  const refuses = (code: string, run: () => unknown) =>
    assert.throws(run, (error) => error instanceof NaanError && error.code === code);
  refuses('BAD_SHAPE', () => whispers(edges, new Float32Array(2), options));
  refuses('BAD_INPUT', () => whispers(edges, Float32Array.of(Number.NaN), options));
  refuses('BAD_USAGE', () => whispers(edges, scores, { ...options, threshold: Number.NaN }));
  refuses('BAD_USAGE', () => whispers(edges, scores, { ...options, maxIterations: 0 }));
});

function shuffled(count: number, random: Iterator<number>): number[] {
  const items = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.next().value % (i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}
