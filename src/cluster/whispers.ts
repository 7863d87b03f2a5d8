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
 */
import { NaanError } from '../errors.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { type Links, linksOf } from './links.js';
import { alone, type Plan, runPlan } from './plan.js';
import { relabel } from './relabel.js';
import { lowestScore, type ScoredEdges, sharedInts, touchedNodes, withScores } from './scored-edges.js';

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

/** The same in steps. */
export function* whispersPlan(edges: ScoredEdges, options: WhispersOptions, threads: number): Plan<Int32Array> {
  const { threshold, maxIterations } = options;
  if (Number.isNaN(threshold)) throw new NaanError('BAD_USAGE', 'threshold: got NaN, expected a number');
  if (!(maxIterations >= 1))
    throw new NaanError('BAD_USAGE', `max iterations: got ${maxIterations}, expected 1 or more`);
  const links = yield* linksOf(edges, { threshold }, threads);
  return yield* alone(whisper, { edges, links, maxIterations });
}

interface WhisperInput {
  readonly edges: ScoredEdges;
  /** Their scores become weights. */
  readonly links: Links;
  readonly maxIterations: number;
}

export function whisper({ edges, links, maxIterations }: WhisperInput): Int32Array {
  const { nodeCount } = edges;
  lowestScore(edges, 0, nodeCount);
  const { scores } = links;
  for (let i = 0; i < scores.length; i++) scores[i] = Math.round(scores[i] / weightUnit) * weightUnit;
  const whispering = new Whispering(nodeCount, links);
  const order = whispering.first();
  for (let iteration = 1; iteration < maxIterations; iteration++) if (!whispering.again(order)) break;

  const { labels } = whispering;
  const touched = touchedNodes(edges);
  for (let node = 0; node < nodeCount; node++) if (touched[node] === 0) labels[node] = -1;
  relabel(labels);
  return labels;
}

class Whispering {
  /** A label is the node that it came from. */
  readonly labels: Int32Array;
  private readonly totals: Float64Array;
  private readonly heard: Float64Array;
  /** A node whose neighbours hold what they held at its last visit would stay: 0 until one of them changes. */
  private readonly due: Uint8Array;

  constructor(
    private readonly nodeCount: number,
    private readonly links: Links,
  ) {
    this.labels = sharedInts(nodeCount);
    for (let node = 0; node < nodeCount; node++) this.labels[node] = node;
    this.totals = totalWeights(links, nodeCount);
    this.heard = new Float64Array(nodeCount);
    this.due = new Uint8Array(nodeCount).fill(1);
  }

  /**
   * Visits all nodes, and returns the order in which it did. From the lightest to the heaviest would jump about in memory;
   * but of two visits only those to neighbours can tell which came first, so that any order in which lighter neighbours come
   * before heavier ones gives the same. This one takes nodes as they stand, after those of their neighbours that must come
   * before, and those after theirs.
   */
  first(): Int32Array {
    const { nodeCount } = this;
    const { offsets, neighbours } = this.links;
    const order = new Int32Array(nodeCount);
    let visited = 0;
    const met = new Uint8Array(nodeCount);
    // Nodes that wait for lighter neighbours, and how far their neighbours have been looked at.
    const waiting = new Int32Array(nodeCount);
    const cursors = offsets.slice(0, nodeCount);
    for (let node = 0; node < nodeCount; node++) {
      if (met[node] === 1) continue;
      met[node] = 1;
      waiting[0] = node;
      for (let height = 1; height > 0; ) {
        const top = waiting[height - 1];
        const end = offsets[top + 1];
        let i = cursors[top];
        while (i < end && (met[neighbours[i]] === 1 || !this.lighter(neighbours[i], top))) i++;
        cursors[top] = i + 1;
        if (i < end) {
          met[neighbours[i]] = 1;
          waiting[height++] = neighbours[i];
          continue;
        }
        height--;
        order[visited++] = top;
        this.visit(top);
      }
    }
    return order;
  }

  /** Visits all nodes once more. False when none of them changed its label. */
  again(order: Int32Array): boolean {
    const { due } = this;
    let changed = false;
    for (let i = 0; i < order.length; i++) if (due[order[i]] === 1 && this.visit(order[i])) changed = true;
    return changed;
  }

  private visit(node: number): boolean {
    const { due, labels } = this;
    const { offsets, neighbours } = this.links;
    due[node] = 0;
    const label = this.loudest(node);
    if (label === labels[node]) return false;
    labels[node] = label;
    for (let i = offsets[node]; i < offsets[node + 1]; i++) due[neighbours[i]] = 1;
    return true;
  }

  /** The label of the largest weight among a node's neighbours. `heard` [nodeCount] is all 0, and is so again after. */
  private loudest(node: number): number {
    const { labels, heard } = this;
    const { offsets, neighbours, scores } = this.links;
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
    const { totals } = this;
    return totals[a] < totals[b] || (totals[a] === totals[b] && a > b);
  }
}

function totalWeights({ offsets, scores }: Links, nodeCount: number): Float64Array {
  const totals = new Float64Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    for (let i = offsets[node]; i < offsets[node + 1]; i++) totals[node] += scores[i];
  }
  return totals;
}
