/** Runs the network of one round by ONNX Runtime on the calling thread, in one graph from raw features to logits. */
import { constant, node, onnxModel } from '../../kernels/onnx-graph.js';
import { InferenceSession, Tensor } from '../../kernels/onnx-runtime.js';
import { oneThread } from '../../kernels/onnx-session.js';
import { featureLimit, type MlpParameters } from './mlp.js';

/** Matrix products take another path for a few rows, with another order of additions: a run is never of fewer. */
const rowsAtLeast = 16;

export class PairwiseMlp {
  /** In: raw features [capacity × F]. */
  readonly features: Float32Array;
  /** Out: [capacity]. */
  readonly logits: Float32Array;

  private constructor(
    private readonly session: InferenceSession,
    private readonly inputs: number,
    capacity: number,
  ) {
    const rows = Math.max(capacity, rowsAtLeast);
    this.features = new Float32Array(rows * inputs);
    this.logits = new Float32Array(rows);
  }

  /** `capacity`: the most edges of a run. */
  static async create({ mean, scale, layers }: MlpParameters, capacity: number): Promise<PairwiseMlp> {
    const inputs = mean.length;
    const nodes = [
      node('Sub', ['x', 'mean'], ['centred']),
      node('Mul', ['centred', 'scale'], ['scaled']),
      node('Clip', ['scaled', 'low', 'high'], ['h0']),
    ];
    const constants = [
      constant('mean', [inputs], mean),
      constant('scale', [inputs], scale),
      constant('low', [], Float32Array.of(-featureLimit)),
      constant('high', [], Float32Array.of(featureLimit)),
    ];
    layers.forEach(({ weight, bias }, l) => {
      const units = bias.length;
      const last = l === layers.length - 1;
      constants.push(constant(`W${l}`, [units, weight.length / units], weight), constant(`b${l}`, [units], bias));
      nodes.push(node('Gemm', [`h${l}`, `W${l}`, `b${l}`], [last ? 'logits' : `z${l}`], { transB: 1 }));
      if (!last) nodes.push(node('Relu', [`z${l}`], [`h${l + 1}`]));
    });
    const model = onnxModel({
      nodes,
      constants,
      inputs: [['x', ['rows', inputs]]],
      outputs: [['logits', ['rows', 1]]],
    });
    return new PairwiseMlp(await InferenceSession.create(model, oneThread), inputs, capacity);
  }

  /** Logits of the first `count` rows of `features`. A row's does not depend on the rows beside it. */
  async run(count: number): Promise<void> {
    const rows = Math.max(count, rowsAtLeast);
    await this.session.run(
      { x: new Tensor('float32', this.features.subarray(0, rows * this.inputs), [rows, this.inputs]) },
      { logits: new Tensor('float32', this.logits.subarray(0, rows), [rows, 1]) },
    );
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}
