/** The distribution of the scores of a run: edges by score, and the components at every threshold. */
import { type ScoredEdges, touchedNodes } from '../cluster/scored-edges.js';
import { sweep } from '../evaluation/sweep.js';

export interface ScoreCurves {
  /** Edges by score, in bins of equal width from 0 to 1. */
  readonly histogram: readonly number[];
  readonly points: readonly CurvePoint[];
}

/** The components of the edges of a threshold or more. */
export interface CurvePoint {
  readonly threshold: number;
  readonly clusters: number;
  /** Rows that are not alone. */
  readonly rows: number;
  readonly largest: number;
  /** With a truth: F by both measures. */
  readonly bcubedF?: number;
  readonly pairwiseF?: number;
}

const bins = 50;
const thresholds = Array.from({ length: 101 }, (_, i) => i / 100);

/** Throws BAD_INPUT for a score that is NaN, or a truth that knows no node. */
export function curvesOf(edges: ScoredEdges, truth?: Int32Array): ScoreCurves {
  const { scores } = edges;
  const touched = touchedNodes(edges).reduce((sum, one) => sum + one, 0);
  const points = sweep(edges, scores, { truth, thresholds }).map(
    ({ threshold, clusters, singletons, largest, bcubed, pairwise }): CurvePoint => ({
      threshold,
      clusters,
      rows: touched - singletons,
      largest,
      ...(bcubed && { bcubedF: bcubed.f }),
      ...(pairwise && { pairwiseF: pairwise.f }),
    }),
  );
  const histogram: number[] = new Array(bins).fill(0);
  for (const score of scores) histogram[Math.max(0, Math.min(bins - 1, Math.floor(score * bins)))]++;
  return { histogram, points };
}
