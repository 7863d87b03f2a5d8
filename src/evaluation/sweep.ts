/**
 * Every threshold from one scoring: the components of the edges of score ≥ threshold, how many and how large they are,
 * and how well they agree with true identities. One pass from the highest threshold to the lowest, O(E + n log n).
 */
import { DisjointSet } from '../cluster/disjoint-set.js';
import { sortByThreshold, spanningEdges } from '../cluster/edges-by-threshold.js';
import { labelsAt, type Partition, type PartitionOptions } from '../cluster/partition.js';
import { countClusters, relabel } from '../cluster/relabel.js';
import { lowestScore, rangesOfEdges, type ScoredEdges, touchedNodes, withScores } from '../cluster/scored-edges.js';
import { NaanError } from '../errors.js';
import { type Plan, runPlan, together } from '../execution/plan.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { evaluate } from './evaluate.js';
import { MergeScorer } from './merge-scorer.js';
import type { PrecisionRecall } from './precision-recall.js';

export interface SweepOptions {
  /** True identities [nodeCount], −1 where not known. */
  readonly truth?: Int32Array | undefined;
  /** Default 0, 0.01, … 1. */
  readonly thresholds?: readonly number[] | undefined;
}

export interface SweepPoint {
  readonly threshold: number;
  /** Clusters, and those of one node. Nodes without any candidate edge, labelled −1, are not among them. */
  readonly clusters: number;
  readonly singletons: number;
  /** Nodes of the largest cluster. */
  readonly largest: number;
  /** Present with `truth`: the measures of `evaluate` for the labels at this threshold. */
  readonly bcubed?: PrecisionRecall;
  readonly pairwise?: PrecisionRecall;
}

const hundredths: readonly number[] = Array.from({ length: 101 }, (_, i) => i / 100);

/** Most bytes that a sweep takes beside edges and scores, without a truth: a forest three times, sets, merges and marks. */
export function sweepBytes(nodes: number): number {
  return 100 * nodes + 2 ** 23;
}

/**
 * Points by rising threshold, of `edges` scored by `scores` [edgeCount].
 * Throws BAD_SHAPE when arrays do not fit, BAD_INPUT for a score that is NaN or a truth that knows no node, BAD_USAGE
 * for a threshold that is not a number.
 */
export function sweep(edges: CandidateEdges, scores: Float32Array, options: SweepOptions = {}): SweepPoint[] {
  return runPlan(sweepPlan(withScores(edges, scores), options, 1));
}

/** The same in steps, over arrays in shared memory. */
export function* sweepPlan(edges: ScoredEdges, options: SweepOptions, threads: number): Plan<SweepPoint[]> {
  const thresholds = Float64Array.from(options.thresholds ?? hundredths).sort();
  if (thresholds.some(Number.isNaN)) throw new NaanError('BAD_USAGE', 'thresholds: got NaN, expected numbers');
  const { nodeCount } = edges;
  lowestScore(edges, 0, nodeCount);
  const merges = { firsts: new Int32Array(nodeCount), seconds: new Int32Array(nodeCount), count: 0 };
  const mergesDone = new Float64Array(thresholds.length);
  const points: SweepPoint[] = new Array(thresholds.length);

  const touched = touchedNodes(edges).reduce((sum, one) => sum + one, 0);
  let singletons = touched;
  let largest = Math.min(1, touched);
  const forests = yield* together(
    spanningEdges,
    rangesOfEdges(edges, threads).map((range) => ({ edges, thresholds, ...range })),
  );
  const { starts, firsts, seconds } = sortByThreshold(forests, thresholds.length);
  const set = new DisjointSet(nodeCount);
  for (let t = thresholds.length - 1; t >= 0; t--) {
    for (let e = starts[t]; e < starts[t + 1]; e++) {
      const a = set.find(firsts[e]);
      const b = set.find(seconds[e]);
      if (a === b) continue;
      if (set.sizeOf(a) === 1) singletons--;
      if (set.sizeOf(b) === 1) singletons--;
      set.unite(a, b);
      largest = Math.max(largest, set.sizeOf(a));
      merges.firsts[merges.count] = a;
      merges.seconds[merges.count++] = b;
    }
    mergesDone[t] = merges.count;
    points[t] = { threshold: thresholds[t], clusters: touched - merges.count, singletons, largest };
  }
  if (options.truth === undefined) return points;

  const scorer = new MergeScorer(nodeCount, merges, options.truth);
  for (let t = thresholds.length - 1; t >= 0; t--) points[t] = { ...points[t], ...scorer.after(mergesDone[t]) };
  return points;
}

/**
 * The same by any partition, by default from 0.01 on: a run of it for each threshold, or less where it knows how. Throws as `sweep`
 * and the partition do.
 */
export function sweepPartition(
  edges: CandidateEdges,
  scores: Float32Array,
  partition: Partition,
  { truth, thresholds = hundredths.slice(1), ...options }: SweepOptions & Omit<PartitionOptions, 'threshold'>,
): SweepPoint[] {
  const scored = withScores(edges, scores);
  lowestScore(scored, 0, edges.nodeCount);
  const rising = [...thresholds].sort((a, b) => a - b);
  const points: SweepPoint[] = [];
  for (const found of labelsAt(scored, partition, options, rising)) {
    const labels = found.slice();
    relabel(labels);
    const { clusters, singletons, largest } = countClusters(labels);
    const threshold = rising[points.length];
    const all = truth && evaluate(labels, truth).all;
    points.push({
      threshold,
      clusters,
      singletons,
      largest,
      ...(all && { bcubed: all.bcubed, pairwise: all.pairwise }),
    });
  }
  return points;
}
