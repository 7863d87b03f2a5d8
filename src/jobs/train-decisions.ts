/** Decisions of people as truth to train on, and what they say of a model before and after. */
import { relabel } from '../cluster/relabel.js';
import type { ScoredEdges } from '../cluster/scored-edges.js';
import { type Truth, truthOf } from '../cluster/truth.js';
import { labelDefaults } from '../defaults.js';
import { auc } from '../evaluation/auc.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { Labels } from '../io/label-codes.js';
import { generalModel } from '../model/general.js';
import type { ModelConfig, NaanModel } from '../model/model.js';
import { readModel } from '../model/model-file.js';
import type { TrainOptions } from '../training/options.js';
import { constraintsOf, itemsFileOf, readDecidedRows } from './decided-rows.js';
import { label } from './label.js';
import { findItems } from './label-plan.js';

/** How scores agree with what was decided. */
interface DecidedAgreement {
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
  /** Area under the ROC curve; absent where all pairs are of one kind. */
  readonly auc?: number;
  /** Share of the pairs on the right side of the model's threshold. */
  readonly accuracy: number;
  readonly threshold: number;
}

/** On pairs of neighbours of which decisions alone say whether they are one identity. */
export interface DecidedComparison {
  readonly pairs: number;
  readonly same: number;
  /** The model that is compared with. */
  readonly model: string;
  readonly before: DecidedAgreement;
  /** Scores by networks that did not see the pairs. */
  readonly after: DecidedAgreement;
}

/** Labels, and decisions where there are any. Throws CONTRADICTION where they cannot all hold. */
export async function truthOfRows(
  options: TrainOptions,
  { rowCount, labels, labelsName }: { readonly rowCount: number; readonly labels: Labels; readonly labelsName: string },
): Promise<Truth> {
  const { decisions, onNotice } = options;
  const codes = labels.codes.slice();
  if (decisions === undefined) {
    relabel(codes);
    return { labels: codes };
  }
  const items = await findItems(options);
  const rows = { rowCount, items, itemsFile: itemsFileOf(options) };
  const decided = await readDecidedRows({ constraints: decisions }, rows, onNotice);
  return truthOf(constraintsOf({ ...decided!, labelled: { name: labelsName, labels } }).constraints);
}

interface KnownRows {
  readonly truth: Truth;
  /** Labels beside the decisions. */
  readonly labels: Labels;
  readonly graph: KnnGraph;
}

/** Pairs of neighbours a < b that decisions alone say of whether they are one identity, sorted, as the model before scores them. */
interface ScoredBefore {
  readonly path: string;
  readonly config: ModelConfig;
  readonly pairs: Int32Array;
  readonly scores: readonly number[];
}

/** Before hours of training. Throws as `label` does. */
export async function scoreBefore(options: TrainOptions, { truth, labels, graph }: KnownRows): Promise<ScoredBefore> {
  const { features, dim, threads, memory, signal } = options;
  const path = options.model ?? generalModel;
  const model = await readModel(path);
  const { edges } = await label({
    features,
    dim,
    knn: graph,
    model,
    threshold: labelDefaults.threshold,
    saveEdges: true,
    duplicates: 'keep',
    graphCheck: 'skip',
    threads,
    memory,
    signal,
  });
  const { codes } = labels;
  const pairs: number[] = [];
  const scores: number[] = [];
  edges!.scores.forEach((score, e) => {
    const [a, b] = edges!.pairs.subarray(2 * e, 2 * e + 2);
    if (relationOf(truth, a, b) === undefined || (codes[a] !== -1 && codes[b] !== -1)) return;
    pairs.push(a, b);
    scores.push(score);
  });
  return { path, config: model.config, pairs: Int32Array.from(pairs), scores };
}

/** Pairs of the rarer kind from which a threshold means something. */
const enoughPairs = 100;

/** Undefined, told, where no two neighbours are decided of. `scored`: by networks that did not see the pairs. */
export function compareOnDecisions(
  options: TrainOptions,
  before: ScoredBefore,
  {
    truth,
    labels,
    scored,
    model,
  }: {
    readonly truth: Truth;
    readonly labels: Labels;
    readonly scored: ScoredEdges;
    readonly model: NaanModel;
  },
): DecidedComparison | undefined {
  const same: number[] = [];
  const [earlier, later]: number[][] = [[], []];
  const placeOf = placesOf(scored);
  before.scores.forEach((score, p) => {
    const [a, b] = before.pairs.subarray(2 * p, 2 * p + 2);
    // The two models may look at different numbers of neighbours.
    const edge = placeOf(a, b);
    if (edge < 0) return;
    same.push(Number(relationOf(truth, a, b)));
    earlier.push(score);
    later.push(scored.scores[edge]);
  });
  if (same.length === 0) {
    options.onNotice?.(
      `${options.decisions}: decides of no two neighbours: nothing says how well models agree with it`,
    );
    return undefined;
  }
  const comparison: DecidedComparison = {
    pairs: same.length,
    same: same.filter((one) => one === 1).length,
    model: before.path,
    before: agreementOf(earlier, same, before.config),
    after: agreementOf(later, same, model.config),
  };
  const fewer = Math.min(comparison.same, comparison.pairs - comparison.same);
  if (fewer < enoughPairs && labels.codes.every((code) => code === -1)) {
    const kind = fewer === comparison.same ? 'one identity' : 'two identities';
    options.onNotice?.(
      `${options.decisions}: ${fewer} of ${comparison.pairs} pairs of neighbours are of ${kind}: the threshold is a guess, look at some clusters`,
    );
  }
  if (comparison.after.loss >= comparison.before.loss) {
    options.onNotice?.(
      `${before.path} agrees better with the decisions than the new model does: it takes more decisions, or more labels`,
    );
  }
  return comparison;
}

/** Whether two rows are one identity; undefined where that is not known. */
function relationOf({ labels, differences }: Truth, a: number, b: number): boolean | undefined {
  if (labels[a] < 0 || labels[b] < 0) return undefined;
  if (labels[a] === labels[b]) return true;
  return differences === undefined || differences.between(labels[a], labels[b]) ? false : undefined;
}

/** Finds the edge of a pair a < b, −1 where there is none. */
function placesOf({ offsets, targets }: ScoredEdges): (a: number, b: number) => number {
  return (a, b) => {
    const place = targets.subarray(offsets[a], offsets[a + 1]).indexOf(b);
    return place < 0 ? -1 : offsets[a] + place;
  };
}

/** Scores are float32: further from 0 and 1 they cannot be told from these. */
const leastProbability = 2 ** -24;

function agreementOf(scores: readonly number[], same: readonly number[], config: ModelConfig): DecidedAgreement {
  const threshold = config.threshold ?? labelDefaults.threshold;
  let loss = 0;
  let correct = 0;
  scores.forEach((score, i) => {
    loss -= Math.log(Math.max(same[i] === 1 ? score : 1 - score, leastProbability));
    if (score >= threshold === (same[i] === 1)) correct++;
  });
  const area = auc(Float32Array.from(scores), same);
  return {
    loss: loss / same.length,
    ...(!Number.isNaN(area) && { auc: area }),
    accuracy: correct / same.length,
    threshold,
  };
}
