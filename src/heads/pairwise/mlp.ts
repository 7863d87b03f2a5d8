/**
 * The network of one round: features are standardised and kept from −5 to 5, pass hidden layers with ReLU, and end in one
 * logit. Here its parameters, and the plain form of what `PairwiseMlp` runs.
 */

import { type PairwiseModel, tensorOf } from '../../model/model.js';
import { type CosineGuard, featureCount } from '../../model/pairwise.js';

export interface MlpLayer {
  /** [units × inputs] */
  readonly weight: Float32Array;
  /** [units] */
  readonly bias: Float32Array;
}

export interface MlpParameters {
  /** Mean of each feature, and one by its standard deviation [F]. */
  readonly mean: Float32Array;
  readonly scale: Float32Array;
  readonly layers: readonly MlpLayer[];
}

/** Standardised features are kept within this. */
export const featureLimit = 5;

export function roundParameters(model: PairwiseModel, round: number): MlpParameters {
  const at = `rounds.${round}`;
  const layers = Array.from({ length: model.config.hidden.length + 1 }, (_, layer) => ({
    weight: tensorOf(model, `${at}.${layer}.weight`),
    bias: tensorOf(model, `${at}.${layer}.bias`),
  }));
  return { mean: tensorOf(model, `${at}.mean`), scale: tensorOf(model, `${at}.scale`), layers };
}

/** Names of a round's parameters in the model, in the order of `featureCount(round)` inputs; the inverse of `roundParameters`. */
export function roundTensors(
  round: number,
  { mean, scale, layers }: MlpParameters,
): [name: string, shape: number[], data: Float32Array][] {
  const at = `rounds.${round}`;
  const inputs = featureCount(round);
  return [
    [`${at}.mean`, [inputs], mean],
    [`${at}.scale`, [inputs], scale],
    ...layers.flatMap(({ weight, bias }, layer): [string, number[], Float32Array][] => [
      [`${at}.${layer}.weight`, [bias.length, weight.length / bias.length], weight],
      [`${at}.${layer}.bias`, [bias.length], bias],
    ]),
  ];
}

/** Logits of features [rows × F], in plain loops over float64. */
export function mlpLogits({ mean, scale, layers }: MlpParameters, features: Float32Array): Float64Array {
  const inputs = mean.length;
  const logits = new Float64Array(features.length / inputs);
  for (let row = 0; row < logits.length; row++) {
    let values = Array.from(mean, (m, f) => {
      const standardised = (features[row * inputs + f] - m) * scale[f];
      return Math.min(Math.max(standardised, -featureLimit), featureLimit);
    });
    layers.forEach(({ weight, bias }, layer) => {
      values = Array.from(bias, (b, unit) => {
        const sum = values.reduce((total, value, i) => total + value * weight[unit * values.length + i], b);
        return layer < layers.length - 1 ? Math.max(sum, 0) : sum;
      });
    });
    logits[row] = values[0];
  }
  return logits;
}

/** The network of `PairwiseMlp`, computed by `mlpLogits`. */
export class PlainMlp {
  /** In: raw features [capacity × F]. */
  readonly features: Float32Array;
  /** Out: [capacity]. */
  readonly logits: Float32Array;

  constructor(
    private readonly parameters: MlpParameters,
    capacity: number,
  ) {
    this.features = new Float32Array(capacity * parameters.mean.length);
    this.logits = new Float32Array(capacity);
  }

  async run(count: number): Promise<void> {
    const { parameters, features, logits } = this;
    logits.set(mlpLogits(parameters, features.subarray(0, count * parameters.mean.length)));
  }

  async release(): Promise<void> {}
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** The score that a network's logit gives an edge of this cosine: at most what the guard allows. */
export function scoreOf(logit: number, cosine: number, guard: CosineGuard | undefined): number {
  const score = sigmoid(logit);
  if (guard === undefined || cosine >= guard.to) return score;
  return Math.min(score, Math.max(0, (cosine - guard.from) / (guard.to - guard.from)));
}
