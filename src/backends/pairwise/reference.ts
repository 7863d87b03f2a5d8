/** The oracle: plain loops over float64 sums. */
import type { MlpParameters, RoundNetworks } from '../../model/round-network.js';
import { featureLimit } from '../../model/round-network.js';
import type { PairwiseBackend, TileCapacity } from '../backend.js';
import { pairwiseLayout, roundOf } from '../stages.js';
import { allocateTile } from '../tile.js';

export async function createReference({ rounds }: RoundNetworks, capacity: TileCapacity): Promise<PairwiseBackend> {
  const tile = allocateTile(pairwiseLayout({ rounds }, capacity));
  return {
    name: 'reference',
    tile,
    async run(stage, count) {
      const parameters = rounds[roundOf(stage)];
      tile.logits.set(mlpLogits(parameters, tile.features.subarray(0, count * parameters.mean.length)));
    },
    async release() {},
  };
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
