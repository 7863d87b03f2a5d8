import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { absentPairs, linkage, linkagePlan } from '../../src/cluster/linkage.js';
import { inInputOrder, labelPlan, partitionEdges, partitions } from '../../src/cluster/partition.js';
import { withScores } from '../../src/cluster/scored-edges.js';
import { SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';
import { sortedPairsPlan } from '../../src/cluster/sorted-pairs.js';
import { partitionDefaults } from '../../src/defaults.js';
import { runStep, stepName } from '../../src/engine/steps.js';
import { NaanError } from '../../src/errors.js';
import { type Plan, runPlan } from '../../src/execution/plan.js';
import { scoredEdges } from '../cluster/stored-cases.js';

/** Few different scores, so that there are many ties, or scores that hardly ever tie. */
const graphs = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.constantFrom(4, 2 ** 20)).chain(([nodeCount, steps]) =>
  fc.record({
    nodeCount: fc.constant(nodeCount),
    links: fc
      .uniqueArray(fc.tuple(fc.nat(nodeCount - 1), fc.nat(nodeCount - 1), fc.nat(steps)), {
        maxLength: 120,
        selector: ([a, b]) => Math.min(a, b) * nodeCount + Math.max(a, b),
      })
      .map((links) => links.filter(([a, b]) => a !== b).map(([a, b, score]) => [a, b, score / steps])),
    order: fc.shuffledSubarray([...Array(nodeCount).keys()], { minLength: nodeCount }),
    threshold: fc.constantFrom(0.1, 0.25, 0.5, 0.74),
  }),
);

function graphOf({ nodeCount, links }: { nodeCount: number; links: number[][] }) {
  return scoredEdges(
    nodeCount,
    links.flatMap((link) => link.slice(0, 2)),
    links.map((link) => link[2]),
  );
}

/** Runs the calls of a step by name, from the last to the first, each on a copy of its input that shares its memory. */
function runElsewhere<T>(plan: Plan<T>): T {
  let next = plan.next();
  while (!next.done) {
    const { work, inputs } = next.value;
    const results = inputs.toReversed().map((input) => runStep(stepName(work), structuredClone(input)));
    next = plan.next(results.reverse());
  }
  return next.value;
}

for (const partition of partitions) {
  test(`${partition}: any number of threads, renumbered nodes and given components lead to the same labels`, () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 5 }), ({ order, ...graph }, threads) => {
        const { edges, scores } = graphOf(graph);
        const scored = shared(withScores(edges, scores));
        const options = {
          ...partitionDefaults,
          threshold: graph.threshold,
          maxSize: 4,
          order: Int32Array.from(order),
        };
        const set = SharedDisjointSet.allocate(graph.nodeCount);
        set.uniteEdges(edges, 0, graph.nodeCount, scores, graph.threshold);
        const labels = runElsewhere(labelPlan(scored, partition, options, threads, set.handle()));
        const alone = partitionEdges(edges, scores, partition, options);
        assert.deepEqual(labels, inInputOrder({ labels: alone, order: options.order }));
      }),
      { numRuns: 300 },
    );
  });
}

/** Links as sorted pairs of input numbers; `order` [n]: the input number of each node. */
function checkSortedPairs(nodeCount: number, links: number[][], order: readonly number[], threads: number): void {
  const keyed = links.map(([a, b, score]) => (order[a] < order[b] ? [a, b, score] : [b, a, score]));
  const { edges, scores: given } = graphOf({ nodeCount, links: keyed });
  const positions = new Int32Array(nodeCount);
  order.forEach((number, p) => {
    positions[number] = p;
  });
  const halves = given.map((score) => score / 2);
  const input = { edges: shared(withScores(edges, given)), rounds: [halves], order: Int32Array.from(order), positions };
  const { pairs, scores, rounds } = runElsewhere(sortedPairsPlan(input, threads));
  const wanted = keyed.map(([a, b, score]) => [order[a], order[b], Math.fround(score)]);
  wanted.sort(([a, b], [c, d]) => a - c || b - d);
  assert.deepEqual(
    Array.from(scores, (score, e) => [pairs[2 * e], pairs[2 * e + 1], score]),
    wanted,
  );
  assert.deepEqual(rounds, [scores.map((score) => score / 2)]);
}

test('sorted pairs of renumbered nodes, by any number of threads', () => {
  fc.assert(
    fc.property(graphs, fc.integer({ min: 1, max: 5 }), ({ nodeCount, links, order }, threads) => {
      checkSortedPairs(nodeCount, links, order, threads);
    }),
    { numRuns: 300 },
  );
});

test('sorted pairs of a node with very many edges', () => {
  const order = Array.from({ length: 200 }, (_, p) => (p * 77) % 200);
  const links = Array.from({ length: 150 }, (_, i) => [0, 1 + ((i * 31) % 199), i / 150]);
  checkSortedPairs(200, links, order, 3);
});

test('linkage in blocks of any size, joined in any order, is linkage', () => {
  let rests = 0;
  const absent = fc.constantFrom(...absentPairs);
  fc.assert(
    fc.property(graphs, fc.integer({ min: 1, max: 12 }), absent, ({ order, ...graph }, blockNodes, form) => {
      const { edges, scores } = graphOf(graph);
      const options = { threshold: graph.threshold, order: Int32Array.from(order), absentPairs: form };
      const plan = linkagePlan(shared(withScores(edges, scores)), options, 2, { blockNodes });
      assert.deepEqual(runElsewhere(counted(plan)), linkage(edges, scores, options));
    }),
    { numRuns: 1000 },
  );
  assert.ok(rests > 1000, `${rests} clusters were left between blocks`);

  function* counted<T>(plan: Plan<T>): Plan<T> {
    let next = plan.next();
    while (!next.done) {
      const results = yield next.value;
      if (next.value.work.name === 'joinWithin') {
        for (const { roots } of results as { roots: Int32Array }[]) rests += roots.length;
      }
      next = plan.next(results);
    }
    return next.value;
  }
});

test('errors of a step come out of the plan', () => {
  const { edges } = scoredEdges(2, [0, 1], [0.5]);
  const scored = withScores(edges, Float32Array.of(Number.NaN));
  const set = SharedDisjointSet.allocate(2).handle();
  for (const partition of partitions) {
    const plan = labelPlan(scored, partition, { ...partitionDefaults, threshold: 0.5 }, 2, set);
    assert.throws(
      () => runPlan(plan),
      (error) => error instanceof NaanError && error.code === 'BAD_INPUT',
    );
  }
});

function shared<T extends { scores: Float32Array }>(edges: T): T {
  const scores = new Float32Array(new SharedArrayBuffer(edges.scores.byteLength));
  scores.set(edges.scores);
  return { ...edges, scores };
}
