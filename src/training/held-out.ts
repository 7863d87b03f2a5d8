/** Judges a model on identities that it was not trained on. */
import { ScoringRun } from '../engine/scoring-run.js';
import { auc } from '../evaluation/auc.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { headOf } from '../heads/heads.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { ConcatModel } from '../model/model.js';
import { type Calibration, calibrate } from './calibration.js';

/** A set of identities of its own, with a kNN graph of its own. */
export interface HeldOut {
  readonly features: MatrixLocation;
  readonly graph: KnnGraph;
  /** Identity of each node, −1 where not known. */
  readonly labels: Int32Array;
}

/** Measures of the scores, and what to label with. */
export interface Judgement extends Calibration {
  /** Candidate edges between nodes of known identity. */
  readonly edges: number;
  readonly auc: number;
  /** Share of them on the right side of 0.5. */
  readonly accuracy: number;
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
}

/** Scores the candidate edges of a held-out set just as labelling would, and judges the scores. Throws CANCELLED. */
export async function judge(
  model: ConcatModel,
  heldOut: HeldOut,
  options: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Judgement> {
  const run = new ScoringRun({ ...options, model, head: headOf(model), hops: model.config });
  try {
    const { features, graph } = heldOut;
    await run.score({ features, layout: { graph }, uniteFrom: Number.POSITIVE_INFINITY });
    const measures = pairMeasures(run.edges, run.edges.scores, heldOut.labels);
    return { ...measures, ...(await calibrate(run.edges, heldOut.labels, options)) };
  } finally {
    await run.close();
  }
}

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
