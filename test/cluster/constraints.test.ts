import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Apart, type Constraints, constraintsFrom, inOrder } from '../../src/cluster/constraints.js';
import { linkagePlan } from '../../src/cluster/linkage.js';
import { methodOf, type PartitionOptions } from '../../src/cluster/partition.js';
import { relabel } from '../../src/cluster/relabel.js';
import { withScores } from '../../src/cluster/scored-edges.js';
import { partitionDefaults } from '../../src/defaults.js';
import { runPlan } from '../../src/execution/plan.js';
import { scoredEdges } from './stored-cases.js';

type Link = readonly [a: number, b: number, score: number];

interface Case {
  readonly nodeCount: number;
  readonly links: readonly Link[];
  /** Group of each node, by number. */
  readonly groups: readonly number[];
  /** Of each set, its part of each group; −1 for none. */
  readonly sets: readonly (readonly number[])[];
  readonly order: Int32Array;
}

/** Few different scores, so that there are many ties, or scores that hardly ever tie. */
const cases = fc.tuple(fc.integer({ min: 2, max: 12 }), fc.constantFrom(4, 2 ** 20)).chain(([nodeCount, steps]) =>
  fc
    .record({
      links: fc.uniqueArray(fc.tuple(fc.nat(nodeCount - 1), fc.nat(nodeCount - 1), fc.nat(steps)), {
        maxLength: 40,
        selector: ([a, b]) => Math.min(a, b) * nodeCount + Math.max(a, b),
      }),
      groups: fc.array(fc.nat(nodeCount), { minLength: nodeCount, maxLength: nodeCount }),
      alone: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: nodeCount, maxLength: nodeCount }),
      sets: fc.array(
        fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 2 * nodeCount, maxLength: 2 * nodeCount }),
        {
          maxLength: 4,
        },
      ),
      keys: fc.array(fc.double({ noNaN: true }), { minLength: nodeCount, maxLength: nodeCount }),
    })
    .map(({ links, groups, alone, sets, keys }): Case => {
      // One node in four is in a group that others may be in.
      const ownGroup = groups.map((group, node) => (alone[node] === 0 ? group : nodeCount + 1 + node));
      return {
        nodeCount,
        links: links.filter(([a, b]) => a !== b).map(([a, b, score]): Link => [a, b, score / steps]),
        groups: ownGroup,
        sets: sets.map((parts) => ownGroup.map((group) => Math.max(-1, parts[group % parts.length]))),
        order: Int32Array.from(keys.keys()).sort((x, y) => keys[x] - keys[y] || x - y),
      };
    }),
);

const thresholds = fc.integer({ min: 1, max: 20 }).map((step) => step / 20 - 0.013);

function constraintsOf({ nodeCount, groups, sets }: Case): Constraints {
  const tags = sets.flatMap((parts, set) => parts.flatMap((part, node) => (part < 0 ? [] : [{ node, set, part }])));
  return constraintsFrom(nodeCount, {
    groupOf: (node) => groups.indexOf(groups[node]),
    isDecided: (node) => groups.filter((group) => group === groups[node]).length > 1,
    tagged: tags.map(({ node }) => node),
    sets: tags.map(({ set }) => set),
    parts: tags.map(({ part }) => part),
  });
}

/** Clusters that hold different parts of a set. */
function areApart({ sets }: Case, a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  return sets.some((parts) =>
    [...a].some((i) => [...b].some((j) => parts[i] >= 0 && parts[j] >= 0 && parts[i] !== parts[j])),
  );
}

function groupsOf({ nodeCount, groups }: Case): Set<number>[] {
  const clusters = Array.from({ length: nodeCount }, () => new Set<number>());
  for (const [node, group] of groups.entries()) clusters[groups.indexOf(group)].add(node);
  return clusters;
}

function labelled({ nodeCount, links, groups }: Case, clusters: readonly ReadonlySet<number>[]): number[] {
  const touched = new Set(links.flatMap((link) => link.slice(0, 2)));
  const labels = new Int32Array(nodeCount).fill(-1);
  clusters.forEach((nodes, name) => {
    for (const node of nodes) {
      if (touched.has(node) || groups.filter((group) => group === groups[node]).length > 1) labels[node] = name;
    }
  });
  relabel(labels);
  return [...labels];
}

/** Joins the most similar pair of clusters that may be joined, while there is one. */
function naiveLinkage(given: Case, threshold: number): number[] {
  const { nodeCount, links } = given;
  const rooms = Array.from({ length: nodeCount }, (_, node) => {
    const own = links.filter(([a, b]) => a === node || b === node);
    const others = own.reduce((sum, [, , score]) => sum + 1 - score, 0);
    return Math.round(((others + 1) / (own.length + 2)) * 2 ** 20) / 2 ** 20;
  });
  const room = (cluster: ReadonlySet<number>) => [...cluster].reduce((sum, node) => sum + rooms[node], 0);
  const clusters = groupsOf(given);
  for (;;) {
    let best: { a: number; b: number; similarity: number } | undefined;
    for (let a = 0; a < nodeCount; a++) {
      for (let b = a + 1; b < nodeCount; b++) {
        const [x, y] = [clusters[a], clusters[b]];
        const between = links.filter(([i, j]) => (x.has(i) && y.has(j)) || (x.has(j) && y.has(i)));
        if (between.length === 0 || areApart(given, x, y)) continue;
        const sum = between.reduce((total, [, , score]) => total + score, 0);
        const similarity = Math.fround(sum / Math.sqrt(between.length * (between.length + room(x) * room(y))));
        if (similarity >= threshold && (best === undefined || similarity > best.similarity))
          best = { a, b, similarity };
      }
    }
    if (best === undefined) return labelled(given, clusters);
    for (const node of clusters[best.b]) clusters[best.a].add(node);
    clusters[best.b].clear();
  }
}

/** What joining along edges gives, the highest score first, among some nodes. */
function naiveComponents(given: Case, among: ReadonlySet<number>, threshold: number): Set<number>[] {
  const clusters = groupsOf(given).filter((nodes) => [...nodes].some((node) => among.has(node)));
  const falling = given.links
    .filter(([a, b, score]) => among.has(a) && among.has(b) && score >= threshold)
    .map(([a, b, score]): Link => [Math.min(a, b), Math.max(a, b), Math.fround(score)])
    .sort((x, y) => y[2] - x[2] || x[0] - y[0] || x[1] - y[1]);
  for (const [a, b] of falling) {
    const [x, y] = [a, b].map((node) => clusters.findIndex((nodes) => nodes.has(node)));
    if (x === y || areApart(given, clusters[x], clusters[y])) continue;
    for (const node of clusters[y]) clusters[x].add(node);
    clusters.splice(y, 1);
  }
  return clusters;
}

/** Round by round, as it is described. */
function naiveLadder(given: Case, options: PartitionOptions): number[] {
  const { nodeCount } = given;
  const done: Set<number>[] = [];
  let left = new Set(Array.from({ length: nodeCount }, (_, node) => node));
  let th = options.threshold;
  for (let round = 0; left.size > 0; round++) {
    const before = th;
    if (round > 0) th += (1 - th) * options.step;
    const lowest = round === 0 && options.start === 'all' ? -Infinity : th;
    const found = naiveComponents(given, left, lowest);
    const isLast = round === options.maxIterations || (round > 0 && th === before);
    const large = found.filter(({ size }) => size > options.maxSize);
    done.push(...found.filter(({ size }) => size <= options.maxSize));
    left = new Set(large.flatMap((nodes) => [...nodes]));
    if (!isLast) continue;
    if (options.leftovers === 'components') done.push(...large);
    else {
      large.sort((x, y) => Math.min(...x) - Math.min(...y));
      const merged = large.shift();
      for (const nodes of large) {
        if (areApart(given, merged!, nodes)) done.push(nodes);
        else for (const node of nodes) merged!.add(node);
      }
      if (merged) done.push(merged);
    }
    break;
  }
  return labelled(given, done);
}

/** The same case with its nodes at other positions, labels put back in the order of the input. */
function byPositions(
  given: Case,
  label: (edges: ReturnType<typeof withScores>, options: { order: Int32Array; constraints: Constraints }) => Int32Array,
): number[] {
  const { nodeCount, links, order } = given;
  const pairs = links.flatMap(([a, b]) => [order.indexOf(b), order.indexOf(a)]);
  const { edges, scores } = scoredEdges(
    nodeCount,
    pairs,
    links.map(([, , score]) => score),
  );
  const constraints = inOrder(constraintsOf(given), order);
  const labels = label(withScores(edges, scores), { order, constraints });
  const back = new Int32Array(nodeCount);
  order.forEach((node, p) => {
    back[node] = labels[p];
  });
  relabel(back);
  return [...back];
}

test('linkage with constraints joins the most similar pair that may be joined, in any blocks and any order', () => {
  let refused = 0;
  fc.assert(
    fc.property(cases, thresholds, fc.integer({ min: 1, max: 13 }), (given, threshold, blockNodes) => {
      const expected = naiveLinkage(given, threshold);
      const labels = byPositions(given, (edges, options) =>
        runPlan(linkagePlan(edges, { threshold, ...options }, 2, { blockNodes })),
      );
      assert.deepEqual(labels, expected);
      if (String(expected) !== String(naiveLinkage({ ...given, sets: [] }, threshold))) refused++;
    }),
    { numRuns: 1500 },
  );
  assert.ok(refused > 100, `${refused}`);
});

test('threshold and propagation with constraints are as they are round by round', () => {
  let refused = 0;
  const options = fc.record({
    threshold: thresholds,
    step: fc.constantFrom(0, 0.2, 0.6),
    maxSize: fc.constantFrom(1, 2, 4, Number.POSITIVE_INFINITY),
    maxIterations: fc.constantFrom(0, 1, 2, 1000),
    start: fc.constantFrom('threshold' as const, 'all' as const),
    leftovers: fc.constantFrom('components' as const, 'merge' as const),
  });
  fc.assert(
    fc.property(cases, options, (given, ladder) => {
      const expected = naiveLadder(given, ladder);
      const labels = byPositions(given, (edges, more) =>
        runPlan(methodOf('propagation').plan(edges, { ...ladder, ...more }, 2)),
      );
      assert.deepEqual(labels, expected);
      if (String(expected) !== String(naiveLadder({ ...given, sets: [] }, ladder))) refused++;
      const { threshold } = ladder;
      const components = { ...ladder, threshold, start: 'threshold', maxSize: Number.POSITIVE_INFINITY } as const;
      assert.deepEqual(
        byPositions(given, (edges, more) =>
          runPlan(methodOf('threshold').plan(edges, { ...partitionDefaults, threshold, ...more }, 2)),
        ),
        naiveLadder(given, components),
      );
    }),
    { numRuns: 1500 },
  );
  assert.ok(refused > 100, `${refused}`);
});

test('clusters of many parts are as far apart as those of few', () => {
  const nodeCount = 90;
  // Pairs of a set each: nodes i and i + 45.
  const tagged = Array.from({ length: nodeCount }, (_, node) => node);
  const constraints = constraintsFrom(nodeCount, {
    groupOf: (node) => node,
    isDecided: () => false,
    tagged,
    sets: tagged.map((node) => node % 45),
    parts: tagged.map((node) => Math.floor(node / 45)),
  });
  const apart = new Apart(constraints, 0, nodeCount, (node) => node);
  for (let node = 1; node < 40; node++) {
    assert.equal(apart.forbids(0, 45 + node), false);
    apart.join(0, node);
    assert.ok(apart.forbids(0, 45 + node) && apart.forbids(45 + node, 0));
  }
  for (let node = 80; node < 90; node++) apart.join(79, node);
  assert.ok(apart.forbids(79, 0));
  apart.join(40, 0);
  assert.ok(apart.forbids(40, 79) && !apart.contradicts(40));
  apart.join(40, 79);
  assert.ok(apart.contradicts(40));
});
