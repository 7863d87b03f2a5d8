/** The candidate edges of a graph that has changed a little, from those of the one before. */
import { type CandidateEdges, lists } from './candidate-edges.js';
import type { KnnGraph } from './knn-graph.js';

/** A graph, by the numbers that nodes have now; nodes that have left are −1. */
export interface GraphBefore {
  /** The lists then, at least as long as those that are looked at; a node that was not there has −1 for itself. */
  readonly lists: KnnGraph;
  /** Pairs that were edges [E₀ × 2], a < b, sorted by a, then b; −1 for an end that has left. */
  readonly pairs: Int32Array;
  /** Their scores in each round, of the last one the result [E₀]. */
  readonly rounds: readonly Float32Array[];
}

export interface EdgesAfter {
  /** Nodes whose lists are not as they were, rising. */
  readonly changed: Int32Array;
  /** The edges of now, keyed by the end of smaller number, sorted. */
  readonly edges: CandidateEdges;
  /** The scores before, NaN for an edge that came [E]. */
  readonly rounds: readonly Float32Array[];
  /** Nodes of which an edge came or went. */
  readonly unsettled: Int32Array;
}

/**
 * `columns`: entries of a list that are looked at, the node itself included. An edge comes or goes only where an end of it lists the
 * other and did not, or no longer does.
 */
export function edgesAfter(
  now: KnnGraph,
  { lists: then, pairs, rounds }: GraphBefore,
  { columns, sampleHops }: { readonly columns: number; readonly sampleHops: number },
): EdgesAfter {
  const { nodeCount } = now;
  const changed = changedLists(now, then, columns);
  const unsettled = new Set<number>();
  const known = pairs.length / 2;
  /** Pairs that may have come or gone, as a × nodes + b, rising. */
  const keys = new Float64Array(new Set(pairsListedAnew(now, then, changed, Math.min(sampleHops, columns - 1)))).sort();
  const isEdge = (key: number) => {
    const [a, b] = [Math.floor(key / nodeCount), key % nodeCount];
    const listsOther = (p: number, q: number) =>
      lists(now.ids, p * now.width + 1, p * now.width + Math.min(sampleHops, columns - 1, now.width - 1), q);
    return listsOther(a, b) || listsOther(b, a);
  };
  const most = known + keys.length;
  const offsets = new Uint32Array(nodeCount + 1);
  const targets = new Int32Array(most);
  const scores = rounds.map(() => new Float32Array(most));
  let filled = 0;
  const put = (a: number, b: number) => {
    offsets[a + 1]++;
    targets[filled++] = b;
  };
  const come = (key: number) => {
    if (!isEdge(key)) return;
    const [a, b] = [Math.floor(key / nodeCount), key % nodeCount];
    unsettled.add(a).add(b);
    for (const round of scores) round[filled] = Number.NaN;
    put(a, b);
  };
  /** Pairs from `start` on stay, one behind the other; their scores are copied together. */
  let start = 0;
  const copyUntil = (end: number) => {
    for (const [r, round] of rounds.entries()) scores[r].set(round.subarray(start, end), filled - (end - start));
  };
  let next = 0;
  for (let i = 0; i < known; i++) {
    const [a, b] = [pairs[2 * i], pairs[2 * i + 1]];
    const key = a * nodeCount + b;
    if (a >= 0 && b >= 0 && a !== b && !(next < keys.length && keys[next] <= key)) {
      put(a, b);
      continue;
    }
    copyUntil(i);
    start = i + 1;
    if (a < 0 || b < 0 || a === b) {
      // Copies of one node have no edge. Of an edge whose one end has left, the other has lost it.
      if (a !== b) unsettled.add(Math.max(a, b));
      continue;
    }
    for (; next < keys.length && keys[next] < key; next++) come(keys[next]);
    if (keys[next] === key && !isEdge(keys[next])) {
      unsettled.add(a).add(b);
      next++;
      continue;
    }
    if (keys[next] === key) next++;
    put(a, b);
    start = i;
  }
  copyUntil(known);
  for (; next < keys.length; next++) come(keys[next]);
  for (let node = 0; node < nodeCount; node++) offsets[node + 1] += offsets[node];
  return {
    changed,
    edges: { nodeCount, offsets, targets: targets.subarray(0, filled) },
    rounds: scores.map((round) => round.subarray(0, filled)),
    unsettled: Int32Array.from(unsettled),
  };
}

function changedLists(now: KnnGraph, then: KnnGraph, columns: number): Int32Array {
  const changed: number[] = [];
  const width = Math.min(columns, now.width);
  for (let node = 0; node < now.nodeCount; node++) {
    const [at, before] = [node * now.width, node * then.width];
    let c = 0;
    while (c < width && now.ids[at + c] === (c < then.width ? then.ids[before + c] : -1)) c++;
    if (c < width) changed.push(node);
  }
  return Int32Array.from(changed);
}

/** Pairs of a node and one that it lists and did not, or no longer does, as smaller × nodes + larger; some of them twice. */
function* pairsListedAnew(now: KnnGraph, then: KnnGraph, changed: Int32Array, hops: number): Iterable<number> {
  const { nodeCount } = now;
  for (const node of changed) {
    for (const other of listedInOne(now, then, node, hops)) {
      yield Math.min(node, other) * nodeCount + Math.max(node, other);
    }
  }
}

/** The nodes among the first `hops` neighbours of a node in one of two graphs, and not in the other. */
export function listedInOne(now: KnnGraph, then: KnnGraph, node: number, hops: number): ReadonlySet<number> {
  const [listed, before] = [listOf(now, node, hops), listOf(then, node, hops)];
  const found = new Set<number>();
  for (const other of listed) if (!before.has(other)) found.add(other);
  for (const other of before) if (!listed.has(other)) found.add(other);
  return found;
}

function listOf({ ids, width }: KnnGraph, node: number, hops: number): ReadonlySet<number> {
  const list = ids.subarray(node * width + 1, node * width + Math.min(width, hops + 1));
  return new Set(list.filter((id) => id >= 0));
}
