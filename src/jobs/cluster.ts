/** Clusters from scores that were computed before, so that looking for a threshold does not score again. */

import { type Partition, type PartitionOptions, partitionEdges } from '../cluster/partition.js';
import { countClusters } from '../cluster/relabel.js';
import { clusterSizes, type LeavingOut, leaveOut, leftOut, trustOf } from '../cluster/trust.js';
import { partitionDefaults } from '../defaults.js';
import { NaanError } from '../errors.js';
import { edgesFromPairs } from '../graph/candidate-edges.js';
import type { ScoredPairs } from '../io/scored-pairs.js';

export type { ScoredPairs } from '../io/scored-pairs.js';

export interface ClusterOptions extends Partial<Omit<PartitionOptions, 'order'>>, LeavingOut {
  readonly threshold: number;
  /** Default `linkage`. */
  readonly partition?: Partition | undefined;
}

/**
 * Labels [nodeCount], numbered by first appearance; −1 for a node without candidate edges. With the partition, the threshold and
 * the other options of a call of `label` they are its labels. Throws BAD_SHAPE for arrays that do not fit together, BAD_INPUT
 * for a pair that names no node or a score that is NaN, BAD_USAGE for options that a partition cannot take.
 */
export function cluster({ pairs, scores }: ScoredPairs, nodeCount: number, options: ClusterOptions): Int32Array {
  if (pairs.length !== 2 * scores.length) {
    throw new NaanError(
      'BAD_SHAPE',
      `pairs: got ${pairs.length} values, expected two for each of ${scores.length} scores`,
    );
  }
  const stranger = pairs.find((node) => !(node >= 0 && node < nodeCount));
  if (stranger !== undefined) {
    throw new NaanError('BAD_INPUT', `pairs: got node ${stranger}, expected 0 to ${nodeCount - 1}`);
  }
  const { edges, place } = edgesFromPairs(nodeCount, pairs);
  const placed = new Float32Array(scores.length);
  for (let e = 0; e < scores.length; e++) placed[place[e]] = scores[e];
  const { partition = 'linkage' } = options;
  const labels = partitionEdges(edges, placed, partition, { ...partitionDefaults, ...options });
  const { clusters } = countClusters(labels);
  const trust =
    options.minTrust === undefined ? undefined : trustOf({ ...edges, scores: placed }, labels, clusters).trust;
  const sizes = clusterSizes(labels, clusters);
  const left = leftOut(sizes, trust, options);
  if (left) leaveOut(labels, sizes, left);
  return labels;
}
