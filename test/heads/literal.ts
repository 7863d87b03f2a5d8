/** The pairwise head in its literal form, over lists and maps, as slow as it is plain. And random inputs to try it on. */
import fc from 'fast-check';
import { type CandidateEdges, EdgeBuilder, sortEdges, startOffsets } from '../../src/graph/candidate-edges.js';
import type { NeighbourLists } from '../../src/heads/pairwise/neighbour-lists.js';

/** Neighbours of each node by falling cosine, with the cosine. */
export type Lists = readonly (readonly (readonly [id: number, cosine: number])[])[];
/** Scores by pair, both ways round. */
export type Scores = readonly ReadonlyMap<number, number>[];

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
const mean = (values: number[]) => (values.length === 0 ? 0 : sum(values) / values.length);

export function structuralFeatures(lists: Lists, k: number, a: number, b: number): number[] {
  const near = (i: number, count = k) => lists[i].slice(0, Math.min(count, k));
  const rank = (i: number, j: number) => 1 + (near(i).findIndex(([id]) => id === j) + 1 || k + 1) - 1;
  const ranks = [rank(a, b), rank(b, a)];
  const listed = [...near(b).filter(([id]) => id === a), ...near(a).filter(([id]) => id === b)];
  const cosine = listed.length > 0 ? listed[0][1] : 0;

  const weighted = (i: number, count: number) =>
    new Map([[i, 1], ...near(i, count).map(([id, s]): [number, number] => [id, Math.max(0, s)])]);
  const jaccard = (count: number) => {
    const [x, y] = [weighted(a, count), weighted(b, count)];
    const both = sum([...x].map(([id, weight]) => Math.min(weight, y.get(id) ?? 0)));
    return both / (sum(x.values()) + sum(y.values()) - both);
  };
  const means = [1, 5, k].map((count) => [a, b].map((i) => mean(near(i, count).map(([, s]) => s))));
  const best = Math.max(
    0,
    ...near(a).flatMap(([v, s]) =>
      near(b).flatMap(([u, t]) => (u === v && v !== a && v !== b ? [Math.min(s, t)] : [])),
    ),
  );
  const paths = [
    [a, b],
    [b, a],
  ].map(([i, j]) => near(i, 10).filter(([v]) => near(v).some(([u]) => u === j)).length);
  return [
    cosine,
    Math.log(Math.min(...ranks)),
    Math.log(Math.max(...ranks)),
    ...[5, 10, k].map(jaccard),
    ...means.map((ends) => cosine - Math.min(...ends)),
    ...means.map((ends) => cosine - Math.max(...ends)),
    best,
    cosine - best,
    Math.min(...paths),
    Math.max(...paths),
  ];
}

export function scoreFeatures(scores: Scores, a: number, b: number): number[] {
  const p = scores[a].get(b)!;
  const third = [...scores[a].keys()].filter((v) => scores[b].has(v));
  const pairs = third.map((v) => [scores[a].get(v)!, scores[b].get(v)!]);
  const shared = sum(pairs.map(([x, y]) => Math.min(x, y)));
  const product = sum(pairs.map(([x, y]) => x * y));
  const sums = [a, b].map((i) => sum(scores[i].values()) - p);
  const squares = [a, b].map((i) => sum([...scores[i].values()].map((x) => x * x)) - p * p);
  const nth = (i: number, n: number) => [...scores[i].values()].sort((x, y) => y - x)[n - 1] ?? 0;
  const odds = (x: number) => {
    const kept = Math.min(Math.max(x, 1e-4), 1 - 1e-4);
    return Math.log(kept / (1 - kept));
  };
  const [low, high] = [Math.min(...sums), Math.max(...sums)];
  return [
    odds(p),
    (shared + 2 * p) / (sums[0] + sums[1] + 2 - shared),
    Math.log(shared + 0.05),
    product / (Math.sqrt(Math.max(0, squares[0]) * Math.max(0, squares[1])) + 1e-6),
    product / (low + 1e-3),
    product / (high + 1e-3),
    odds(Math.max(0, ...pairs.map(([x, y]) => Math.min(x, y)))),
    Math.log(low + 0.05),
    Math.log(high + 0.05),
    ...[1, 3].flatMap((n) => [
      odds(p) - odds(Math.min(nth(a, n), nth(b, n))),
      odds(p) - odds(Math.max(nth(a, n), nth(b, n))),
    ]),
    shared / (low + 1e-3),
    shared / (high + 1e-3),
  ];
}

/** Lists of different lengths over nodes whose cosines are symmetric, and a renumbering of the nodes. */
export const randomLists = fc.integer({ min: 2, max: 30 }).chain((nodeCount) =>
  fc
    .record({
      random: fc.infiniteStream(fc.nat(2 ** 16 - 1)),
      longest: fc.integer({ min: 1, max: Math.min(24, nodeCount - 1) }),
    })
    .map(({ random, longest }) => {
      const next = () => random.next().value / 2 ** 16;
      const cosines = new Map<number, number>();
      const cosine = (i: number, j: number) => {
        const key = Math.min(i, j) * nodeCount + Math.max(i, j);
        if (!cosines.has(key)) cosines.set(key, Math.fround(1.2 * next() - 0.2));
        return cosines.get(key)!;
      };
      const lists: Lists = Array.from({ length: nodeCount }, (_, i) =>
        Array.from({ length: nodeCount }, (_, j) => [j, i === j ? 0 : cosine(i, j)] as const)
          .filter(([j]) => j !== i)
          .sort((x, y) => y[1] - x[1])
          .slice(0, Math.round(next() * longest)),
      );
      const order = Int32Array.from({ length: nodeCount }, (_, i) => i);
      for (let i = nodeCount - 1; i > 0; i--) {
        const j = Math.floor(next() * (i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      return { nodeCount, lists, order, next };
    }),
);

/** The lists as the engine has them, `order[p]` the node at position p. */
export function neighbourLists(lists: Lists, width: number, order: Int32Array): NeighbourLists {
  const positions = new Int32Array(order.length);
  order.forEach((node, position) => {
    positions[node] = position;
  });
  const ids = new Int32Array(lists.length * width).fill(-1);
  const similarities = new Float32Array(ids.length).fill(Number.NaN);
  order.forEach((node, position) => {
    ids[position * width] = position;
    lists[node].slice(0, width - 1).forEach(([id, cosine], c) => {
      ids[position * width + c + 1] = positions[id];
      similarities[position * width + c + 1] = cosine;
    });
  });
  return { nodeCount: lists.length, width, ids, similarities };
}

export function edgesOf(lists: NeighbourLists, sampleHops: number, order: Int32Array): CandidateEdges {
  const { nodeCount } = lists;
  const offsets = new Uint32Array(new SharedArrayBuffer(4 * (nodeCount + 1)));
  new EdgeBuilder(lists, sampleHops, offsets, order).count(0, nodeCount);
  const targets = new Int32Array(startOffsets(offsets));
  new EdgeBuilder(lists, sampleHops, offsets, order).list(0, nodeCount, targets);
  const edges = { nodeCount, offsets, targets };
  sortEdges(edges, 0, nodeCount);
  return edges;
}

/** Calls visit(edge, a, b) with the numbers of the nodes in the input, a < b. */
export function eachEdge(
  { nodeCount, offsets, targets }: CandidateEdges,
  order: Int32Array,
  visit: (edge: number, a: number, b: number) => void,
): void {
  for (let p = 0; p < nodeCount; p++) {
    for (let e = offsets[p]; e < offsets[p + 1]; e++) visit(e, order[p], order[targets[e]]);
  }
}
