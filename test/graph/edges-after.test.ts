import assert from 'node:assert/strict';
import { test } from 'node:test';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import { edgesAfter } from '../../src/graph/edges-after.js';
import { allocateKnnGraph, type KnnGraph, setNeighbours } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';

const nodeCount = 60;
const width = 7;

function randomLists(random: RandomStream, nodes: readonly number[]): KnnGraph {
  const graph = allocateKnnGraph(nodeCount, width);
  for (let node = 0; node < nodeCount; node++) graph.ids[node * width] = node;
  for (const node of nodes) writeList(random, graph, node);
  return graph;
}

function writeList(random: RandomStream, { ids }: KnnGraph, node: number): void {
  ids.fill(-1, node * width + 1, (node + 1) * width);
  const length = random.below(width);
  for (let c = 1; c <= length; c++) ids[node * width + c] = (node + 1 + random.below(nodeCount - 1)) % nodeCount;
}

test('edges after some lists have changed, and nodes have come and left, are those of the graph, with the scores that they had', () => {
  const random = new RandomStream(3, 1, 0);
  for (let trial = 0; trial < 300; trial++) {
    const sampleHops = 1 + random.below(width - 1);
    const then = randomLists(random, [...Array(nodeCount).keys()]);
    const before = candidateEdges(then, sampleHops);
    const pairs: number[] = [];
    for (let a = 0; a < nodeCount; a++)
      for (let e = before.offsets[a]; e < before.offsets[a + 1]; e++) pairs.push(a, before.targets[e]);
    const rounds = [0, 1].map(() => Float32Array.from({ length: pairs.length / 2 }, () => random.uniform()));
    const scoreOf = new Map(Array.from(rounds[1], (_, i) => [`${pairs[2 * i]} ${pairs[2 * i + 1]}`, i]));

    const now = allocateKnnGraph(nodeCount, width);
    now.ids.set(then.ids);
    const changed = new Set(Array.from({ length: random.below(6) }, () => random.below(nodeCount)));
    // A node that came had no list and was in none; one that left is in none, and its number is taken by nobody here.
    const [came, left] = trial % 2 === 0 ? [random.below(nodeCount), -1] : [-1, random.below(nodeCount)];
    const forget = (node: number, graph: KnnGraph) => {
      graph.ids.fill(-1, node * width + 1, (node + 1) * width);
      for (let i = 0; i < graph.ids.length; i++) if (graph.ids[i] === node && i % width > 0) graph.ids[i] = -1;
    };
    if (came >= 0) {
      forget(came, then);
      then.ids[came * width] = -1;
    }
    if (left >= 0) for (let i = 0; i < then.ids.length; i++) if (then.ids[i] === left) then.ids[i] = -1;
    for (const [i, node] of pairs.entries()) {
      if (node === left) pairs[i] = -1;
      if (node === came) pairs.fill(-1, i - (i % 2), i - (i % 2) + 2);
    }
    for (let node = 0; node < nodeCount; node++) {
      const ids = then.ids.subarray(node * width + 1, (node + 1) * width);
      if (node === came || changed.has(node) || ids.includes(-1)) writeList(random, now, node);
    }
    if (left >= 0) forget(left, now);
    for (let node = 0; node < nodeCount; node++)
      setNeighbours(now, node, now.ids.slice(node * width + 1, (node + 1) * width), '');

    const after = edgesAfter(
      now,
      { lists: then, pairs: Int32Array.from(pairs), rounds },
      { columns: width, sampleHops },
    );
    const expected = candidateEdges(now, sampleHops);
    assert.deepEqual(after.edges.offsets, Uint32Array.from(expected.offsets));
    assert.deepEqual(after.edges.targets, Int32Array.from(expected.targets));
    const unsettled = new Set(after.unsettled);
    for (let a = 0, e = 0; a < nodeCount; a++) {
      for (; e < expected.offsets[a + 1]; e++) {
        const b = expected.targets[e];
        const at = pairs.findIndex((_, i) => i % 2 === 0 && pairs[i] === a && pairs[i + 1] === b) >> 1;
        for (const [r, round] of after.rounds.entries()) {
          if (at >= 0) assert.equal(round[e], rounds[r][at]);
          else assert.ok(Number.isNaN(round[e]) && unsettled.has(a) && unsettled.has(b));
        }
      }
    }
    // Of an edge that went, both ends that are left.
    for (let i = 0; i < pairs.length; i += 2) {
      const ends = [pairs[i], pairs[i + 1]].filter((node) => node >= 0);
      const stays = ends.length === 2 && scoreOf.has(`${ends[0]} ${ends[1]}`) && isEdge(expected, ends[0], ends[1]);
      if (!stays) for (const node of ends) assert.ok(unsettled.has(node), `${node}`);
    }
    for (let node = 0; node < nodeCount; node++) {
      const same = now.ids
        .subarray(node * width, (node + 1) * width)
        .every((id, c) => id === then.ids[node * width + c]);
      assert.equal(after.changed.includes(node), !same);
    }
  }
});

function isEdge({ offsets, targets }: ReturnType<typeof candidateEdges>, a: number, b: number): boolean {
  return targets.subarray(offsets[a], offsets[a + 1]).includes(b);
}
