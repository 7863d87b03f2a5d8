/** How well a model does on identities that it was not trained on, and what to label with: the calibration. */
import { setImmediate } from 'node:timers/promises';
import { linkageMerges } from '../cluster/linkage.js';
import { type Partition, partitionDefaults, partitionEdges, partitions } from '../cluster/partition.js';
import { ScoringRun } from '../engine/scoring-run.js';
import { NaanError } from '../errors.js';
import { auc } from '../evaluation/auc.js';
import { evaluate } from '../evaluation/evaluate.js';
import { MergeScorer } from '../evaluation/merge-scorer.js';
import type { PrecisionRecall } from '../evaluation/precision-recall.js';
import { sweep } from '../evaluation/sweep.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { ConcatModel } from '../model/model.js';

/** A set of identities of its own, with a kNN graph of its own. */
export interface HeldOut {
  readonly features: MatrixLocation;
  readonly graph: KnnGraph;
  /** Identity of each node, −1 where not known. */
  readonly labels: Int32Array;
}

export interface Calibrated {
  readonly threshold: number;
  readonly bcubed: PrecisionRecall;
}

export interface Judgement {
  /** Candidate edges between nodes of known identity. */
  readonly edges: number;
  readonly auc: number;
  /** Share of them on the right side of 0.5. */
  readonly accuracy: number;
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
  /** The partition of the highest BCubed F, and the best threshold of each. */
  readonly partition: Partition;
  readonly partitions: Readonly<Record<Partition, Calibrated>>;
}

/** Scores the candidate edges of a held-out set just as labelling would, and judges the scores. Throws CANCELLED. */
export async function judge(
  model: ConcatModel,
  heldOut: HeldOut,
  options: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Judgement> {
  const { k1, k2, sampleHops } = model.config;
  const run = new ScoringRun({ ...options, model, k1, k2, sampleHops });
  try {
    run.load({ features: heldOut.features, layout: { graph: heldOut.graph }, uniteFrom: Number.POSITIVE_INFINITY });
    await run.buildEdges();
    await run.embedNodes();
    await run.scoreEdges();
    const measures = pairMeasures(run.edges, run.edges.scores, heldOut.labels);
    return { ...measures, ...(await calibrate(run.edges, heldOut.labels, options.signal)) };
  } finally {
    await run.close();
  }
}

type ScoredEdges = CandidateEdges & { readonly scores: Float32Array };

/** Scores are float32: further from 0 and 1 they cannot be told from these. */
const leastProbability = 2 ** -24;

function pairMeasures({ nodeCount, offsets, targets }: CandidateEdges, scores: Float32Array, labels: Int32Array) {
  const known = new Float32Array(scores.length);
  const same = new Uint8Array(scores.length);
  let edges = 0;
  let correct = 0;
  let loss = 0;
  for (let a = 0; a < nodeCount; a++) {
    for (let e = offsets[a]; e < offsets[a + 1]; e++) {
      const b = targets[e];
      if (labels[a] < 0 || labels[b] < 0) continue;
      const one = labels[a] === labels[b];
      known[edges] = scores[e];
      same[edges++] = one ? 1 : 0;
      if (scores[e] >= 0.5 === one) correct++;
      loss -= Math.log(Math.max(one ? scores[e] : 1 - scores[e], leastProbability));
    }
  }
  return { edges, auc: auc(known.subarray(0, edges), same), accuracy: correct / edges, loss: loss / edges };
}

const thresholds = Array.from({ length: 49 }, (_, i) => (i + 1) / 50);
/** On the curve of one partition, BCubed F that differ by less are equal. */
const indifference = 1e-3;
/** Between partitions, which make other mistakes, F has to differ by more: this much passes from fold to fold. */
const partitionMargin = 5e-3;
/** Of equals the first: what joins by means before what a single edge decides. */
const preference: readonly Partition[] = ['linkage', 'whispers', 'threshold', 'propagation'];

/**
 * The partition of the best BCubed F, and the threshold that each does best at. It looks up between partitions, for
 * signals. Throws CANCELLED after an abort.
 */
export async function calibrate(
  edges: ScoredEdges,
  truth: Int32Array,
  signal?: AbortSignal,
): Promise<Pick<Judgement, 'partition' | 'partitions'>> {
  const { scores } = edges;
  const tried = async (partition: Partition): Promise<Calibrated[]> => {
    if (partition === 'threshold') {
      const points = sweep(edges, scores, { truth, thresholds });
      return points.map(({ threshold, bcubed }) => ({ threshold, bcubed: bcubed! }));
    }
    if (partition === 'linkage') return linkageCuts(edges, truth);
    const curve: Calibrated[] = [];
    for (const threshold of thresholds) {
      await setImmediate();
      if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
      const labels = partitionEdges(edges, scores, partition, { ...partitionDefaults, threshold });
      curve.push({ threshold, bcubed: evaluate(labels, truth).all.bcubed });
    }
    return curve;
  };
  const curves: (readonly [Partition, Calibrated[]])[] = [];
  for (const name of partitions) curves.push([name, await tried(name)]);
  const found = Object.fromEntries(curves.map(([name, curve]) => [name, steadiest(curve)]));
  const tops = Object.fromEntries(curves.map(([name, curve]) => [name, Math.max(...smoothed(curve))]));
  const best = preference.reduce((a, b) => (tops[b] > tops[a] + partitionMargin ? b : a));
  return { partition: best, partitions: found as Record<Partition, Calibrated> };
}

/** One run down to the lowest threshold serves all. By rising threshold. */
function linkageCuts(edges: ScoredEdges, truth: Int32Array): Calibrated[] {
  const { firsts, seconds, alike } = linkageMerges(edges, edges.scores, { threshold: thresholds[0] });
  const scorer = new MergeScorer(edges.nodeCount, { firsts, seconds, count: alike.length }, truth);
  let count = 0;
  const cuts = thresholds.toReversed().map((threshold) => {
    while (count < alike.length && alike[count] >= threshold) count++;
    return { threshold, bcubed: scorer.after(count).bcubed };
  });
  return cuts.reverse();
}

/**
 * The middle between the first and the last threshold that are as good as the best one: about its top the curve is flat,
 * and where on the flat the highest point lies is chance.
 */
export function steadiest(points: readonly Calibrated[]): Calibrated {
  const smooth = smoothed(points);
  const least = Math.max(...smooth) - indifference;
  const first = smooth.findIndex((f) => f >= least);
  const last = smooth.findLastIndex((f) => f >= least);
  return points[(first + last) >> 1];
}

/** F, each with those beside it. */
function smoothed(points: readonly Calibrated[]): number[] {
  const f = (i: number) => points[Math.min(Math.max(i, 0), points.length - 1)].bcubed.f;
  return points.map((_, i) => (f(i - 1) + f(i) + f(i + 1)) / 3);
}
