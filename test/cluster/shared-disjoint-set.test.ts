import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { componentSizes, SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';
import { scoredEdges } from './fixture.js';
import type { UniteTask } from './unite-worker.js';

/** A set that repaints a whole component at each union; the colour of a component is its smallest node. */
class PaintedSet {
  readonly colours: number[];

  constructor(nodeCount: number) {
    this.colours = Array.from({ length: nodeCount }, (_, node) => node);
  }

  unite(a: number, b: number): boolean {
    const [keep, lose] = [this.colours[a], this.colours[b]].sort((x, y) => x - y);
    for (let node = 0; node < this.colours.length; node++) if (this.colours[node] === lose) this.colours[node] = keep;
    return keep !== lose;
  }
}

const nodeCount = 40;
const node = fc.nat(nodeCount - 1);
const operation = fc.oneof(
  fc.record({ kind: fc.constant('unite' as const), a: node, b: node }),
  fc.record({ kind: fc.constant('find' as const), a: node, b: node }),
  fc.record({ kind: fc.constant('flatten' as const), a: node, b: node }),
);

test('any sequence of operations agrees with a set that repaints', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
      const set = SharedDisjointSet.allocate(nodeCount);
      const twin = new PaintedSet(nodeCount);
      for (const { kind, a, b } of operations) {
        if (kind === 'unite') assert.equal(set.unite(a, b), twin.unite(a, b));
        else if (kind === 'find') assert.equal(set.find(a), twin.colours[a]);
        else set.flatten();
      }
      assert.deepEqual([...set.componentOf()], twin.colours);
    }),
    { numRuns: 500 },
  );
});

test('edge lists: only edges at or above the threshold unite, over any split of the nodes', () => {
  const link = fc.record({ a: node, b: node, score: fc.constantFrom(0.25, 0.5, 0.75) });
  fc.assert(
    fc.property(fc.array(link, { maxLength: 80 }), node, fc.boolean(), (links, cut, all) => {
      const pairs = links.flatMap(({ a, b }) => [a, b]);
      const { edges, scores } = scoredEdges(
        nodeCount,
        pairs,
        links.map(({ score }) => score),
      );
      const twin = new PaintedSet(nodeCount);
      let joinedByTwin = 0;
      for (const { a, b, score } of links) if ((all || score >= 0.5) && twin.unite(a, b)) joinedByTwin++;
      const set = SharedDisjointSet.allocate(nodeCount);
      const used = all ? undefined : scores;
      const joined = set.uniteEdges(edges, cut, nodeCount, used, 0.5) + set.uniteEdges(edges, 0, cut, used, 0.5);
      assert.deepEqual([...set.componentOf()], twin.colours);
      assert.equal(joined, joinedByTwin);
    }),
  );
});

test('sizes stand at the label of the component', () => {
  const set = SharedDisjointSet.allocate(5);
  set.unite(4, 1);
  set.unite(3, 4);
  const out = new Int32Array(5);
  assert.equal(set.componentOf(out), out);
  assert.deepEqual([...out], [0, 1, 2, 1, 1]);
  assert.deepEqual([...componentSizes(out)], [1, 3, 1, 0, 0]);
});

test('a handle shows the same set', () => {
  const set = SharedDisjointSet.allocate(3);
  const other = SharedDisjointSet.from(structuredClone(set.handle()));
  assert.equal(other.nodeCount, 3);
  set.unite(1, 2);
  assert.equal(other.find(2), 1);
});

/** How the edges fall to the threads, and how often each edge is united. */
const schedules = {
  'one thread': () => shares(1, false),
  'interleaved edges': () => shares(3, false),
  'interleaved, one thread backwards': () => shares(2, true),
  'every thread unites every edge': () => {
    return [0, 1, 2].map((t) => ({ first: 0, stride: 1, backwards: t === 1 }));
  },
};

function shares(threads: number, lastBackwards: boolean) {
  return Array.from({ length: threads }, (_, t) => {
    return { first: t, stride: threads, backwards: lastBackwards && t === threads - 1 };
  });
}

/** Shapes on which threads collide: long paths, all roots at once, one hub, and random pairs. */
const shapes: Record<string, (count: number, random: () => number) => [a: number, b: number][]> = {
  path: (count) => Array.from({ length: count - 1 }, (_, i) => [count - 1 - i, count - 2 - i]),
  star: (count) => Array.from({ length: count - 1 }, (_, i) => [i + 1, 0]),
  'path of blocks': (count) => Array.from({ length: count - 1 }, (_, i) => (i % 16 === 15 ? [i, i] : [i, i + 1])),
  random: (count, random) => Array.from({ length: count }, () => [random() % count, random() % count]),
};

for (const [shape, build] of Object.entries(shapes)) {
  for (const [schedule, plan] of Object.entries(schedules)) {
    test(`threads at once, ${shape}, ${schedule}: labels and unions are those of one thread`, async () => {
      const count = 20_000;
      let state = 7;
      const random = () => {
        state = (Math.imul(state, 1664525) + 1013904223) | 0;
        return state >>> 8;
      };
      const edges = build(count, random);
      const alone = SharedDisjointSet.allocate(count);
      let unions = 0;
      for (const [a, b] of edges) if (alone.unite(a, b)) unions++;

      const set = SharedDisjointSet.allocate(count);
      const pairs = new Int32Array(new SharedArrayBuffer(edges.length * 8));
      pairs.set(edges.flat());
      const ready = new Int32Array(new SharedArrayBuffer(4));
      const tasks = plan();
      const joined = await Promise.all(
        tasks.map(async (share) => {
          const task: UniteTask = { ...set.handle(), pairs, ready, threads: tasks.length, ...share };
          const worker = new Worker(new URL('./unite-worker.js', import.meta.url), { workerData: task });
          const [[message]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
          return message as number;
        }),
      );
      assert.deepEqual(set.componentOf(), alone.componentOf());
      assert.equal(
        joined.reduce((sum, each) => sum + each, 0),
        unions,
      );
    });
  }
}
