/**
 * Chinese Whispers (Biemann 2006, TextGraphs): every node starts with a label of its own and again and again takes the
 * label that its neighbours hold with the largest total weight, until nobody changes. Unlike components, two groups do
 * not become one by a single edge.
 *
 * The paper visits nodes in random order and breaks ties at random. Here nodes are visited from the smallest total weight
 * to the largest: the outer nodes of a group, which know little else, agree before a node between groups has to choose. A
 * node keeps its label when none weighs more; of several that do, the label from the node of the largest total wins. So
 * the result depends neither on the order of edges nor, but for nodes of exactly equal weight, on how nodes are numbered;
 * and the weight inside clusters grows with every change, so changes come to an end.
 *
 * Of two visits only those to neighbours can tell which came first, so any order in which lighter neighbours come before
 * heavier ones gives the same as the order by weight. Each thread therefore takes a range of nodes as they stand in memory,
 * after those of their neighbours that must come before, and those after theirs. What must wait for a node of another
 * range is left for the end: with neighbours near each other little is.
 */
import { NaanError } from '../errors.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { type Links, linksOf } from './links.js';
import { alone, type Plan, runPlan, together } from './plan.js';
import { relabel } from './relabel.js';
import {
  lowestScore,
  type NodeRange,
  rangesOfEdges,
  type ScoredEdges,
  sharedInts,
  touchedNodes,
  withScores,
} from './scored-edges.js';

export interface WhispersOptions {
  /** Edges of a lower score say nothing; those of score ≥ threshold weigh their score. */
  readonly threshold: number;
  /** Visits to all nodes, should changes not have come to an end before; 20 are plenty. */
  readonly maxIterations: number;
}

/** Weights are whole multiples of this, so that sums over up to 2^23 edges are exact in any order. */
const weightUnit = 2 ** -30;

/**
 * Labels [nodeCount] from `edges` and their `scores` [edgeCount], 0..1: clusters numbered by first appearance, −1 for a
 * node that no candidate edge touches. O(E · iterations).
 * Throws BAD_SHAPE when arrays do not fit, BAD_INPUT for a score that is NaN, BAD_USAGE for options out of range.
 */
export function whispers(edges: CandidateEdges, scores: Float32Array, options: WhispersOptions): Int32Array {
  return runPlan(whispersPlan(withScores(edges, scores), options, 1));
}

/** Most bytes that a run takes beside edges and scores: links at both ends, and what is kept of a node. */
export function whispersBytes(nodes: number, edges: number): number {
  return 16 * edges + 42 * nodes;
}

/** The same in steps. */
export function* whispersPlan(edges: ScoredEdges, options: WhispersOptions, threads: number): Plan<Int32Array> {
  const { threshold, maxIterations } = options;
  if (Number.isNaN(threshold)) throw new NaanError('BAD_USAGE', 'threshold: got NaN, expected a number');
  if (!(maxIterations >= 1))
    throw new NaanError('BAD_USAGE', `max iterations: got ${maxIterations}, expected 1 or more`);
  const { nodeCount } = edges;
  const links = yield* linksOf(edges, { threshold }, threads);
  const state: Whispers = {
    links,
    labels: sharedInts(nodeCount),
    totals: new Float64Array(new SharedArrayBuffer(8 * nodeCount)),
    due: new Uint8Array(new SharedArrayBuffer(nodeCount)),
    met: new Uint8Array(new SharedArrayBuffer(nodeCount)),
  };
  const ranges = rangesOfEdges(edges, threads);
  yield* together(
    weigh,
    ranges.map((range) => ({ edges, state, ...range })),
  );
  const orders = yield* together(
    whisper,
    ranges.map((range) => ({ state, ...range })),
  );
  const rest = yield* alone(whisperRest, state);
  for (let iteration = 1; iteration < maxIterations; iteration++) {
    const changed = yield* together(
      whisperAgain,
      orders.map((order) => ({ state, order })),
    );
    const restChanged = rest.length > 0 && (yield* alone(whisperAgain, { state, order: rest }));
    if (!restChanged && !changed.includes(true)) break;
  }
  return yield* alone(labelTouched, { edges, labels: state.labels });
}

interface Whispers {
  /** Their scores become weights. */
  readonly links: Links;
  /** A label is the node that it came from [n]. */
  readonly labels: Int32Array;
  /** Weight of each node's links [n]. */
  readonly totals: Float64Array;
  /** A node whose neighbours hold what they held at its last visit would stay: 0 until one of them changes [n]. */
  readonly due: Uint8Array;
  /** In the first round: 0 for nodes not met, else `taken` or `waits` [n]. */
  readonly met: Uint8Array;
}

const taken = 1;
const waits = 2;

interface WeighInput extends NodeRange {
  readonly edges: ScoredEdges;
  readonly state: Whispers;
}

export function weigh({ edges, state: { links, labels, totals, due }, from, to }: WeighInput): void {
  lowestScore(edges, from, to);
  const { offsets, scores } = links;
  for (let node = from; node < to; node++) {
    let total = 0;
    for (let i = offsets[node]; i < offsets[node + 1]; i++) {
      scores[i] = Math.round(scores[i] / weightUnit) * weightUnit;
      total += scores[i];
    }
    totals[node] = total;
    labels[node] = node;
    due[node] = 1;
  }
}

interface WhisperInput extends NodeRange {
  readonly state: Whispers;
}

/** Visits the nodes [from, to) that need not wait for others. Returns the order in which it did. */
export function whisper({ state, from, to }: WhisperInput): Int32Array {
  return new Whispering(state).first(from, to);
}

/** Visits the nodes that had to wait. */
export function whisperRest(state: Whispers): Int32Array {
  const { met } = state;
  for (let node = 0; node < met.length; node++) if (met[node] === waits) met[node] = 0;
  return new Whispering(state).first(0, met.length);
}

/** Visits all nodes once more. False when none of them changed its label. */
export function whisperAgain({ state, order }: { readonly state: Whispers; readonly order: Int32Array }): boolean {
  return new Whispering(state).again(order);
}

export function labelTouched({ edges, labels }: { readonly edges: ScoredEdges; readonly labels: Int32Array }) {
  const touched = touchedNodes(edges);
  for (let node = 0; node < labels.length; node++) if (touched[node] === 0) labels[node] = -1;
  relabel(labels);
  return labels;
}

class Whispering {
  /** Weight of each label around a node that is visited; all 0 between visits [n]. */
  private readonly heard: Float64Array;

  constructor(private readonly state: Whispers) {
    this.heard = new Float64Array(state.labels.length);
  }

  first(from: number, to: number): Int32Array {
    const { met, links } = this.state;
    const { offsets, neighbours } = links;
    const order = sharedInts(to - from);
    let visited = 0;
    // Nodes with lighter neighbours to be visited before, and how many of their neighbours have been looked at.
    const path = new Int32Array(to - from);
    const looked = new Uint32Array(to - from);
    for (let node = from; node < to; node++) {
      if (met[node] !== 0) continue;
      met[node] = taken;
      path[0] = node;
      for (let height = 1; height > 0; ) {
        const top = path[height - 1];
        const start = offsets[top];
        const end = offsets[top + 1];
        let i = start + looked[top - from];
        let mustWait = false;
        for (; i < end; i++) {
          const other = neighbours[i];
          const inside = other >= from && other < to;
          if ((inside && met[other] === taken) || !this.lighter(other, top)) continue;
          mustWait = !inside || met[other] === waits;
          break;
        }
        if (mustWait) {
          // So must all that wait for this one.
          while (height > 0) met[path[--height]] = waits;
        } else if (i < end) {
          looked[top - from] = i + 1 - start;
          met[neighbours[i]] = taken;
          path[height++] = neighbours[i];
        } else {
          height--;
          order[visited++] = top;
          this.visit(top);
        }
      }
    }
    return order.subarray(0, visited);
  }

  again(order: Int32Array): boolean {
    const { due } = this.state;
    let changed = false;
    for (let i = 0; i < order.length; i++) if (due[order[i]] === 1 && this.visit(order[i])) changed = true;
    return changed;
  }

  private visit(node: number): boolean {
    const { due, labels, links } = this.state;
    const { offsets, neighbours } = links;
    due[node] = 0;
    const label = this.loudest(node);
    if (label === labels[node]) return false;
    labels[node] = label;
    for (let i = offsets[node]; i < offsets[node + 1]; i++) due[neighbours[i]] = 1;
    return true;
  }

  /** The label of the largest weight among a node's neighbours. */
  private loudest(node: number): number {
    const { heard } = this;
    const { labels, links } = this.state;
    const { offsets, neighbours, scores } = links;
    const start = offsets[node];
    const end = offsets[node + 1];
    for (let i = start; i < end; i++) heard[labels[neighbours[i]]] += scores[i];
    let best = labels[node];
    let most = heard[best];
    let own = true;
    for (let i = start; i < end; i++) {
      const label = labels[neighbours[i]];
      if (heard[label] > most || (heard[label] === most && !own && this.lighter(best, label))) {
        best = label;
        most = heard[label];
        own = false;
      }
    }
    for (let i = start; i < end; i++) heard[labels[neighbours[i]]] = 0;
    return best;
  }

  /** By total weight; of equals, the larger number is the lighter: of tied labels the one of the lowest node wins. */
  private lighter(a: number, b: number): boolean {
    const { totals } = this.state;
    return totals[a] < totals[b] || (totals[a] === totals[b] && a > b);
  }
}
