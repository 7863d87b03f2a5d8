/** The components of the edges of some score and higher, by all threads. */
import { alone, type Plan, together } from '../execution/plan.js';
import { sharedInts } from '../memory/shared-arrays.js';
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
