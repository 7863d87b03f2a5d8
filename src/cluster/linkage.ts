/**
 * Agglomerative clustering of a sparse graph of scored edges. Two clusters A, B with c edges between them, of summed score
 * w, are alike by
 *
 *     w / √(c · |A| · |B|)
 *
 * the geometric mean of w / |A||B|, average linkage with absent pairs counted as 0 (UPGMA, Sneath & Sokal 1973), and of
 * w / c, the mean over edges that are there. The most alike pair is joined again and again, while it reaches a threshold.
 * A mean over pairs is not moved by one wrong edge, as components are, and it knows nothing of the rest of the graph, so
 * there is no resolution limit either.
 *
 * Joining never makes a cluster more alike to a third than its parts were (by Hölder's inequality), so that joining any
 * two clusters that are each other's most alike gives what joining the most alike pair of all would give, and one run
 * serves all thresholds above its own (Bruynooghe 1977, Murtagh 1983: nearest-neighbour chains). No heap is needed and
 * edges are added up when a cluster is looked at, not when its neighbours join. Ties go to the pair of the smaller
 * smallest node, then of the smaller other one.
 *
 * O(E) memory: 32 bytes an edge within components of score ≥ threshold. Time: each of about 3n looks walks the edges of
 * one cluster, O(E) in all while clusters are small beside the graph; a cluster that grows by one node at a time to m
 * nodes costs O(m²) of that.
 */
import { NaanError } from '../errors.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { DisjointSet } from './disjoint-set.js';
import { relabel } from './relabel.js';
import { checkScores, touchedNodes } from './scored-edges.js';

export interface LinkageOptions {
  /** Clusters less alike are not joined, > 0. */
  readonly threshold: number;
  /** Input number of each node where nodes were renumbered: decides ties, so that they do not depend on it. */
  readonly order?: Int32Array | undefined;
}

/** Joins from the most to the least alike: the clusters that hold firsts[m] and seconds[m] at alike[m]. */
export interface LinkageMerges {
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
  readonly alike: Float64Array;
}

/** Scores are whole multiples of this, so that sums over up to 2^33 edges are exact in any order. */
const scoreUnit = 2 ** -20;

/**
 * Labels [nodeCount] from `edges` and their `scores` [edgeCount], 0..1: clusters numbered by first appearance, −1 for a
 * node that no candidate edge touches.
 * Throws BAD_SHAPE when arrays do not fit, BAD_INPUT for a score that is NaN, BAD_USAGE for a threshold not above 0.
 */
export function linkage(edges: CandidateEdges, scores: Float32Array, options: LinkageOptions): Int32Array {
  const agglomeration = begin(edges, scores, options);
  agglomeration.run();
  const { order } = options;
  const touched = touchedNodes(edges);
  const labels = Int32Array.from(touched, (touched, p) => {
    return touched === 0 ? -1 : agglomeration.find(order ? order[p] : p);
  });
  relabel(labels);
  return labels;
}

/** All joins down to the threshold, for cutting at any higher one. Throws as `linkage` does. */
export function linkageMerges(edges: CandidateEdges, scores: Float32Array, options: LinkageOptions): LinkageMerges {
  const found = begin(edges, scores, options).run();
  const { order } = options;
  const falling = Uint32Array.from(found.alike, (_, m) => m).sort((x, y) => found.alike[y] - found.alike[x] || x - y);
  const node = order ? inverse(order) : undefined;
  const pick = (names: number[]) => Int32Array.from(falling, (m) => (node ? node[names[m]] : names[m]));
  return {
    firsts: pick(found.firsts),
    seconds: pick(found.seconds),
    alike: Float64Array.from(falling, (m) => found.alike[m]),
  };
}

function begin(edges: CandidateEdges, scores: Float32Array, { threshold, order }: LinkageOptions): Agglomeration {
  if (!(threshold > 0))
    throw new NaanError('BAD_USAGE', `linkage threshold: got ${threshold}, expected a number above 0`);
  checkScores(edges, scores);
  if (order && order.length !== edges.nodeCount) {
    throw new NaanError('BAD_SHAPE', `order: got ${order.length} nodes, expected ${edges.nodeCount}`);
  }
  return new Agglomeration(edges, scores, threshold, order);
}

/** Nodes go by their input number here, and clusters by that of their smallest node, their root. */
class Agglomeration {
  /** Above a cluster's nodes; a root is its own [n]. */
  private readonly parents: Int32Array;
  private readonly sizes: Int32Array;
  /**
   * Edges at both ends: those of a node at starts[node] .. ends[node], each with the nodes it leads to, how many edges it
   * stands for and their score. A cluster has the edges of all of its nodes, which are chained by `next`, −1 at the end.
   */
  private readonly starts: Uint32Array;
  private readonly ends: Uint32Array;
  private readonly targets: Int32Array;
  private readonly counts: Int32Array;
  private readonly weights: Float64Array;
  private readonly next: Int32Array;
  private readonly tails: Int32Array;
  /** Edges of the cluster looked at, by root; all 0 between looks [n]. */
  private readonly countTo: Int32Array;
  private readonly weightTo: Float64Array;
  private readonly met: Int32Array;
  /** How alike the last cluster looked at and its nearest are. */
  private nearestAlike = 0;

  constructor(
    edges: CandidateEdges,
    scores: Float32Array,
    private readonly threshold: number,
    order: Int32Array | undefined,
  ) {
    const { nodeCount, offsets, targets } = edges;
    // No join reaches the threshold between nodes that no path of edges does: a mean is at most the largest score.
    const reachable = new DisjointSet(nodeCount);
    for (let p = 0; p < nodeCount; p++) {
      for (let e = offsets[p]; e < offsets[p + 1]; e++)
        if (rounded(scores[e]) >= threshold) reachable.unite(p, targets[e]);
    }
    const name = (p: number) => (order ? order[p] : p);
    const each = (visit: (a: number, b: number, score: number) => void) => {
      for (let p = 0; p < nodeCount; p++) {
        for (let e = offsets[p]; e < offsets[p + 1]; e++) {
          if (reachable.find(p) === reachable.find(targets[e])) visit(name(p), name(targets[e]), rounded(scores[e]));
        }
      }
    };
    const starts = new Uint32Array(nodeCount + 1);
    each((a, b) => {
      starts[a + 1]++;
      starts[b + 1]++;
    });
    for (let node = 0; node < nodeCount; node++) starts[node + 1] += starts[node];
    const ends = starts.slice(0, nodeCount);
    this.targets = new Int32Array(starts[nodeCount]);
    this.weights = new Float64Array(starts[nodeCount]);
    this.counts = new Int32Array(starts[nodeCount]).fill(1);
    each((a, b, score) => {
      this.targets[ends[a]] = b;
      this.weights[ends[a]++] = score;
      this.targets[ends[b]] = a;
      this.weights[ends[b]++] = score;
    });
    this.starts = starts;
    this.ends = ends;
    this.parents = Int32Array.from({ length: nodeCount }, (_, node) => node);
    this.tails = this.parents.slice();
    this.sizes = new Int32Array(nodeCount).fill(1);
    this.next = new Int32Array(nodeCount).fill(-1);
    this.countTo = new Int32Array(nodeCount);
    this.weightTo = new Float64Array(nodeCount);
    this.met = new Int32Array(nodeCount);
  }

  /** Follows nearest neighbours, each pair more alike than the one before, until two are each other's, and joins those. */
  run(): { firsts: number[]; seconds: number[]; alike: number[] } {
    const firsts: number[] = [];
    const seconds: number[] = [];
    const alike: number[] = [];
    const chain: number[] = [];
    for (let node = 0; node < this.parents.length; node++) {
      if (this.parents[node] !== node) continue;
      chain.push(node);
      while (chain.length > 0) {
        const top = chain[chain.length - 1];
        const nearest = this.nearest(top);
        if (nearest < 0) chain.pop();
        else if (nearest !== chain[chain.length - 2]) chain.push(nearest);
        else {
          const [root, other] = top < nearest ? [top, nearest] : [nearest, top];
          firsts.push(root);
          seconds.push(other);
          alike.push(this.nearestAlike);
          this.join(root, other);
          chain.length -= 2;
          if (chain.length === 0) chain.push(root);
        }
      }
    }
    return { firsts, seconds, alike };
  }

  /** The cluster most alike to this one, −1 when none reaches the threshold. */
  private nearest(cluster: number): number {
    const { starts, ends, targets, counts, weights, next, countTo, weightTo, met, sizes } = this;
    let metCount = 0;
    let entries = 0;
    for (let node = cluster; node >= 0; node = next[node]) {
      for (let i = starts[node]; i < ends[node]; i++) {
        entries++;
        const root = this.find(targets[i]);
        if (root === cluster) continue;
        if (countTo[root] === 0) met[metCount++] = root;
        countTo[root] += counts[i];
        weightTo[root] += weights[i];
      }
    }
    if (entries !== metCount) this.compact(cluster, metCount);

    let best = -1;
    let bestAlike = this.threshold;
    for (let m = 0; m < metCount; m++) {
      const root = met[m];
      const alike = weightTo[root] / Math.sqrt(countTo[root] * (sizes[cluster] * sizes[root]));
      countTo[root] = 0;
      weightTo[root] = 0;
      if (alike < bestAlike || (alike === bestAlike && best >= 0 && !comesFirst(cluster, root, best))) continue;
      best = root;
      bestAlike = alike;
    }
    this.nearestAlike = bestAlike;
    return best;
  }

  /** Puts the sums that were just made in the place of the cluster's edges. */
  private compact(cluster: number, metCount: number): void {
    const { starts, ends, targets, counts, weights, next, tails, countTo, weightTo, met } = this;
    let m = 0;
    let last = cluster;
    for (let node = cluster; node >= 0; node = next[node]) {
      let at = starts[node];
      for (; at < ends[node] && m < metCount; at++, m++) {
        targets[at] = met[m];
        counts[at] = countTo[met[m]];
        weights[at] = weightTo[met[m]];
      }
      if (at > starts[node]) last = node;
      ends[node] = at;
    }
    next[last] = -1;
    tails[cluster] = last;
  }

  private join(root: number, other: number): void {
    this.parents[other] = root;
    this.sizes[root] += this.sizes[other];
    this.next[this.tails[root]] = other;
    this.tails[root] = this.tails[other];
  }

  /** The smallest node of a node's cluster. */
  find(start: number): number {
    const { parents } = this;
    let node = start;
    while (parents[node] !== node) {
      parents[node] = parents[parents[node]];
      node = parents[node];
    }
    return node;
  }
}

/** Whether {cluster, a} comes before {cluster, b} among equals. */
function comesFirst(cluster: number, a: number, b: number): boolean {
  const smaller = Math.min(cluster, a) - Math.min(cluster, b);
  return smaller < 0 || (smaller === 0 && Math.max(cluster, a) < Math.max(cluster, b));
}

function rounded(score: number): number {
  return Math.round(score / scoreUnit) * scoreUnit;
}

function inverse(order: Int32Array): Int32Array {
  const positions = new Int32Array(order.length);
  for (let p = 0; p < order.length; p++) positions[order[p]] = p;
  return positions;
}
