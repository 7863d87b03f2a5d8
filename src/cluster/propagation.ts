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
 *
 * With constraints, nodes of one group are as if joined by edges above every threshold. Where nodes may not be one cluster, the
 * components of a threshold are what joining along its edges gives, the highest score first, ties by the smaller end, then
 * the other, where a join that is not allowed is left out (Kruskal's order). These nest as well, for the same joins come first in each.
 */

import { NaanError } from '../errors.js';
import { alone, type Plan, runPlan, together } from '../execution/plan.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { Apart, type Constraints } from './constraints.js';
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
import { componentSizes, SharedDisjointSet } from './shared-disjoint-set.js';
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
  /** The end of oversize components: each becomes a cluster, or all of them together one (as published). */
  readonly leftovers: 'components' | 'merge';
}

/** Constraints on the nodes, and the input number of each node where they were renumbered, which decides ties. */
export interface Decided {
  readonly constraints?: Constraints | undefined;
  readonly order?: Int32Array | undefined;
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
  options: PropagationOptions & Decided,
  roundZero?: Int32Array,
): Int32Array {
  return runPlan(propagationPlan(withScores(edges, scores), options, 1, roundZero));
}

/** The same in steps. `roundZero` in shared memory. */
export function* propagationPlan(
  edges: ScoredEdges,
  options: PropagationOptions & Decided,
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
  const { constraints } = options;
  const lowestOfZero = options.start === 'all' ? -Infinity : threshold;
  const united = roundZero ?? (yield* componentsAt(edges, lowestOfZero, threads));
  const components = constraints ? yield* alone(withGroups, { components: united, constraints }) : united;
  if (constraints && constraints.sets.length > 0) {
    const rungs = [lowestOfZero, ...risingThresholds(threshold, options)];
    return yield* alone(climbApart, { edges, components, rungs, options, constraints });
  }
  const { labels, left, leftCount } = yield* alone(oversize, { components, maxSize: options.maxSize });
  const rungs = risingThresholds(threshold, options);
  const forests =
    leftCount === 0
      ? []
      : yield* together(
          spanningEdges,
          ranges.map((range) => ({ edges, thresholds: rungs, nodes: left, ...range })),
        );
  if (constraints && leftCount > 0 && rungs.length > 0) forests.push(groupEdges(constraints, left, rungs.length));
  return yield* alone(climb, { edges, labels, left, leftCount, forests, rungCount: rungs.length, options });
}

export function lowestOf({ edges, from, to }: NodeRange & { readonly edges: ScoredEdges }): number {
  return lowestScore(edges, from, to);
}

/** Components by their smallest node once groups are joined as well. */
export function withGroups(input: { readonly components: Int32Array; readonly constraints: Constraints }): Int32Array {
  const { components, constraints } = input;
  const set = SharedDisjointSet.allocate(components.length, components);
  for (let node = 0; node < components.length; node++) set.unite(node, constraints.firsts[node]);
  return set.componentOf(sharedInts(components.length));
}

/** The edges that join the nodes of groups that are left, at the highest rung. */
function groupEdges({ firsts }: Constraints, left: Uint8Array, rungCount: number): ForestEdges {
  const seconds = Int32Array.from(firsts.keys()).filter((node) => firsts[node] !== node && left[node] === 1);
  return {
    firsts: seconds.map((node) => firsts[node]),
    seconds,
    reached: new Int32Array(seconds.length).fill(rungCount),
  };
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
  readonly options: PropagationOptions & Decided;
}

/** All that comes after round 0. */
export function climb(input: ClimbInput): Int32Array {
  const { edges, labels, leftCount, options } = input;
  if (leftCount > 0) divide(input);
  return settled(edges, labels, options);
}

/** Labels numbered by first appearance, −1 where there is neither an edge nor a decision. */
function settled(edges: CandidateEdges, labels: Int32Array, { constraints }: Decided): Int32Array {
  const touched = touchedNodes(edges, constraints?.decided);
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

interface ApartInput {
  readonly edges: ScoredEdges;
  /** Components of round 0, with groups joined, as if all joins were allowed. */
  readonly components: Int32Array;
  /** Thresholds of the rounds 0, 1, 2, … */
  readonly rungs: readonly number[];
  readonly options: PropagationOptions & Decided;
  readonly constraints: Constraints;
}

/** All rounds, where some joins are not allowed. */
export function climbApart({ edges, components, rungs, options, constraints }: ApartInput): Int32Array {
  const { maxSize, leftovers, order } = options;
  const { nodeCount } = edges;
  const sizes = componentSizes(components);
  const apart = new Apart(constraints, 0, nodeCount, (node) => components[node]);
  // Other components are clusters as they are.
  const left = new Uint8Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    if (components[node] === node && (sizes[node] > maxSize || apart.contradicts(node))) left[node] = 1;
  }
  for (let node = 0; node < nodeCount; node++) left[node] = left[components[node]];

  const reached = new DisjointSet(nodeCount);
  const kept = new DisjointSet(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    if (left[node] === 0) continue;
    reached.unite(node, constraints.firsts[node]);
    kept.unite(node, constraints.firsts[node]);
  }
  const reachedApart = new Apart(constraints, 0, nodeCount, (node) => reached.find(node));
  const { firsts, seconds, scores } = fallingEdges(edges, left, rungs[0], order);
  for (let rung = rungs.length - 1, e = 0; rung >= 0; rung--) {
    const start = e;
    let joined = e;
    for (; e < scores.length && scores[e] >= rungs[rung]; e++) {
      const [a, b] = [reached.find(firsts[e]), reached.find(seconds[e])];
      if (a === b || reachedApart.forbids(a, b)) continue;
      reached.unite(a, b);
      const root = reached.find(a);
      reachedApart.join(root, root === a ? b : a);
      firsts[joined] = firsts[e];
      seconds[joined++] = seconds[e];
    }
    const tightest = rung === rungs.length - 1;
    for (let i = start; i < joined; i++) {
      if (tightest || reached.sizeOf(firsts[i]) <= maxSize) kept.unite(firsts[i], seconds[i]);
    }
  }
  if (leftovers === 'merge') mergeAllowed(kept, options, constraints, nodeCount);
  const labels = sharedInts(nodeCount);
  for (let node = 0; node < nodeCount; node++) labels[node] = left[node] === 1 ? kept.find(node) : components[node];
  return settled(edges, labels, options);
}

/** Edges among the nodes that are left, of some score and higher, in Kruskal's order. */
function fallingEdges(edges: ScoredEdges, left: Uint8Array, lowest: number, order: Int32Array | undefined) {
  const { nodeCount, offsets, targets, scores } = edges;
  const isAmong = (node: number, e: number) => left[node] === 1 && left[targets[e]] === 1 && scores[e] >= lowest;
  let count = 0;
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) if (isAmong(node, e)) count++;
  }
  const found = { firsts: new Int32Array(count), seconds: new Int32Array(count), scores: new Float32Array(count) };
  count = 0;
  const nameOf = (node: number) => (order ? order[node] : node);
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      if (!isAmong(node, e)) continue;
      const isInOrder = nameOf(node) < nameOf(targets[e]);
      found.firsts[count] = isInOrder ? node : targets[e];
      found.seconds[count] = isInOrder ? targets[e] : node;
      found.scores[count++] = scores[e];
    }
  }
  const falling = new Uint32Array(count).map((_, i) => i);
  falling.sort(
    (x, y) =>
      found.scores[y] - found.scores[x] ||
      nameOf(found.firsts[x]) - nameOf(found.firsts[y]) ||
      nameOf(found.seconds[x]) - nameOf(found.seconds[y]),
  );
  const sorted = { firsts: new Int32Array(count), seconds: new Int32Array(count), scores: new Float32Array(count) };
  for (let i = 0; i < count; i++) {
    sorted.firsts[i] = found.firsts[falling[i]];
    sorted.seconds[i] = found.seconds[falling[i]];
    sorted.scores[i] = found.scores[falling[i]];
  }
  return sorted;
}

function inverse(order: Int32Array): Int32Array {
  const positions = new Int32Array(order.length);
  for (let p = 0; p < order.length; p++) positions[order[p]] = p;
  return positions;
}

/** Makes one component of those larger than maxSize, in the order of their smallest nodes, as far as that is allowed. */
function mergeAllowed(
  set: DisjointSet,
  { maxSize, order }: PropagationOptions & Decided,
  constraints: Constraints,
  nodeCount: number,
): void {
  const apart = new Apart(constraints, 0, nodeCount, (node) => set.find(node));
  const positions = order && inverse(order);
  let merged = -1;
  for (let name = 0; name < nodeCount; name++) {
    const node = positions ? positions[name] : name;
    const own = set.find(node);
    if (set.sizeOf(node) <= maxSize) continue;
    if (merged < 0) merged = node;
    const root = set.find(merged);
    if (own === root || apart.forbids(own, root)) continue;
    set.unite(own, root);
    const joined = set.find(root);
    apart.join(joined, joined === own ? root : own);
  }
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
