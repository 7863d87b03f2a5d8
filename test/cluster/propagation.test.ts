import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PropagationOptions, propagate } from '../../src/cluster/propagation.js';
import { relabel } from '../../src/cluster/relabel.js';
import { SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';
import { NaanError } from '../../src/errors.js';
import { readLabels } from '../../src/io/labels.js';
import { caseNames, modelCaseNames, publishedFolder, readCase, scoredEdges } from './stored-cases.js';

const options: PropagationOptions = {
  threshold: 0.8,
  step: 0.6,
  maxSize: 600,
  maxIterations: 1000,
  start: 'threshold',
  leftovers: 'components',
};

for (const name of caseNames) {
  test(`${name}: labels equal the published loop's in every stored setting`, async () => {
    const { edges, scores, expected } = await readCase(name);
    assert.ok(expected.propagation.length >= 6);
    for (const stored of expected.propagation) {
      const { th: threshold, step, max_sz: maxSize, max_iter: maxIterations, leftovers } = stored;
      const settings = { threshold, step, maxSize, maxIterations, start: 'all', leftovers } as const;
      assert.deepEqual([...propagate(edges, scores, settings)], stored.labels, JSON.stringify(settings));
    }
  });
}

for (const name of modelCaseNames) {
  test(`${name}: components at a threshold, except that a node with lower edges only is a cluster, not −1`, async () => {
    const { edges, scores, expected, pairs } = await readCase(name);
    const touched = new Set(pairs);
    for (const { threshold, labels } of expected.components_at_threshold) {
      let next = Math.max(...labels) + 1;
      const wanted = Int32Array.from(labels, (label: number, node) =>
        label < 0 && touched.has(node) ? next++ : label,
      );
      relabel(wanted);
      assert.deepEqual(propagate(edges, scores, { ...options, threshold, maxSize: Infinity }), wanted);
    }
  });
}

test('labels of real data equal those of the published code', async (t) => {
  if (publishedFolder === undefined) return t.skip('../shared/fixtures/omniglot_published is not there');
  const { edges, scores, expected } = await readCase(publishedFolder);
  assert.equal(expected.cases.length, 5);
  for (const {
    file,
    th: threshold,
    step,
    max_size: maxSize,
    max_iterations: maxIterations,
    ...kinds
  } of expected.cases) {
    const { start, leftovers } = kinds;
    const labels = propagate(edges, scores, { threshold, step, maxSize, maxIterations, start, leftovers });
    const { codes: stored } = await readLabels(path.join(publishedFolder, file));
    relabel(stored);
    assert.deepEqual(labels, stored, file);
  }
});

/** The published loop, word for word: a queue of nodes left, a search for each component, thresholds rising. */
function searchRoundByRound(
  nodeCount: number,
  pairs: readonly number[],
  scores: Float32Array,
  o: PropagationOptions,
): number[] {
  const links: [other: number, score: number][][] = Array.from({ length: nodeCount }, () => []);
  scores.forEach((score, e) => {
    links[pairs[2 * e]].push([pairs[2 * e + 1], score]);
    links[pairs[2 * e + 1]].push([pairs[2 * e], score]);
  });
  const labels = new Array<number>(nodeCount).fill(-1);
  let clusters = 0;
  let remain = labels.map((_, node) => node).filter((node) => links[node].length > 0);
  let th = o.threshold < 0 ? Math.min(...scores) : o.threshold;
  for (let round = 0; remain.length > 0; round++) {
    if (round > 0) th = th + (1 - th) * o.step;
    const survives = (score: number) => (round === 0 && o.start === 'all') || score >= th;
    const unseen = new Set(remain);
    const oversize: number[][] = [];
    for (const seed of remain) {
      if (!unseen.delete(seed)) continue;
      const group = [seed];
      for (let i = 0; i < group.length; i++) {
        for (const [other, score] of links[group[i]]) {
          if (survives(score) && unseen.delete(other)) group.push(other);
        }
      }
      if (group.length > o.maxSize) oversize.push(group);
      else {
        for (const node of group) labels[node] = clusters;
        clusters++;
      }
    }
    remain = oversize.flat();
    if (round === o.maxIterations) {
      for (const group of o.leftovers === 'merge' ? [remain] : oversize) {
        for (const node of group) labels[node] = clusters;
        clusters++;
      }
      break;
    }
  }
  const renumbered = Int32Array.from(labels);
  relabel(renumbered);
  return [...renumbered];
}

/** Few nodes, many edges, scores with ties among themselves and with the thresholds of the ladder. */
const scoredGraph = fc.integer({ min: 2, max: 24 }).chain((nodeCount) =>
  fc.record({
    nodeCount: fc.constant(nodeCount),
    links: fc.uniqueArray(
      fc.record({
        a: fc.integer({ min: 0, max: nodeCount - 1 }),
        b: fc.integer({ min: 0, max: nodeCount - 1 }),
        score: fc.oneof(
          fc.constantFrom(0, 0.25, 0.5, 0.75, 0.875, 0.9375, 1, 1 - 2 ** -24),
          fc.float({ min: 0, max: 1, noNaN: true }),
        ),
      }),
      { maxLength: 60, selector: ({ a, b }) => Math.min(a, b) * nodeCount + Math.max(a, b) },
    ),
  }),
);

const anyOptions: fc.Arbitrary<PropagationOptions> = fc.record({
  threshold: fc.oneof(fc.constantFrom(-1, 0, 0.5, 0.75, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  step: fc.oneof(fc.constantFrom(0, 0.5, 0.6, 1), fc.double({ min: 0.01, max: 1, noNaN: true })),
  maxSize: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(Infinity)),
  maxIterations: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constant(300)),
  start: fc.constantFrom('threshold', 'all'),
  leftovers: fc.constantFrom('components', 'merge'),
});

function unpack({ nodeCount, links }: { nodeCount: number; links: { a: number; b: number; score: number }[] }) {
  const proper = links.filter(({ a, b }) => a !== b);
  const pairs = proper.flatMap(({ a, b }) => [a, b]);
  const pairScores = Float32Array.from(proper, ({ score }) => score);
  return { pairs, pairScores, ...scoredEdges(nodeCount, pairs, pairScores) };
}

test('one pass over the ladder equals searching round by round, for any graph and options', () => {
  fc.assert(
    fc.property(scoredGraph, anyOptions, (graph, settings) => {
      const { edges, scores, pairs, pairScores } = unpack(graph);
      const wanted = searchRoundByRound(graph.nodeCount, pairs, pairScores, settings);
      assert.deepEqual([...propagate(edges, scores, settings)], wanted);
    }),
    { numRuns: 3000 },
  );
});

test('components of round 0 that the caller has united give the same labels', () => {
  fc.assert(
    fc.property(scoredGraph, anyOptions, (graph, settings) => {
      const { edges, scores } = unpack(graph);
      const set = SharedDisjointSet.allocate(graph.nodeCount);
      const threshold = settings.threshold < 0 ? Math.min(...scores) : settings.threshold;
      if (settings.start === 'all') set.uniteEdges(edges, 0, graph.nodeCount);
      else set.uniteEdges(edges, 0, graph.nodeCount, scores, threshold);
      const roundZero = set.componentOf();
      const given = roundZero.slice();
      assert.deepEqual(propagate(edges, scores, settings, roundZero), propagate(edges, scores, settings));
      assert.deepEqual(roundZero, given, 'the caller’s components are left as they were');
    }),
  );
});

test('renaming nodes and reordering or turning edges changes nothing but the names of clusters', () => {
  const shuffles = fc.infiniteStream(fc.nat());
  fc.assert(
    fc.property(scoredGraph, anyOptions, shuffles, (graph, settings, random) => {
      const { edges, scores, pairs, pairScores } = unpack(graph);
      const nameOf = shuffled(graph.nodeCount, random);
      const order = shuffled(pairScores.length, random);
      const newPairs = order.flatMap((e) => [nameOf[pairs[2 * e + 1]], nameOf[pairs[2 * e]]]);
      const renamed = scoredEdges(
        graph.nodeCount,
        newPairs,
        order.map((e) => pairScores[e]),
      );
      const labels = propagate(renamed.edges, renamed.scores, settings);
      const back = Int32Array.from(nameOf, (name) => labels[name]);
      relabel(back);
      assert.deepEqual(back, propagate(edges, scores, settings));
    }),
  );
});

function shuffled(count: number, random: Iterator<number>): number[] {
  const items = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.next().value % (i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}

test('a chain cut by hand', () => {
  // 0 ─.95─ 1 ─.85─ 2 ─.95─ 3 ─.2─ 4, node 5 alone. Rungs above .8: .92, .968, …
  const { edges, scores } = scoredEdges(6, [0, 1, 1, 2, 2, 3, 3, 4], [0.95, 0.85, 0.95, 0.2]);
  const at = (some: Partial<PropagationOptions>) => [...propagate(edges, scores, { ...options, ...some })];
  assert.deepEqual(at({}), [0, 0, 0, 0, 1, -1]);
  assert.deepEqual(at({ maxSize: 4 }), [0, 0, 0, 0, 1, -1]);
  assert.deepEqual(at({ maxSize: 3 }), [0, 0, 1, 1, 2, -1]);
  assert.deepEqual(at({ maxSize: 1 }), [0, 1, 2, 3, 4, -1]);
  assert.deepEqual(at({ maxSize: 1, maxIterations: 1 }), [0, 0, 1, 1, 2, -1]);
  assert.deepEqual(at({ maxSize: 1, maxIterations: 1, leftovers: 'merge' }), [0, 0, 0, 0, 1, -1]);
  assert.deepEqual(at({ maxSize: 5, start: 'all' }), [0, 0, 0, 0, 0, -1]);
});

test('no nodes, no edges', () => {
  assert.deepEqual([...propagate(scoredEdges(0, [], []).edges, new Float32Array(), options)], []);
  assert.deepEqual([...propagate(scoredEdges(2, [], []).edges, new Float32Array(), options)], [-1, -1]);
});

test('arguments that do not fit are refused', () => {
  const { edges, scores } = scoredEdges(3, [0, 1, 1, 2], [0.5, 0.6]);
  const refuses = (code: string, message: RegExp, run: () => unknown) =>
    assert.throws(run, (error) => error instanceof NaanError && error.code === code && message.test(error.message));
  refuses('BAD_SHAPE', /got 1.*2 edges/, () => propagate(edges, scores.subarray(1), options));
  refuses('BAD_SHAPE', /got 2.*3 nodes/, () => propagate(edges, scores, options, new Int32Array(2)));
  refuses('BAD_USAGE', /threshold: got 1.1/, () => propagate(edges, scores, { ...options, threshold: 1.1 }));
  refuses('BAD_USAGE', /step: got NaN/, () => propagate(edges, scores, { ...options, step: Number.NaN }));
  refuses('BAD_USAGE', /max size: got 0/, () => propagate(edges, scores, { ...options, maxSize: 0 }));
  refuses('BAD_USAGE', /max iterations: got -1/, () => propagate(edges, scores, { ...options, maxIterations: -1 }));
  refuses('BAD_INPUT', /edge 1 is NaN/, () => propagate(edges, Float32Array.of(0.5, Number.NaN), options));
});
