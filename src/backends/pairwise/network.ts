/** The network of one round in ONNX Runtime: one graph from raw features to logits, with the weights as constants. */
import { constant, node, onnxModel } from '../../kernels/onnx-graph.js';
import { InferenceSession, type SessionOptions } from '../../kernels/onnx-runtime.js';
import { oneThread } from '../../kernels/onnx-session.js';
import { featureLimit, type MlpParameters } from '../../model/round-network.js';
import { floats } from '../onnx-sessions.js';

/** Matrix products take another path for a few rows, with another order of additions: a run is never of fewer. */
export const rowsAtLeast = 16;

export class RoundNetwork {
  private constructor(
    readonly session: InferenceSession,
    private readonly inputs: number,
  ) {}

  /** `rows`: the rows of every run, for providers that plan for one size. */
  static async create(
    parameters: MlpParameters,
    options: SessionOptions = oneThread,
    rows: number | 'rows' = 'rows',
  ): Promise<RoundNetwork> {
    const session = await InferenceSession.create(networkGraph(parameters, rows), options);
    return new RoundNetwork(session, parameters.mean.length);
  }

  /** features [≥ rows × F] → logits [≥ rows]; both hold 16 rows or more. A row's does not depend on the rows beside it. */
  async run(count: number, features: Float32Array, logits: Float32Array): Promise<void> {
    const rows = Math.max(count, rowsAtLeast);
    await this.session.run({ x: floats(features, rows, this.inputs) }, { logits: floats(logits, rows, 1) });
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

function networkGraph({ mean, scale, layers }: MlpParameters, rows: number | string): Uint8Array {
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
  return onnxModel({
    nodes,
    constants,
    inputs: [['x', [rows, inputs]]],
    outputs: [['logits', [rows, 1]]],
  });
}
