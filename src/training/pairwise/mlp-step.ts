/**
 * One training step of the network of a round (`src/model/round-network.ts`) as one ONNX Runtime graph: features to logits,
 * mean binary cross-entropy, and its gradient for every weight and bias.
 *
 *   h₀ = clip((x − mean) · scale)    z_l = h_l W_lᵀ + b_l    h_{l+1} = ReLU(z_l)    p = sigmoid(z of the last layer)
 *   ∂z = (p − t) / B in the last     ∂W_l = ∂z_lᵀ h_l        ∂b_l = Σ ∂z_l          ∂z_{l−1} = (∂z_l W_l) where h_l > 0
 *
 * B pairs, F features. Parameters lie end to end in one array: W₀, b₀, W₁, b₁ …
 */

import { constant, node, onnxModel, type Port } from '../../kernels/onnx-graph.js';
import { InferenceSession, Tensor } from '../../kernels/onnx-runtime.js';
import { oneThread } from '../../kernels/onnx-session.js';
import { featureLimit, type MlpLayer } from '../../model/round-network.js';

/** max(0, min(1, alpha · h)): after ReLU 1 where h > 0, else 0, in a fraction of the time that Sign takes. */
const step = { alpha: { float: 3e38 }, beta: { float: 0 } };

export class MlpStep {
  /** Inputs: raw features [B × F] and targets, 1 for one identity, else 0 [B]. */
  readonly features: Float32Array;
  readonly targets: Float32Array;
  /** Out: logits [B], and the gradient of each parameter. */
  readonly logits: Float32Array;
  readonly gradients: Float32Array;
  private readonly ones: Float32Array;

  private constructor(
    private readonly session: InferenceSession,
    /** Units of each layer, beginning with the features. */
    readonly units: readonly number[],
    readonly batch: number,
  ) {
    this.features = new Float32Array(batch * units[0]);
    this.targets = new Float32Array(batch);
    this.logits = new Float32Array(batch);
    this.ones = new Float32Array(batch).fill(1);
    this.gradients = new Float32Array(this.parameterCount);
  }

  /** `units`: features, then units of each layer, the last 1. `batch`: pairs of every step. */
  static async create(units: readonly number[], batch: number): Promise<MlpStep> {
    const layers = units.length - 1;
    const last = layers - 1;
    const nodes = [
      node('Sub', ['x', 'mean'], ['centred']),
      node('Mul', ['centred', 'scale'], ['scaled']),
      node('Clip', ['scaled', 'low', 'high'], ['h0']),
    ];
    for (let l = 0; l < layers; l++) {
      nodes.push(node('Gemm', [`h${l}`, `W${l}`, `b${l}`], [l === last ? 'logits' : `z${l}`], { transB: 1 }));
      if (l < last) nodes.push(node('Relu', [`z${l}`], [`h${l + 1}`]));
    }
    nodes.push(
      node('Sigmoid', ['logits'], ['p']),
      node('Sub', ['p', 't'], ['error']),
      node('Mul', ['error', 'share'], [`dz${last}`]),
    );
    for (let l = last; l >= 0; l--) {
      nodes.push(node('Gemm', [`dz${l}`, `h${l}`], [`dW${l}`], { transA: 1 }));
      nodes.push(node('Gemm', ['ones', `dz${l}`], [`db${l}`], { transA: 1 }));
      if (l === 0) break;
      nodes.push(
        node('MatMul', [`dz${l}`, `W${l}`], [`dh${l}`]),
        node('HardSigmoid', [`h${l}`], [`active${l}`], step),
        node('Mul', [`dh${l}`, `active${l}`], [`dz${l - 1}`]),
      );
    }
    const parameters = (prefix: string, biasShape: (size: number) => number[]): Port[] =>
      Array.from({ length: layers }, (_, l): Port[] => [
        [`${prefix}W${l}`, [units[l + 1], units[l]]],
        [`${prefix}b${l}`, biasShape(units[l + 1])],
      ]).flat();
    const model = onnxModel({
      nodes,
      constants: [
        constant('low', [], Float32Array.of(-featureLimit)),
        constant('high', [], Float32Array.of(featureLimit)),
        constant('share', [], Float32Array.of(1 / batch)),
      ],
      inputs: [
        ['x', [batch, units[0]]],
        ['t', [batch, 1]],
        ['ones', [batch, 1]],
        ['mean', [batch, units[0]]],
        ['scale', [batch, units[0]]],
        ...parameters('', (size) => [size]),
      ],
      outputs: [['logits', [batch, 1]], ...parameters('d', (size) => [1, size])],
    });
    return new MlpStep(await InferenceSession.create(model, oneThread), units, batch);
  }

  get parameterCount(): number {
    return this.units.slice(1).reduce((sum, size, l) => sum + size * (this.units[l] + 1), 0);
  }

  /** Fills `logits` and `gradients`; returns the mean loss in nats. mean, scale [F]. */
  run(parameters: Float32Array, mean: Float32Array, scale: Float32Array): Promise<number> {
    return this.on(parameters, mean, scale)();
  }

  /** Binds `run` to these arrays; the result computes as often as it is called. */
  on(parameters: Float32Array, mean: Float32Array, scale: Float32Array): () => Promise<number> {
    const { batch, units } = this;
    // Broadcast here once: rows of a few values are slow to broadcast in every step.
    const forEachPair = (values: Float32Array) =>
      tensor(
        Float32Array.from({ length: batch * values.length }, (_, i) => values[i % values.length]),
        batch,
        units[0],
      );
    const feeds: Record<string, Tensor> = {
      x: tensor(this.features, batch, units[0]),
      t: tensor(this.targets, batch, 1),
      ones: tensor(this.ones, batch, 1),
      mean: forEachPair(mean),
      scale: forEachPair(scale),
    };
    const fetches: Record<string, Tensor> = { logits: tensor(this.logits, batch, 1) };
    const gradients = layersOf(this.gradients, units);
    layersOf(parameters, units).forEach(({ weight, bias }, l) => {
      feeds[`W${l}`] = tensor(weight, bias.length, units[l]);
      feeds[`b${l}`] = tensor(bias, bias.length);
      fetches[`dW${l}`] = tensor(gradients[l].weight, bias.length, units[l]);
      fetches[`db${l}`] = tensor(gradients[l].bias, 1, bias.length);
    });
    return async () => {
      await this.session.run(feeds, fetches);
      return meanLoss(this.logits, this.targets);
    };
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

function meanLoss(logits: Float32Array, targets: Float32Array): number {
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    const z = targets[i] === 1 ? logits[i] : -logits[i];
    loss += Math.log1p(Math.exp(-Math.abs(z))) + Math.max(0, -z);
  }
  return loss / logits.length;
}

/** Views of the layers in an array of parameters. */
export function layersOf(parameters: Float32Array, units: readonly number[]): MlpLayer[] {
  let start = 0;
  const take = (length: number) => {
    start += length;
    return parameters.subarray(start - length, start);
  };
  return units.slice(1).map((size, l) => ({ weight: take(size * units[l]), bias: take(size) }));
}

function tensor(data: Float32Array, ...shape: number[]): Tensor {
  return new Tensor('float32', data, shape);
}
