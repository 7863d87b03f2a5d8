/** The stages on the TensorFlow.js API. Weights are uploaded once; every tensor of a call dies with it. */
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { featureLimit, type MlpParameters, type RoundNetworks } from '../../model/round-network.js';
import type { PairwiseBackend, TileCapacity } from '../backend.js';
import { pairwiseLayout, roundOf } from '../stages.js';
import { loadTfjs } from '../tfjs-library.js';
import { allocateTile } from '../tile.js';

export async function createTfjs({ rounds }: RoundNetworks, capacity: TileCapacity): Promise<PairwiseBackend> {
  const { tf, device } = await loadTfjs();
  const tile = allocateTile(pairwiseLayout({ rounds }, capacity));
  const upload = ({ mean, scale, layers }: MlpParameters) => ({
    mean: tf.tensor1d(mean),
    scale: tf.tensor1d(scale),
    /** Weights [units × inputs] as [inputs × units], the order that multiplies without a transpose. */
    layers: layers.map(({ weight, bias }) => ({
      weight: tf.tidy(() => tf.transpose(tf.tensor2d(weight, [bias.length, weight.length / bias.length]))),
      bias: tf.tensor1d(bias),
    })),
  });
  const networks = rounds.map(upload);

  return {
    name: 'tfjs',
    provider: device,
    tile,
    async run(stage, count) {
      const { mean, scale, layers } = networks[roundOf(stage)];
      const inputs = mean.size;
      const logits = tf.tidy(() => {
        const x = tf.tensor2d(tile.features.subarray(0, count * inputs), [count, inputs]);
        const standardised = tf.mul<Tensor2D>(tf.sub(x, mean), scale);
        let values: Tensor2D = tf.clipByValue(standardised, -featureLimit, featureLimit);
        for (const [l, { weight, bias }] of layers.entries()) {
          const activation = l < layers.length - 1 ? 'relu' : 'linear';
          values = tf.fused.matMul({ a: values, b: weight, bias, activation }) as Tensor2D;
        }
        return values.dataSync<'float32'>();
      });
      tile.logits.set(logits);
    },
    async release() {
      tf.dispose(networks.map(({ layers, ...standard }) => [standard, layers]));
    },
  };
}
