/**
 * Features of a candidate edge {a, b} that the kNN graph alone gives: where each end stands in the list of the other,
 * and how much the two lists share. They are symmetric in the pair and know no identity and no dimension, so they carry
 * over to identities and sets never seen.
 *
 * N(x): the first k neighbours of x by falling cosine; c the cosine of a and b (0 when neither lists the other);
 * "min, max" over the two ends. Lists are cut at h = 5, 10 and k, cosines below 0 count as 0, and a node stands in its own
 * list with cosine 1.
 *
 *   0       c
 *   1..2    log of the smaller and the larger rank of one end in the list of the other, k + 1 when absent
 *   3..5    weighted Jaccard of the lists cut at h: Σ min(x, y) / Σ max(x, y)
 *   6..8    c less the smaller of the ends' mean cosines to their first 1, 5 and k neighbours
 *   9..11   c less the larger
 *   12..13  the best path over one common neighbour v, max min(cos av, cos bv), and c less that
 *   14..15  smaller and larger number of the first 10 neighbours of one end that list the other
 *
 * Sums run by rank in the lists of a and of b, where a is the end of smaller input number, so that they do not depend on
 * how nodes are numbered inside the engine, nor on which thread asks.
 */
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import type { ReverseEdges } from '../../graph/reverse-edges.js';
import { structuralFeatureCount } from '../../model/pairwise.js';
import { keyOfEdge, type NeighbourLists } from './neighbour-lists.js';

const horizons = [5, 10];
/** First neighbours of an end that are asked whether they list the other. */
export const pathHops = 10;

/** Values of a list's summary: mean cosine to the first 1, 5 and k neighbours, then its weight cut at each h. */
export const listSummaryWidth = 6;

/** Summaries of each list that features need, for nodes start .. end−1: → rows of out, float32 [n × 6]. */
export function summariseLists(lists: NeighbourLists, k: number, start: number, end: number, out: Float32Array): void {
  const { ids, similarities, width } = lists;
  for (let node = start; node < end; node++) {
    const row = node * width;
    const at = node * listSummaryWidth;
    let rank = 1;
    let sum = 0;
    let weight = 1;
    for (let h = 0; h < 3; h++) {
      const last = h < 2 ? Math.min(horizons[h], k) : k;
      for (; rank <= last && ids[row + rank] >= 0; rank++) {
        sum += similarities[row + rank];
        weight += Math.max(0, similarities[row + rank]);
      }
      if (h !== 1) out[at + 1 + h / 2] = rank > 1 ? sum / (rank - 1) : 0;
      out[at + 3 + h] = weight;
    }
    out[at] = ids[row + 1] >= 0 ? similarities[row + 1] : 0;
  }
}

/** Whether a node lists another. */
const [no, yes, unknown] = [0, 1, 2];

/** One thread's writer: keeps three bytes a node. */
export class StructuralFeatures {
  /** Places of the nodes in the list of a, from 1; 0 when absent [n]. */
  private readonly ranks: Uint8Array;
  /** The number of first neighbours that list each node [n]. */
  private readonly paths: Uint8Array;
  /** Cosines of a, those below 0 as 0, by place from 1 [k + 1]. */
  private readonly weights: Float64Array;
  /** Whether each node lists a [n]: `otherwise` but for the nodes of `looked`. */
  private readonly listers: Uint8Array;
  private readonly otherwise: number;
  private readonly looked: number[] = [];
  private readonly logRanks: Float64Array;
  /** 0, 1, 2: the tightest horizon that a place, from 1, lies within [k + 1]. */
  private readonly horizonOf: Uint8Array;

  /**
   * `edges`: keyed by the end of smaller input number. `summaries` [n × 6]: of all nodes, before features are written.
   * k: neighbours of a list that count, at most 254. `reverse`: where each of these has an edge with its list's node, the edges
   * at their other end; then only nodes that an edge leads to can list a node.
   */
  constructor(
    private readonly lists: NeighbourLists,
    private readonly edges: CandidateEdges,
    private readonly summaries: Float32Array,
    private readonly k: number,
    private readonly reverse?: ReverseEdges,
  ) {
    this.otherwise = reverse ? no : unknown;
    this.ranks = new Uint8Array(lists.nodeCount);
    this.paths = new Uint8Array(lists.nodeCount);
    this.listers = new Uint8Array(lists.nodeCount).fill(this.otherwise);
    this.weights = new Float64Array(k + 1);
    this.logRanks = Float64Array.from({ length: k + 2 }, (_, rank) => Math.log(rank));
    this.horizonOf = Uint8Array.from({ length: k + 1 }, (_, rank) => horizons.filter((h) => rank > h).length);
  }

  /** Features of edges ids[0..count), rising → the first 16 columns of out [count × stride]. */
  write(ids: Int32Array, count: number, out: Float32Array, stride: number = structuralFeatureCount): void {
    if (count === 0) return;
    const { offsets, targets } = this.edges;
    const { ids: listed, similarities, width } = this.lists;
    const { ranks, paths, weights, summaries, logRanks, horizonOf, k } = this;
    let a = keyOfEdge(offsets, ids[0]);
    this.enter(a);
    for (let i = 0; i < count; i++) {
      const e = ids[i];
      if (e >= offsets[a + 1]) {
        this.leave(a);
        while (e >= offsets[a + 1]) a++;
        this.enter(a);
      }
      const b = targets[e];
      const row = b * width + 1;
      const rankOfB = ranks[b];
      let rankOfA = k + 1;
      let cosine = rankOfB > 0 ? similarities[a * width + rankOfB] : 0;
      // The neighbours that the two lists share, by the tightest horizon that both places lie within.
      let shared5 = 0;
      let shared10 = 0;
      let sharedK = 0;
      if (rankOfB > 0) {
        const both = Math.min(1, weights[rankOfB]);
        if (horizonOf[rankOfB] === 0) shared5 = both;
        else if (horizonOf[rankOfB] === 1) shared10 = both;
        else sharedK = both;
      }
      let best = 0;
      for (let q = 0; q < k; q++) {
        const v = listed[row + q];
        if (v < 0) break;
        const y = Math.max(0, similarities[row + q]);
        let both: number;
        let rank = q + 1;
        if (v === a) {
          rankOfA = rank;
          cosine = similarities[row + q];
          both = Math.min(1, y);
        } else {
          const rankInA = ranks[v];
          if (rankInA === 0) continue;
          both = Math.min(weights[rankInA], y);
          if (both > best) best = both;
          if (rankInA > rank) rank = rankInA;
        }
        if (horizonOf[rank] === 0) shared5 += both;
        else if (horizonOf[rank] === 1) shared10 += both;
        else sharedK += both;
      }
      shared10 += shared5;
      sharedK += shared10;
      const pathsFromA = paths[b];
      const pathsFromB = this.pathsTo(a, b);

      const ofA = a * listSummaryWidth;
      const ofB = b * listSummaryWidth;
      const at = i * stride;
      const absentB = rankOfB > 0 ? rankOfB : k + 1;
      out[at] = cosine;
      out[at + 1] = logRanks[Math.min(absentB, rankOfA)];
      out[at + 2] = logRanks[Math.max(absentB, rankOfA)];
      out[at + 3] = shared5 / (summaries[ofA + 3] + summaries[ofB + 3] - shared5);
      out[at + 4] = shared10 / (summaries[ofA + 4] + summaries[ofB + 4] - shared10);
      out[at + 5] = sharedK / (summaries[ofA + 5] + summaries[ofB + 5] - sharedK);
      for (let m = 0; m < 3; m++) {
        out[at + 6 + m] = cosine - Math.min(summaries[ofA + m], summaries[ofB + m]);
        out[at + 9 + m] = cosine - Math.max(summaries[ofA + m], summaries[ofB + m]);
      }
      out[at + 12] = best;
      out[at + 13] = cosine - best;
      out[at + 14] = Math.min(pathsFromA, pathsFromB);
      out[at + 15] = Math.max(pathsFromA, pathsFromB);
    }
    this.leave(a);
  }

  private enter(a: number): void {
    const { ids, similarities, width } = this.lists;
    const { ranks, paths, weights, k, reverse } = this;
    const row = a * width;
    if (reverse) {
      const { offsets, targets } = this.edges;
      for (let e = offsets[a]; e < offsets[a + 1]; e++) this.look(targets[e], unknown);
      for (let i = reverse.offsets[a]; i < reverse.offsets[a + 1]; i++) this.look(reverse.sources[i], unknown);
    }
    for (let rank = 1; rank <= k; rank++) {
      const v = ids[row + rank];
      if (v < 0) break;
      ranks[v] = rank;
      weights[rank] = Math.max(0, similarities[row + rank]);
      if (rank > pathHops) continue;
      for (let q = v * width + 1; q <= v * width + k && ids[q] >= 0; q++) paths[ids[q]]++;
    }
  }

  /** Undoes `enter`, so that the tables are 0 again at the cost of what was set. */
  private leave(a: number): void {
    const { ids, width } = this.lists;
    const { ranks, paths, k } = this;
    const row = a * width;
    for (const v of this.looked) this.listers[v] = this.otherwise;
    this.looked.length = 0;
    for (let rank = 1; rank <= k; rank++) {
      const v = ids[row + rank];
      if (v < 0) break;
      ranks[v] = 0;
      if (rank > pathHops) continue;
      for (let q = v * width + 1; q <= v * width + k && ids[q] >= 0; q++) paths[ids[q]] = 0;
    }
  }

  private look(v: number, answer: number): void {
    this.listers[v] = answer;
    this.looked.push(v);
  }

  /** The number of first neighbours of b that list a. Ends of a's edges have neighbours in common: each is looked at once. */
  private pathsTo(a: number, b: number): number {
    const { ids, width } = this.lists;
    const { k, listers } = this;
    const row = b * width;
    const last = Math.min(pathHops, k);
    let found = 0;
    for (let rank = 1; rank <= last; rank++) {
      const v = ids[row + rank];
      if (v < 0) break;
      if (listers[v] === unknown) {
        let answer = no;
        const end = v * width + k;
        for (let q = v * width + 1; q <= end; q++) {
          if (ids[q] !== a) continue;
          answer = yes;
          break;
        }
        this.look(v, answer);
      }
      found += listers[v];
    }
    return found;
  }
}
