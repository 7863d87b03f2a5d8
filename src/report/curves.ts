/** The distribution of the scores of a run: edges by score, and the components at every threshold. */
import type { ScoredEdges } from '../cluster/scored-edges.js';
import { sweepPlan } from '../evaluation/sweep.js';
import { type Plan, runPlan } from '../execution/plan.js';

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
/** No score reaches this threshold, at which all nodes that edges touch are alone. */
const aboveAll = 2;

/** Throws BAD_INPUT for a score that is NaN, or a truth that knows no node. */
export function curvesOf(edges: ScoredEdges, truth?: Int32Array): ScoreCurves {
  return runPlan(curvesPlan(edges, 1, truth));
}

/** The same in steps, over arrays in shared memory. */
export function* curvesPlan(edges: ScoredEdges, threads: number, truth?: Int32Array): Plan<ScoreCurves> {
  const { scores } = edges;
  const found = yield* sweepPlan(edges, { truth, thresholds: [...thresholds, aboveAll] }, threads);
  const touched = found[thresholds.length].singletons;
  const points = found.slice(0, thresholds.length).map(
    ({ threshold, clusters, singletons, largest, bcubed, pairwise }): CurvePoint => ({
      threshold,
      clusters,
      rows: touched - singletons,
      largest,
      ...(bcubed && { bcubedF: bcubed.f }),
      ...(pairwise && { pairwiseF: pairwise.f }),
    }),
  );
  const histogram = new Float64Array(bins);
  for (let e = 0; e < scores.length; e++) histogram[Math.max(0, Math.min(bins - 1, (scores[e] * bins) | 0))]++;
  return { histogram: Array.from(histogram), points };
}
