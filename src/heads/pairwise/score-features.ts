/**
 * Features of a candidate edge {a, b} by the scores that a round before gave to the edges around it: do the two ends hold
 * the same nodes for their own identity?
 *
 * p the edge's score; x_v, y_v the scores of the edges {a, v}, {b, v} to any third node v, 0 where there is none;
 * m = Σ min(x, y), d = Σ x·y; S, Q of an end: the sum of its scores and of their squares, less p's part; s₁, s₃ of an
 * end: its best and third best score, p among them; "min, max" over the two ends; ℓ log-odds, of scores kept from
 * 10⁻⁴ to 1 − 10⁻⁴.
 *
 *   0       ℓ(p)
 *   1       (m + 2p) / (S_a + S_b + 2 − m)           weighted Jaccard, each end in its own neighbourhood
 *   2       log(m + 0.05)
 *   3       d / √(Q_a Q_b)                           cosine of the two score vectors
 *   4..5    d / min S, d / max S
 *   6       ℓ(max min(x, y))
 *   7..8    log(min S + 0.05), log(max S + 0.05)
 *   9..10   ℓ(p) − ℓ(min s₁), ℓ(p) − ℓ(max s₁)
 *   11..12  ℓ(p) − ℓ(min s₃), ℓ(p) − ℓ(max s₃)
 *   13..14  m / min S, m / max S
 *
 * Scores are whole multiples of 2⁻¹⁸ (`quantiseScore`), so sums over up to 2¹⁷ edges of a node are exact: they depend
 * neither on the order of edges nor on how nodes are numbered.
 */
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import type { ReverseEdges } from '../../graph/reverse-edges.js';
import { scoreFeatureCount } from '../../model/pairwise.js';
import { keyOfEdge } from './neighbour-lists.js';

const steps = 2 ** 18;

/** A score that features can be made of. */
export function quantiseScore(score: number): number {
  return Math.round(score * steps) / steps;
}

/** Values of a node's summary: S and Q with p, ℓ(s₁), ℓ(s₃). */
export const summaryWidth = 4;

/** Summaries of each end that features need, for nodes start .. end−1: → rows of out, float64 [n × 4]. */
export function summariseScores(
  { offsets }: CandidateEdges,
  reverse: ReverseEdges,
  scores: Float32Array,
  start: number,
  end: number,
  out: Float64Array,
): void {
  const best = new Float64Array(3);
  for (let node = start; node < end; node++) {
    let sum = 0;
    let squares = 0;
    best.fill(0);
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      sum += scores[e];
      squares += scores[e] * scores[e];
      if (scores[e] > best[2]) insert(best, scores[e]);
    }
    for (let i = reverse.offsets[node]; i < reverse.offsets[node + 1]; i++) {
      const score = scores[reverse.edges[i]];
      sum += score;
      squares += score * score;
      if (score > best[2]) insert(best, score);
    }
    out[node * summaryWidth] = sum;
    out[node * summaryWidth + 1] = squares;
    out[node * summaryWidth + 2] = logOdds(best[0]);
    out[node * summaryWidth + 3] = logOdds(best[2]);
  }
}

/** Keeps the three best in falling order. */
function insert(best: Float64Array, score: number): void {
  const at = score > best[0] ? 0 : score > best[1] ? 1 : 2;
  best.copyWithin(at + 1, at, 2);
  best[at] = score;
}

/** One thread's writer: keeps four bytes a node. */
export class ScoreFeatures {
  /** Scores of the edges of a, by their other end [n]. */
  private readonly ofA: Float32Array;

  /** `summaries` [n × 4]: to be there, for all nodes, before features are written. */
  constructor(
    private readonly edges: CandidateEdges,
    private readonly reverse: ReverseEdges,
    private readonly summaries: Float64Array,
  ) {
    this.ofA = new Float32Array(edges.nodeCount);
  }

  /** Features of edges ids[0..count), rising, by the quantised `scores` [E] → 15 columns of out [count × stride], from `column`. */
  write(
    ids: Int32Array,
    count: number,
    scores: Float32Array,
    out: Float32Array,
    stride: number = scoreFeatureCount,
    column = 0,
  ): void {
    if (count === 0) return;
    const { ofA, summaries } = this;
    const { offsets, targets } = this.edges;
    const { offsets: reverseOffsets, sources, edges: numbers } = this.reverse;
    let a = keyOfEdge(offsets, ids[0]);
    this.enter(a, scores);
    for (let i = 0; i < count; i++) {
      const e = ids[i];
      if (e >= offsets[a + 1]) {
        this.leave(a);
        while (e >= offsets[a + 1]) a++;
        this.enter(a, scores);
      }
      const b = targets[e];
      // b's edge to a itself is among these, but ofA[a] is 0.
      let shared = 0;
      let product = 0;
      let best = 0;
      const forwardEnd = offsets[b + 1];
      for (let f = offsets[b]; f < forwardEnd; f++) {
        const x = ofA[targets[f]];
        if (x === 0) continue;
        const y = scores[f];
        const both = x < y ? x : y;
        shared += both;
        product += x * y;
        if (both > best) best = both;
      }
      const reverseEnd = reverseOffsets[b + 1];
      for (let r = reverseOffsets[b]; r < reverseEnd; r++) {
        const x = ofA[sources[r]];
        if (x === 0) continue;
        const y = scores[numbers[r]];
        const both = x < y ? x : y;
        shared += both;
        product += x * y;
        if (both > best) best = both;
      }

      const p = scores[e];
      const ofB = b * summaryWidth;
      const inA = a * summaryWidth;
      const sumA = summaries[inA] - p;
      const sumB = summaries[ofB] - p;
      const low = Math.min(sumA, sumB);
      const high = Math.max(sumA, sumB);
      const odds = logOdds(p);
      const norms = (summaries[inA + 1] - p * p) * (summaries[ofB + 1] - p * p);
      const at = i * stride + column;
      out[at] = odds;
      out[at + 1] = (shared + 2 * p) / (sumA + sumB + 2 - shared);
      out[at + 2] = Math.log(shared + 0.05);
      out[at + 3] = product / (Math.sqrt(norms) + 1e-6);
      out[at + 4] = product / (low + 1e-3);
      out[at + 5] = product / (high + 1e-3);
      out[at + 6] = logOdds(best);
      out[at + 7] = Math.log(low + 0.05);
      out[at + 8] = Math.log(high + 0.05);
      out[at + 9] = odds - Math.min(summaries[inA + 2], summaries[ofB + 2]);
      out[at + 10] = odds - Math.max(summaries[inA + 2], summaries[ofB + 2]);
      out[at + 11] = odds - Math.min(summaries[inA + 3], summaries[ofB + 3]);
      out[at + 12] = odds - Math.max(summaries[inA + 3], summaries[ofB + 3]);
      out[at + 13] = shared / (low + 1e-3);
      out[at + 14] = shared / (high + 1e-3);
    }
    this.leave(a);
  }

  private enter(a: number, scores: Float32Array): void {
    const { offsets, targets } = this.edges;
    const { offsets: reverseOffsets, sources, edges: numbers } = this.reverse;
    for (let e = offsets[a]; e < offsets[a + 1]; e++) this.ofA[targets[e]] = scores[e];
    for (let i = reverseOffsets[a]; i < reverseOffsets[a + 1]; i++) this.ofA[sources[i]] = scores[numbers[i]];
  }

  /** Undoes `enter`, so that the table is 0 again at the cost of what was set. */
  private leave(a: number): void {
    const { offsets, targets } = this.edges;
    const { offsets: reverseOffsets, sources } = this.reverse;
    for (let e = offsets[a]; e < offsets[a + 1]; e++) this.ofA[targets[e]] = 0;
    for (let i = reverseOffsets[a]; i < reverseOffsets[a + 1]; i++) this.ofA[sources[i]] = 0;
  }
}

function logOdds(score: number): number {
  const kept = Math.min(Math.max(score, 1e-4), 1 - 1e-4);
  return Math.log(kept / (1 - kept));
}
