/** The components of the edges of some score and higher, by all threads. */
import { alone, type Plan, together } from '../execution/plan.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { DisjointSet } from './disjoint-set.js';
import { sortByThreshold, spanningEdges } from './edges-by-threshold.js';
import { type NodeRange, rangesOfEdges, type ScoredEdges } from './scored-edges.js';
import { SharedDisjointSet, type SharedDisjointSetHandle } from './shared-disjoint-set.js';

interface UniteInput extends NodeRange {
  readonly edges: ScoredEdges;
  readonly set: SharedDisjointSetHandle;
  readonly threshold: number;
}

export function unite({ edges, set, threshold, from, to }: UniteInput): void {
  SharedDisjointSet.from(set).uniteEdges(edges, from, to, edges.scores, threshold);
}

/** The smallest node of each node's component, in shared memory [nodeCount]. */
export function flatten(set: SharedDisjointSetHandle): Int32Array {
  const components = sharedInts(set.parents.byteLength / 4);
  return SharedDisjointSet.from(set).componentOf(components);
}

/**
 * The smallest node of each node's component [nodeCount] once the edges of score ≥ threshold are united in `set`, by default
 * a new one.
 */
export function* componentsAt(
  edges: ScoredEdges,
  threshold: number,
  threads: number,
  set = SharedDisjointSet.allocate(edges.nodeCount),
): Plan<Int32Array> {
  const handle = set.handle();
  const ranges = rangesOfEdges(edges, threads);
  yield* together(
    unite,
    ranges.map((range) => ({ edges, set: handle, threshold, ...range })),
  );
  return yield* alone(flatten, handle);
}

/**
 * The components of the edges of score ≥ threshold, each named by one of its nodes [nodeCount], for each of some rising thresholds: all edges are
 * looked at once.
 */
export function* componentsAtEach(edges: ScoredEdges, thresholds: readonly number[]): Generator<Int32Array, undefined> {
  const { nodeCount } = edges;
  const forest = spanningEdges({ edges, thresholds: Float64Array.from(thresholds), from: 0, to: nodeCount });
  const { starts, firsts, seconds } = sortByThreshold([forest], thresholds.length);
  for (let t = 0; t < thresholds.length; t++) {
    const set = new DisjointSet(nodeCount);
    for (let e = starts[t]; e < firsts.length; e++) set.unite(firsts[e], seconds[e]);
    yield Int32Array.from({ length: nodeCount }, (_, node) => set.find(node));
  }
}
