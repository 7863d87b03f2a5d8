/**
 * Pseudo-labels from scored edges: a ladder of rising thresholds (Consensus-Driven Propagation, Zhan et al., ECCV
 * 2018), with the rounds counted as in the code published with NAAN.
 *
 * Round 0 takes the edges of `start`: all of them, or those of score ≥ threshold. A component of at most maxSize nodes
 * is a cluster; the nodes of larger ones go on. Each of the rounds 1 .. maxIterations first raises the threshold,
 *     th ← th + (1 − th) · step    (float64)
 * and then takes the components of the edges of score ≥ th among the nodes that are left. All comparisons are
 * inclusive, the float32 score against th in float64. What is left after the last round, or once th cannot rise any
 * more (edges of score exactly 1 survive every th), is settled by `leftovers`.
 *
 * The components of a round nest in those of the round before it, so all rounds come out of one pass over the edges
 * from the tightest rung to the loosest, O(E α(n)).
 */

import { NaanError } from '../errors.js';
import { alone, type Plan, runPlan, together } from '../execution/plan.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { DisjointSet } from './disjoint-set.js';
import { type ForestEdges, sortByThreshold, spanningEdges } from './edges-by-threshold.js';
import { mostRounds } from './names.js';
import { relabel } from './relabel.js';
import {
  lowestScore,
  type NodeRange,
  rangesOfEdges,
  type ScoredEdges,
  touchedNodes,
  withScores,
} from './scored-edges.js';
import { componentSizes } from './shared-disjoint-set.js';
import { componentsAt } from './unite.js';

export interface PropagationOptions {
  /** th of round 0, at most 1; negative for the smallest score there is. */
  readonly threshold: number;
  /** Part of the way to 1 that th rises each round, 0..1. */
  readonly step: number;
  /** Nodes of the largest component accepted, ≥ 1; Infinity takes the components of round 0 as they are. */
  readonly maxSize: number;
  /** Rounds after round 0, at most `mostRounds`. */
  readonly maxIterations: number;
  /** Edges of round 0: those of score ≥ threshold, or all of them (as published). */
  readonly start: 'threshold' | 'all';
  /** What oversize components become in the end: each a cluster, or all of them together one (as published). */
  readonly leftovers: 'components' | 'merge';
}

/**
 * Labels [nodeCount] from `edges` and their `scores` [edgeCount]: clusters numbered by first appearance, −1 for a node
 * that no candidate edge touches. A node whose edges all fall away is a cluster of its own. The two ends of an edge
 * are equals and the order of edges does not matter.
 * `roundZero` [nodeCount]: the components of round 0 where the caller has united those edges already, each named by
 * one of its nodes (`SharedDisjointSet.componentOf`).
 * Throws BAD_SHAPE when arrays do not fit, BAD_USAGE for options out of range, BAD_INPUT for a score that is NaN.
 */
export function propagate(
  edges: CandidateEdges,
  scores: Float32Array,
  options: PropagationOptions,
  roundZero?: Int32Array,
): Int32Array {
  return runPlan(propagationPlan(withScores(edges, scores), options, 1, roundZero));
}

/** The same in steps. `roundZero` in shared memory. */
export function* propagationPlan(
  edges: ScoredEdges,
  options: PropagationOptions,
  threads: number,
  roundZero?: Int32Array,
): Plan<Int32Array> {
  checkOptions(options);
  const { nodeCount } = edges;
  if (roundZero !== undefined && roundZero.length !== nodeCount) {
    throw new NaanError(
      'BAD_SHAPE',
      `components: got ${roundZero.length}, expected one for each of ${nodeCount} nodes`,
    );
  }
  const ranges = rangesOfEdges(edges, threads);
  const lowest = yield* together(
    lowestOf,
    ranges.map((range) => ({ edges, ...range })),
  );
  const threshold = options.threshold < 0 ? Math.min(...lowest) : options.threshold;
  const components =
    roundZero ?? (yield* componentsAt(edges, options.start === 'all' ? -Infinity : threshold, threads));
  const { labels, left, leftCount } = yield* alone(oversize, { components, maxSize: options.maxSize });
  const rungs = risingThresholds(threshold, options);
  const forests =
    leftCount === 0
      ? []
      : yield* together(
          spanningEdges,
          ranges.map((range) => ({ edges, thresholds: rungs, nodes: left, ...range })),
        );
  return yield* alone(climb, { edges, labels, left, leftCount, forests, rungCount: rungs.length, options });
}

export function lowestOf({ edges, from, to }: NodeRange & { readonly edges: ScoredEdges }): number {
  return lowestScore(edges, from, to);
}

interface Oversize {
  /** The components, in memory of their own. */
  readonly labels: Int32Array;
  /** 1 for the nodes of those larger than maxSize, else 0. */
  readonly left: Uint8Array;
  readonly leftCount: number;
}

export function oversize(input: { readonly components: Int32Array; readonly maxSize: number }): Oversize {
  const { components, maxSize } = input;
  const labels = sharedInts(components.length);
  labels.set(components);
  const sizes = componentSizes(labels);
  const left = new Uint8Array(new SharedArrayBuffer(labels.length));
  let leftCount = 0;
  for (let node = 0; node < labels.length; node++) {
    if (sizes[labels[node]] <= maxSize) continue;
    left[node] = 1;
    leftCount++;
  }
  return { labels, left, leftCount };
}

interface ClimbInput extends Oversize {
  readonly edges: CandidateEdges;
  /** Edges that the components of the rungs need. */
  readonly forests: readonly ForestEdges[];
  readonly rungCount: number;
  readonly options: PropagationOptions;
}

/** All that comes after round 0. */
export function climb(input: ClimbInput): Int32Array {
  const { edges, labels, leftCount } = input;
  if (leftCount > 0) divide(input);
  const touched = touchedNodes(edges);
  for (let node = 0; node < labels.length; node++) if (touched[node] === 0) labels[node] = -1;
  relabel(labels);
  return labels;
}

/** Thresholds of the rounds 1, 2, …, rising, until they are used up or the rest are the same. */
function risingThresholds(threshold: number, options: PropagationOptions): Float64Array {
  const rungs: number[] = [];
  let th = threshold;
  for (let round = 1; round <= options.maxIterations; round++) {
    const before = th;
    th += (1 - th) * options.step;
    rungs.push(th);
    if (th === before) break;
  }
  return Float64Array.from(rungs);
}

/**
 * Rounds 1 and later: rewrites the labels of the nodes `left` over from round 0, each cluster named by one of its nodes.
 * `reached` holds the components of the rung that the pass has come to; `kept` takes a union only when the component
 * that it makes is still at most maxSize at the end of its rung, so it stops growing at the loosest rung that accepts it.
 */
function divide({ labels, left, forests, rungCount, options: { maxSize, leftovers } }: ClimbInput): void {
  const reached = new DisjointSet(labels.length);
  const kept = new DisjointSet(labels.length);
  const { firsts, seconds, starts } = sortByThreshold(forests, rungCount);
  for (let rung = rungCount - 1; rung >= 0; rung--) {
    // An edge that joins nothing in `reached` joins nothing in `kept` either: the path it closes was accepted with it.
    let joined = starts[rung];
    for (let e = starts[rung]; e < starts[rung + 1]; e++) {
      if (!reached.unite(firsts[e], seconds[e])) continue;
      firsts[joined] = firsts[e];
      seconds[joined] = seconds[e];
      joined++;
    }
    const tightest = rung === rungCount - 1;
    for (let e = starts[rung]; e < joined; e++) {
      if (tightest || reached.sizeOf(firsts[e]) <= maxSize) kept.unite(firsts[e], seconds[e]);
    }
  }
  if (rungCount === 0) {
    for (let node = 0; node < labels.length; node++) if (left[node] === 1) kept.unite(node, labels[node]);
  }
  if (leftovers === 'merge') mergeOversize(kept, labels.length, maxSize);
  for (let node = 0; node < labels.length; node++) if (left[node] === 1) labels[node] = kept.find(node);
}

/** Makes one component of all those larger than maxSize. */
function mergeOversize(set: DisjointSet, nodeCount: number, maxSize: number): void {
  let first = -1;
  for (let node = 0; node < nodeCount; node++) {
    if (set.sizeOf(node) <= maxSize) continue;
    if (first < 0) first = node;
    else set.unite(first, node);
  }
}

function checkOptions({ threshold, step, maxSize, maxIterations }: PropagationOptions): void {
  if (!(threshold <= 1)) throw new NaanError('BAD_USAGE', `threshold: got ${threshold}, expected at most 1`);
  if (!(step >= 0 && step <= 1)) throw new NaanError('BAD_USAGE', `step: got ${step}, expected 0 to 1`);
  if (!(maxSize >= 1)) throw new NaanError('BAD_USAGE', `max size: got ${maxSize}, expected at least 1 node`);
  if (!(maxIterations >= 0 && maxIterations <= mostRounds))
    throw new NaanError('BAD_USAGE', `max iterations: got ${maxIterations}, expected 0 to ${mostRounds}`);
}
