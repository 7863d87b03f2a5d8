/**
 * The networks of a `pairwise` model, one a round: features are standardised and kept from −5 to 5, pass hidden layers with
 * ReLU, and end in one logit.
 */
import { type PairwiseModel, tensorOf } from './model.js';
import { featureCount } from './pairwise.js';

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

/** The part of a `pairwise` model that back-ends compute. */
export interface RoundNetworks {
  readonly rounds: readonly MlpParameters[];
}

/** Standardised features are kept within this. */
export const featureLimit = 5;

export function roundNetworks(model: PairwiseModel): RoundNetworks {
  return { rounds: Array.from({ length: model.config.rounds }, (_, round) => roundParameters(model, round)) };
}

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
