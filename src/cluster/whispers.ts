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
import { relabel } from './relabel.js';
import { scoreRange, touchedNodes } from './scored-edges.js';

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
  const { threshold, maxIterations } = options;
  if (Number.isNaN(threshold)) throw new NaanError('BAD_USAGE', 'threshold: got NaN, expected a number');
  if (!(maxIterations >= 1))
    throw new NaanError('BAD_USAGE', `max iterations: got ${maxIterations}, expected 1 or more`);
  scoreRange(edges, scores);
  const { nodeCount } = edges;
  const links = bothWays(edges, scores, threshold);
  const order = lightestFirst(links, nodeCount);

  // A label is the place in the order of the node that it came from.
  const labels = new Int32Array(nodeCount);
  for (let place = 0; place < nodeCount; place++) labels[order[place]] = place;
  const heard = new Float64Array(nodeCount);
  // A node whose neighbours hold what they held at its last visit would stay: 0 until one of them changes.
  const due = new Uint8Array(nodeCount).fill(1);
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    let changes = 0;
    for (let place = 0; place < nodeCount; place++) {
      const node = order[place];
      if (due[node] === 0) continue;
      due[node] = 0;
      const label = loudest(links, node, labels, heard);
      if (label === labels[node]) continue;
      labels[node] = label;
      changes++;
      for (let i = links.offsets[node]; i < links.offsets[node + 1]; i++) due[links.neighbours[i]] = 1;
    }
    if (changes === 0) break;
  }

  const touched = touchedNodes(edges);
  for (let node = 0; node < nodeCount; node++) if (touched[node] === 0) labels[node] = -1;
  relabel(labels);
  return labels;
}

/** Edges at both of their ends: those of node p are offsets[p] .. offsets[p + 1]. */
interface Links {
  readonly offsets: Float64Array;
  readonly neighbours: Int32Array;
  readonly weights: Float32Array;
}

function bothWays({ nodeCount, offsets, targets }: CandidateEdges, scores: Float32Array, threshold: number): Links {
  const ends = new Float64Array(nodeCount + 1);
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      if (!(scores[e] >= threshold)) continue;
      ends[node + 1]++;
      ends[targets[e] + 1]++;
    }
  }
  for (let node = 0; node < nodeCount; node++) ends[node + 1] += ends[node];
  const cursor = ends.slice();
  const neighbours = new Int32Array(ends[nodeCount]);
  const weights = new Float32Array(neighbours.length);
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      if (!(scores[e] >= threshold)) continue;
      const here = cursor[node]++;
      const there = cursor[targets[e]]++;
      neighbours[here] = targets[e];
      neighbours[there] = node;
      weights[here] = Math.round(scores[e] / weightUnit) * weightUnit;
      weights[there] = weights[here];
    }
  }
  return { offsets: ends, neighbours, weights };
}

/** Nodes by rising total weight, equal ones by falling number: of tied labels the one of the lowest node wins. */
function lightestFirst({ offsets, weights }: Links, nodeCount: number): Int32Array {
  const totals = new Float64Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    for (let i = offsets[node]; i < offsets[node + 1]; i++) totals[node] += weights[i];
  }
  const order = Int32Array.from(totals, (_, node) => node);
  return order.sort((a, b) => totals[a] - totals[b] || b - a);
}

/** The label of the largest weight among a node's neighbours. `heard` [nodeCount] is all 0, and is so again after. */
function loudest(
  { offsets, neighbours, weights }: Links,
  node: number,
  labels: Int32Array,
  heard: Float64Array,
): number {
  const start = offsets[node];
  const end = offsets[node + 1];
  for (let i = start; i < end; i++) heard[labels[neighbours[i]]] += weights[i];
  let best = labels[node];
  let most = heard[best];
  let own = true;
  for (let i = start; i < end; i++) {
    const label = labels[neighbours[i]];
    if (heard[label] > most || (heard[label] === most && !own && label > best)) {
      best = label;
      most = heard[label];
      own = false;
    }
  }
  for (let i = start; i < end; i++) heard[labels[neighbours[i]]] = 0;
  return best;
}
