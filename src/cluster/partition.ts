/** The ways in which scored edges become clusters. */
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { linkage } from './linkage.js';
import { type PropagationOptions, propagate } from './propagation.js';
import { whispers } from './whispers.js';

export const partitions = ['propagation', 'threshold', 'whispers', 'linkage'] as const;
export type Partition = (typeof partitions)[number];

/** All that any of them wants to know; `threshold` means something to each. */
export interface PartitionOptions extends PropagationOptions {
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
 * `roundZero` [nodeCount]: the components of the edges of score ≥ threshold (with `start: all` of all edges), where the
 * caller has them already. Throws BAD_SHAPE, BAD_USAGE, BAD_INPUT as they do.
 */
export function partitionEdges(
  edges: CandidateEdges,
  scores: Float32Array,
  partition: Partition,
  options: PartitionOptions,
  roundZero?: Int32Array,
): Int32Array {
  if (partition === 'whispers') return whispers(edges, scores, options);
  if (partition === 'linkage') return linkage(edges, scores, options);
  const ladder: PropagationOptions =
    partition === 'threshold' ? { ...options, start: 'threshold', maxSize: Number.POSITIVE_INFINITY } : options;
  return propagate(edges, scores, ladder, roundZero);
}
