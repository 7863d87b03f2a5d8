import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AbsentPairs, linkage, linkageMerges } from '../../src/cluster/linkage.js';
import { relabel } from '../../src/cluster/relabel.js';
import { NaanError } from '../../src/errors.js';
import { edgesOfLinks, type Link, scoredEdges } from './stored-cases.js';

const clique = (nodes: number[], score: number): Link[] =>
  nodes.flatMap((a, i) => nodes.slice(i + 1).map((b): Link => [a, b, score]));

function label(
  nodeCount: number,
  links: readonly Link[],
  threshold: number,
  { order, absentPairs }: { order?: Int32Array; absentPairs?: AbsentPairs } = {},
): number[] {
  const { edges, scores } = edgesOfLinks(nodeCount, links);
  return [...linkage(edges, scores, { threshold, order, absentPairs })];
}

/** Share of a node's links that lead to others, to the 2^-20 that scores are rounded to as well. */
function roomOf(node: number, links: readonly Link[]): number {
  const own = links.filter(([a, b]) => a === node || b === node);
  const others = own.reduce((sum, [, , score]) => sum + 1 - score, 0);
  return Math.round(((others + 1) / (own.length + 2)) * 2 ** 20) / 2 ** 20;
}

/** Room of each node by the size of its cluster, to the 2^-20 above. */
function capacities(labels: readonly number[], links: readonly Link[]): number[] {
  return labels.map((label) => {
    const size = labels.filter((other) => other === label).length;
    const ends = links.flatMap((link) => link.slice(0, 2)).filter((node) => labels[node] === label).length;
    const share = ends / size / size;
    return label < 0 || share >= 1 ? 1 : Math.ceil(share * Math.sqrt(share) * 2 ** 20) / 2 ** 20;
  });
}

/** Labels by `naive` between nodes of the rooms that there are for absent pairs. */
function expectedLabels(nodeCount: number, links: readonly Link[], threshold: number, absentPairs: AbsentPairs) {
  let rooms = new Array<number>(nodeCount).fill(1);
  if (absentPairs === 'room') rooms = rooms.map((_, node) => roomOf(node, links));
  if (absentPairs === 'capacity') {
    for (let run = 0; run < 2; run++) rooms = capacities(naive(nodeCount, links, 0.28, absentPairs, rooms), links);
  }
  return naive(nodeCount, links, threshold, absentPairs, rooms);
}

/** Joins the most similar pair of clusters, sets of nodes, while there is one; all pairs are looked at every time. */
function naive(
  nodeCount: number,
  links: readonly Link[],
  threshold: number,
  absentPairs: AbsentPairs,
  rooms: readonly number[],
): number[] {
  const room = (cluster: ReadonlySet<number>) => [...cluster].reduce((sum, node) => sum + rooms[node], 0);
  const clusters = Array.from({ length: nodeCount }, (_, node) => new Set([node]));
  for (;;) {
    let best: { a: number; b: number; similarity: number } | undefined;
    for (let a = 0; a < nodeCount; a++) {
      for (let b = a + 1; b < nodeCount; b++) {
        const [x, y] = [clusters[a], clusters[b]];
        const between = links.filter(([i, j]) => (x.has(i) && y.has(j)) || (x.has(j) && y.has(i)));
        if (between.length === 0) continue;
        const sum = between.reduce((sum, [, , score]) => sum + score, 0);
        const present = absentPairs === 'all' ? 0 : between.length;
        const similarity = Math.fround(sum / Math.sqrt(between.length * (present + room(x) * room(y))));
        if (similarity >= threshold && (best === undefined || similarity > best.similarity))
          best = { a, b, similarity };
      }
    }
    if (best === undefined) break;
    for (const node of clusters[best.b]) clusters[best.a].add(node);
    clusters[best.b].clear();
  }
  const labels = new Int32Array(nodeCount).fill(-1);
  const touched = new Set(links.flatMap((link) => link.slice(0, 2)));
  clusters.forEach((nodes, name) => {
    for (const node of nodes) if (touched.has(node)) labels[node] = name;
  });
  relabel(labels);
  return [...labels];
}

/** Few different scores, so that there are many ties, or scores that hardly ever tie. */
const graphs = fc.tuple(fc.integer({ min: 2, max: 14 }), fc.constantFrom(4, 2 ** 20)).chain(([nodeCount, steps]) =>
  fc.record({
    nodeCount: fc.constant(nodeCount),
    links: fc
      .uniqueArray(fc.tuple(fc.nat(nodeCount - 1), fc.nat(nodeCount - 1), fc.nat(steps)), {
        maxLength: 50,
        selector: ([a, b]) => Math.min(a, b) * nodeCount + Math.max(a, b),
      })
      .map((links) => links.filter(([a, b]) => a !== b).map(([a, b, score]): Link => [a, b, score / steps])),
    threshold: fc.integer({ min: 1, max: 20 }).map((step) => step / 20 - 0.013),
    random: fc.infiniteStream(fc.nat()),
  }),
);

test('two groups with a bridge stay two, and nodes alone are −1 or a cluster of one', () => {
  const groups = [...clique([0, 1, 2, 3], 0.8), ...clique([4, 5, 6, 7], 0.8), [3, 4, 0.7] as const];
  assert.deepEqual(label(8, groups, 0.3, { absentPairs: 'all' }), [0, 0, 0, 0, 1, 1, 1, 1]);
  // Lists of more places than a group has images go on to other people.
  const strangers = Array.from({ length: 32 }, (_, e): Link => [e % 8, 8 + e, 0.05]);
  assert.deepEqual(label(40, [...groups, ...strangers], 0.3).slice(0, 8), [0, 0, 0, 0, 1, 1, 1, 1]);
  assert.deepEqual(label(3, [[0, 1, 0.4]], 0.5), [0, 1, -1]);
  assert.deepEqual(label(0, [], 0.5), []);
});

test('an identity larger than lists are long becomes whole, and what lists had room for and lack stays out', () => {
  // Forty nodes in a ring, each with an edge to the three on either side: most pairs of the two halves are absent.
  const ring = Array.from({ length: 120 }, (_, e): Link => [e % 40, ((e % 40) + 1 + Math.floor(e / 40)) % 40, 0.95]);
  assert.equal(new Set(label(40, ring, 0.5)).size, 1);
  assert.ok(new Set(label(40, ring, 0.5, { absentPairs: 'all' })).size > 3);
  // By capacity so does one whose scores leave room, and two groups that fit into lists stay apart.
  const steps = [1, 2, 3, 4, 5, 11, 17, 23, 29, 31];
  const large = steps.flatMap((step) => Array.from({ length: 200 }, (_, a): Link => [a, (a + step) % 200, 0.8]));
  assert.equal(new Set(label(200, large, 0.3, { absentPairs: 'capacity' })).size, 1);
  assert.equal(new Set(label(200, large, 0.3, { absentPairs: 'all' })).size, 5);
  const pair = [
    ...clique([0, 1, 2, 3, 4, 5], 0.9),
    ...clique([6, 7, 8, 9, 10, 11], 0.9),
    [0, 6, 0.9],
    [1, 7, 0.9],
  ] as const;
  assert.equal(new Set(label(12, pair, 0.3, { absentPairs: 'capacity' })).size, 2);
  // The same ring, whose lists go on to other people.
  const strangers = Array.from({ length: 240 }, (_, e): Link => [e % 40, 40 + e, 0.02]);
  assert.ok(new Set(label(280, [...ring, ...strangers], 0.5).slice(0, 40)).size > 3);
});

for (const absentPairs of ['room', 'capacity', 'all'] as const) {
  test(`absent pairs by ${absentPairs}: nearest-neighbour chains join what joining the most similar pair joins`, () => {
    let joined = 0;
    fc.assert(
      fc.property(graphs, ({ nodeCount, links, threshold }) => {
        const expected = expectedLabels(nodeCount, links, threshold, absentPairs);
        assert.deepEqual(label(nodeCount, links, threshold, { absentPairs }), expected);
        joined += expected.length - new Set(expected).size;
      }),
      { numRuns: absentPairs === 'room' ? 2000 : 600 },
    );
    assert.ok(joined > 300, `${joined}`);
  });
}

test('the order of edges and a renumbering of nodes change nothing, even among equals', () => {
  fc.assert(
    fc.property(graphs, ({ nodeCount, links, threshold, random }) => {
      const wanted = label(nodeCount, links, threshold);
      const order = Int32Array.from(shuffled(nodeCount, random));
      const turned = shuffled(links.length, random).map((e): Link => {
        const [a, b, score] = links[e];
        return [order.indexOf(b), order.indexOf(a), score];
      });
      const labels = label(nodeCount, turned, threshold, { order });
      const back = new Int32Array(nodeCount);
      order.forEach((node, position) => {
        back[node] = labels[position];
      });
      relabel(back);
      assert.deepEqual([...back], wanted);
    }),
    { numRuns: 300 },
  );
});

test('one run holds the joins of every higher threshold, from the most similar on', () => {
  fc.assert(
    fc.property(graphs, ({ nodeCount, links, threshold }) => {
      const { edges, scores } = edgesOfLinks(nodeCount, links);
      const { firsts, seconds, similarities } = linkageMerges(edges, scores, { threshold: 0.01 });
      const count = similarities.filter((value) => value >= threshold).length;
      assert.deepEqual(
        [...similarities],
        [...similarities].sort((x, y) => y - x),
      );
      const merged: Link[] = Array.from({ length: count }, (_, m) => [firsts[m], seconds[m], 1]);
      assert.deepEqual(componentsOf(nodeCount, merged, links), label(nodeCount, links, threshold));
    }),
    { numRuns: 300 },
  );
});

test('arguments that do not fit are refused', () => {
  const { edges, scores } = scoredEdges(2, [0, 1], [0.5]);
  const refuses = (code: string, run: () => unknown) =>
    assert.throws(run, (error) => error instanceof NaanError && error.code === code);
  refuses('BAD_SHAPE', () => linkage(edges, new Float32Array(2), { threshold: 0.5 }));
  refuses('BAD_SHAPE', () => linkage(edges, scores, { threshold: 0.5, order: Int32Array.of(0) }));
  refuses('BAD_INPUT', () => linkage(edges, Float32Array.of(Number.NaN), { threshold: 0.5 }));
  refuses('BAD_USAGE', () => linkage(edges, scores, { threshold: 0 }));
  refuses('BAD_USAGE', () => linkage(edges, scores, { threshold: Number.NaN }));
});

/** Components of `joins`; −1 for nodes that no link of `all` touches. */
function componentsOf(nodeCount: number, joins: readonly Link[], all: readonly Link[]): number[] {
  const labels = Int32Array.from({ length: nodeCount }, (_, node) => node);
  for (const [a, b] of joins) {
    const [from, to] = [labels[b], labels[a]];
    labels.forEach((value, node) => {
      if (value === from) labels[node] = to;
    });
  }
  const touched = new Set(all.flatMap((link) => link.slice(0, 2)));
  labels.forEach((_, node) => {
    if (!touched.has(node)) labels[node] = -1;
  });
  relabel(labels);
  return [...labels];
}

function shuffled(count: number, random: Iterator<number>): number[] {
  const items = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.next().value % (i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}
