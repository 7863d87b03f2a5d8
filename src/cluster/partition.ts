/** The ways in which scored edges become clusters. */

import { alone, type Plan, runPlan } from '../execution/plan.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { type Constraints, inOrder } from './constraints.js';
import { type AbsentPairs, linkageBytes, linkageCuts, linkagePlan } from './linkage.js';
import type { Partition } from './names.js';
import { type PropagationOptions, propagationPlan } from './propagation.js';
import { relabel } from './relabel.js';
import { type ScoredEdges, withScores } from './scored-edges.js';
import type { SharedDisjointSetHandle } from './shared-disjoint-set.js';
import { componentsAtEach, flatten } from './unite.js';

/** All that any of them wants to know; `threshold` means something to each. */
export interface PartitionOptions extends PropagationOptions {
  /** `linkage`: how much a pair without an edge counts; default `room`. */
  readonly absentPairs?: AbsentPairs | undefined;
  /** Input number of each node where nodes were renumbered: decides ties. */
  readonly order?: Int32Array | undefined;
  /** Constraints on the nodes. */
  readonly constraints?: Constraints | undefined;
}

/** A method of clustering scored edges, as the rest of the program sees it: a new method needs one entry here. */
interface PartitionMethod {
  /**
   * Labels in steps for some threads, over arrays in shared memory. `roundZero` [nodeCount]: the components of the edges of
   * score ≥ `uniteFrom(options)`, each named by its smallest node, where the caller has them already.
   */
  plan(edges: ScoredEdges, options: PartitionOptions, threads: number, roundZero?: Int32Array): Plan<Int32Array>;
  /** The score from which edges unite before all else. */
  uniteFrom(options: PartitionOptions): number;
  /** Most bytes that it takes beside edges, scores and the disjoint set. */
  bytes(nodes: number, edges: number, threads: number, absentPairs?: AbsentPairs): number;
  /** Options that it takes beside the threshold. */
  readonly takes: readonly (keyof PropagationOptions)[];
  /** Labels at each of some rising thresholds, where that takes less than a run for each. */
  cuts?(edges: ScoredEdges, options: PartitionOptions, thresholds: readonly number[]): Iterable<Int32Array>;
}

// Labels, sizes, marks and two disjoint sets; a forest of less than two edges a node.
const ladderBytes = (nodes: number) => 48 * nodes;

const methods: Readonly<Record<Partition, PartitionMethod>> = {
  linkage: {
    plan: (edges, options, threads, roundZero) => linkagePlan(edges, options, threads, { components: roundZero }),
    uniteFrom: ({ threshold }) => threshold,
    bytes: linkageBytes,
    takes: [],
    cuts: linkageCuts,
  },
  threshold: {
    plan(edges, options, threads, roundZero) {
      const ladder = { ...options, start: 'threshold', maxSize: Number.POSITIVE_INFINITY } as const;
      return propagationPlan(edges, ladder, threads, roundZero);
    },
    uniteFrom: ({ threshold }) => threshold,
    bytes: ladderBytes,
    takes: [],
  },
  propagation: {
    plan: propagationPlan,
    uniteFrom: ({ start, threshold }) => (start === 'all' ? Number.NEGATIVE_INFINITY : threshold),
    bytes: ladderBytes,
    takes: ['step', 'maxSize', 'maxIterations', 'start', 'leftovers'],
  },
};

export { type Partition, partitions } from './names.js';

export function methodOf(partition: Partition): PartitionMethod {
  return methods[partition];
}

/**
 * Labels [nodeCount] from scored edges: clusters numbered by first appearance, −1 for a node without candidate edges.
 * `threshold` takes the components of the edges of score ≥ threshold; the others are described where they are made.
 * Throws BAD_SHAPE, BAD_USAGE, BAD_INPUT as they do.
 */
export function partitionEdges(
  edges: CandidateEdges,
  scores: Float32Array,
  partition: Partition,
  options: PartitionOptions,
): Int32Array {
  return runPlan(methodOf(partition).plan(withScores(edges, scores), options, 1));
}

/** Labels at each of some rising thresholds, not renumbered. Throws as `partitionEdges` does. */
export function* labelsAt(
  edges: ScoredEdges,
  partition: Partition,
  options: Omit<PartitionOptions, 'threshold'>,
  thresholds: readonly number[],
): Iterable<Int32Array> {
  const method = methodOf(partition);
  if (method.cuts) return yield* method.cuts(edges, { ...options, threshold: thresholds[0] }, thresholds);
  const scored = withScores(edges, edges.scores);
  const lowest = thresholds.map((threshold) => method.uniteFrom({ ...options, threshold }));
  const components = componentsAtEach(scored, lowest);
  for (const threshold of thresholds) {
    yield runPlan(method.plan(scored, { ...options, threshold }, 1, components.next().value));
  }
}

/** Labels by input number [nodeCount], from `roundZero` as it is once all have united; constraints by input number. */
export function* labelPlan(
  edges: ScoredEdges,
  partition: Partition,
  options: PartitionOptions,
  threads: number,
  roundZero: SharedDisjointSetHandle,
): Plan<Int32Array> {
  const components = yield* alone(flatten, roundZero);
  const { order, constraints } = options;
  const settled = constraints
    ? { ...options, constraints: yield* alone(inPositions, { constraints, order }) }
    : options;
  const byPosition = yield* methodOf(partition).plan(edges, settled, threads, components);
  return order === undefined ? byPosition : yield* alone(inInputOrder, { labels: byPosition, order });
}

export function inPositions(
  input: Required<Pick<PartitionOptions, 'constraints'>> & { order: Int32Array | undefined },
) {
  return inOrder(input.constraints!, input.order);
}

export function inInputOrder({ labels, order }: { labels: Int32Array; order: Int32Array }): Int32Array {
  const byNumber = sharedInts(labels.length);
  for (let p = 0; p < labels.length; p++) byNumber[order[p]] = labels[p];
  relabel(byNumber);
  return byNumber;
}
