import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { componentSizes, SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';
import { scoredEdges } from './stored-cases.js';
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

/** Which edges each thread unites. */
const interleaved = (threads: number) =>
  Array.from({ length: threads }, (_, first) => ({ first, stride: threads, backwards: false }));
const schedules = {
  'one thread': interleaved(1),
  'two threads, interleaved edges': interleaved(2),
  'three threads, interleaved edges': interleaved(3),
  'two threads, from both ends': interleaved(2).map((share, thread) => ({ ...share, backwards: thread === 1 })),
  'two threads, each all edges': [0, 1].map(() => ({ first: 0, stride: 1, backwards: false })),
};

/** Shapes on which threads meet: long paths, one root that all want to link, blocks, random pairs. */
type Edge = [a: number, b: number];
const shapes: Record<string, (count: number, random: () => number) => Edge[]> = {
  'path downwards': (count) => Array.from({ length: count - 1 }, (_, i) => [count - 1 - i, count - 2 - i]),
  'hub whose root moves at every union': (count) =>
    Array.from({ length: count - 1 }, (_, i) => [count - 1, count - 2 - i]),
  'paths of 16': (count) => Array.from({ length: count - 1 }, (_, i) => [i, i % 16 === 15 ? i : i + 1]),
  'random pairs': (count, random) => Array.from({ length: count }, () => [random() % count, random() % count]),
};

for (const [shape, build] of Object.entries(shapes)) {
  for (const [schedule, shares] of Object.entries(schedules)) {
    test(`${shape}, ${schedule}: labels and unions are those of the set that repaints`, async () => {
      const count = 3000;
      const edges = build(count, linearCongruential(7));
      const twin = new PaintedSet(count);
      const unions = edges.filter(([a, b]) => twin.unite(a, b)).length;

      const sets = Array.from({ length: 20 }, () => SharedDisjointSet.allocate(count));
      const pairs = new Int32Array(new SharedArrayBuffer(edges.length * 8));
      pairs.set(edges.flat());
      const arrivals = new Int32Array(new SharedArrayBuffer(4));
      const rounds = sets.map((set) => set.handle());
      const joined = await Promise.all(
        shares.map(async (share) => {
          const task: UniteTask = { rounds, pairs, arrivals, threads: shares.length, ...share };
          const worker = new Worker(new URL('./unite-worker.js', import.meta.url), { workerData: task });
          const [[message]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
          return message as number[];
        }),
      );
      sets.forEach((set, round) => {
        assert.deepEqual([...set.componentOf()], twin.colours);
        assert.equal(
          joined.reduce((sum, ofThread) => sum + ofThread[round], 0),
          unions,
        );
      });
    });
  }
}

function linearCongruential(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 8;
  };
}
