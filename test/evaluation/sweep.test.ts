import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { propagate } from '../../src/cluster/propagation.js';
import { NaanError } from '../../src/errors.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { type SweepPoint, sweep } from '../../src/evaluation/sweep.js';
import type { CandidateEdges } from '../../src/graph/candidate-edges.js';
import { edgesOfLinks, modelCaseNames, readCase, readTruth, scoredEdges } from '../cluster/stored-cases.js';

/** Components and their evaluation at each threshold from the start. */
function oneByOne(
  edges: CandidateEdges,
  scores: Float32Array,
  thresholds: readonly number[],
  truth?: Int32Array,
): SweepPoint[] {
  return thresholds.map((threshold) => {
    const cut = { threshold, step: 0, maxSize: Infinity, maxIterations: 0 };
    const labels = propagate(edges, scores, { ...cut, start: 'threshold', leftovers: 'components' });
    const sizes = new Map<number, number>();
    for (const label of labels) if (label !== -1) sizes.set(label, (sizes.get(label) ?? 0) + 1);
    return {
      threshold,
      clusters: sizes.size,
      singletons: [...sizes.values()].filter((size) => size === 1).length,
      largest: Math.max(0, ...sizes.values()),
      ...(truth && measures(labels, truth)),
    };
  });
}

function measures(labels: Int32Array, truth: Int32Array) {
  const { bcubed, pairwise } = evaluate(labels, truth).all;
  return { bcubed, pairwise };
}

function closeTo(got: unknown, wanted: unknown, what: string): void {
  if (typeof wanted === 'number') {
    assert.ok(Math.abs((got as number) - wanted) <= 1e-9, `${what}: got ${got}, expected ${wanted}`);
    return;
  }
  assert.deepEqual(Object.keys(got as object).sort(), Object.keys(wanted as object).sort(), what);
  for (const [key, value] of Object.entries(wanted as object)) {
    closeTo((got as Record<string, unknown>)[key], value, `${what}.${key}`);
  }
}

const hundredths = Array.from({ length: 101 }, (_, i) => i / 100);

for (const name of modelCaseNames) {
  test(`${name}: each point of the default sweep equals a cut and an evaluation of its own`, async () => {
    const { edges, scores } = await readCase(name);
    const truth = await readTruth(name);
    const points = sweep(edges, scores, { truth });
    closeTo(points, oneByOne(edges, scores, hundredths, truth), name);
  });
}

test('any graph, any truth, any thresholds: each point equals a cut and an evaluation of its own', () => {
  const graph = fc.integer({ min: 1, max: 20 }).chain((nodeCount) => {
    const node = fc.nat(nodeCount - 1);
    const score = fc.oneof(fc.constantFrom(0, 0.25, 0.5, 0.75, 1), fc.float({ min: 0, max: 1, noNaN: true }));
    return fc.record({
      nodeCount: fc.constant(nodeCount),
      links: fc.array(fc.tuple(node, node, score), { maxLength: 50 }),
      truth: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: nodeCount, maxLength: nodeCount }),
    });
  });
  const threshold = fc.oneof(fc.constantFrom(0, 0.25, 0.5, 0.75, 1), fc.double({ min: 0, max: 1, noNaN: true }));
  fc.assert(
    fc.property(graph, fc.array(threshold, { maxLength: 8 }), fc.boolean(), (given, thresholds, judged) => {
      const truth =
        judged && given.truth.some((identity) => identity !== -1) ? Int32Array.from(given.truth) : undefined;
      const links = given.links.filter(([a, b]) => a !== b);
      const { edges, scores } = edgesOfLinks(given.nodeCount, links);
      const rising = [...thresholds].sort((a, b) => a - b);
      closeTo(sweep(edges, scores, { truth, thresholds }), oneByOne(edges, scores, rising, truth), 'points');
    }),
    { numRuns: 1000 },
  );
});

test('what does not fit is refused', () => {
  const { edges, scores } = scoredEdges(2, [0, 1], [0.5]);
  const refuses = (code: string, run: () => unknown) =>
    assert.throws(run, (error) => error instanceof NaanError && error.code === code);
  refuses('BAD_SHAPE', () => sweep(edges, new Float32Array(2)));
  refuses('BAD_SHAPE', () => sweep(edges, scores, { truth: new Int32Array(3) }));
  refuses('BAD_INPUT', () => sweep(edges, scores, { truth: Int32Array.of(-1, -1) }));
  refuses('BAD_INPUT', () => sweep(edges, Float32Array.of(Number.NaN)));
  refuses('BAD_USAGE', () => sweep(edges, scores, { thresholds: [0.5, Number.NaN] }));
});
