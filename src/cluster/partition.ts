/** The ways in which scored edges become clusters. */

import { alone, type Plan, runPlan } from '../execution/plan.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { type AbsentPairs, linkageBytes, linkagePlan } from './linkage.js';
import { type PropagationOptions, propagationPlan } from './propagation.js';
import { relabel } from './relabel.js';
import { type ScoredEdges, withScores } from './scored-edges.js';
import type { SharedDisjointSetHandle } from './shared-disjoint-set.js';
import { flatten } from './unite.js';

export const partitions = ['propagation', 'threshold', 'linkage'] as const;
export type Partition = (typeof partitions)[number];

/** All that any of them wants to know; `threshold` means something to each. */
export interface PartitionOptions extends PropagationOptions {
  /** `linkage`: how much a pair without an edge counts; default `room`. */
  readonly absentPairs?: AbsentPairs | undefined;
  /** Input number of each node where nodes were renumbered: decides ties. */
  readonly order?: Int32Array | undefined;
}

/** As the command line has them, but for the threshold, which is a matter of the scores. */
export const partitionDefaults = {
  step: 0.6,
  maxSize: 600,
  maxIterations: 1000,
  start: 'threshold',
  leftovers: 'components',
} as const;

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
  return runPlan(partitionPlan(withScores(edges, scores), partition, options, 1));
}

/**
 * The same in steps for some threads, over arrays in shared memory. `roundZero` [nodeCount]: the components of the edges of
 * score ≥ threshold (with `start: all` of all edges), each named by its smallest node, where the caller has them already.
 */
function* partitionPlan(
  edges: ScoredEdges,
  partition: Partition,
  options: PartitionOptions,
  threads: number,
  roundZero?: Int32Array,
): Plan<Int32Array> {
  if (partition === 'linkage') return yield* linkagePlan(edges, options, threads, { components: roundZero });
  const ladder: PropagationOptions =
    partition === 'threshold' ? { ...options, start: 'threshold', maxSize: Number.POSITIVE_INFINITY } : options;
  return yield* propagationPlan(edges, ladder, threads, roundZero);
}

/** Most bytes that `labelPlan` takes beside edges, scores and the disjoint set. */
export function partitionBytes(partition: Partition, nodes: number, edges: number, threads: number): number {
  if (partition === 'linkage') return linkageBytes(nodes, edges, threads);
  // Labels, sizes, marks and two disjoint sets; a forest of less than two edges a node.
  return 48 * nodes;
}

/** Labels by input number [nodeCount], from `roundZero` as it is once all have united. */
export function* labelPlan(
  edges: ScoredEdges,
  partition: Partition,
  options: PartitionOptions,
  threads: number,
  roundZero: SharedDisjointSetHandle,
): Plan<Int32Array> {
  const components = yield* alone(flatten, roundZero);
  const byPosition = yield* partitionPlan(edges, partition, options, threads, components);
  const { order } = options;
  return order === undefined ? byPosition : yield* alone(inInputOrder, { labels: byPosition, order });
}

export function inInputOrder({ labels, order }: { labels: Int32Array; order: Int32Array }): Int32Array {
  const byNumber = sharedInts(labels.length);
  for (let p = 0; p < labels.length; p++) byNumber[order[p]] = labels[p];
  relabel(byNumber);
  return byNumber;
}
