/**
 * Dense products by ONNX Runtime on the calling thread. Operands are views on ordinary (not shared) memory, such as an
 * arena's, used in place. A row of the result does not depend on the rows beside it.
 */
import { constant, node, onnxModel } from './onnx-graph.js';
import { InferenceSession, Tensor } from './onnx-runtime.js';
import { oneThread, runInto } from './onnx-session.js';

/** The number that represents zero in the left operand of `WholeProducts`, and the largest magnitude in either. */
export const wholeZero = 64;
export const wholeLimit = 63;

/** y = x Wᵀ + b with fixed W [N × K] and b [N]: packed once, then run on any number of rows. */
export class Linear {
  private constructor(
    private readonly session: InferenceSession,
    readonly inputs: number,
    readonly outputs: number,
  ) {}

  static async create(weight: Float32Array, bias: Float32Array): Promise<Linear> {
    const outputs = bias.length;
    const inputs = weight.length / outputs;
    const model = onnxModel({
      nodes: [node('Gemm', ['x', 'W', 'b'], ['y'], { transB: 1 })],
      constants: [constant('W', [outputs, inputs], weight), constant('b', [outputs], bias)],
      inputs: [['x', ['rows', inputs]]],
      outputs: [['y', ['rows', outputs]]],
    });
    return new Linear(await InferenceSession.create(model, oneThread), inputs, outputs);
  }

  /** x [≥ rows × K] → y [≥ rows × N]. */
  async run(rows: number, x: Float32Array, y: Float32Array): Promise<void> {
    await runInto(
      this.session,
      { x: new Tensor('float32', x.subarray(0, rows * this.inputs), [rows, this.inputs]) },
      { y: new Tensor('float32', y.subarray(0, rows * this.outputs), [rows, this.outputs]) },
    );
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** C = A Bᵀ of two matrices that change from call to call. */
export class InnerProducts {
  private constructor(
    private readonly session: InferenceSession,
    readonly dim: number,
  ) {}

  static async create(dim: number): Promise<InnerProducts> {
    const model = onnxModel({
      nodes: [node('Gemm', ['a', 'b'], ['c'], { transB: 1 })],
      inputs: [
        ['a', ['m', dim]],
        ['b', ['n', dim]],
      ],
      outputs: [['c', ['m', 'n']]],
    });
    return new InnerProducts(await InferenceSession.create(model, oneThread), dim);
  }

  /** a [m × d], b [n × d] → c [m × n]. */
  async run(m: number, n: number, a: Float32Array, b: Float32Array, c: Float32Array): Promise<void> {
    await runInto(
      this.session,
      {
        a: new Tensor('float32', a.subarray(0, m * this.dim), [m, this.dim]),
        b: new Tensor('float32', b.subarray(0, n * this.dim), [n, this.dim]),
      },
      { c: new Tensor('float32', c.subarray(0, m * n), [m, n]) },
    );
  }
}

/**
 * C = A B of small whole numbers, as integers: the same on any machine, several times faster than float32.
 * a − 64 and b must lie in [−63, 63], or pairs of products overflow the 16 bits that processors without VNNI have for them.
 */
export class WholeProducts {
  private readonly zero = new Tensor('uint8', Uint8Array.of(wholeZero), []);

  private constructor(
    private readonly session: InferenceSession,
    readonly dim: number,
  ) {}

  static async create(dim: number): Promise<WholeProducts> {
    const model = onnxModel({
      nodes: [node('MatMulInteger', ['a', 'b', 'zero'], ['c'])],
      inputs: [
        ['a', ['m', dim], 'uint8'],
        ['b', [dim, 'n'], 'int8'],
        ['zero', [], 'uint8'],
      ],
      outputs: [['c', ['m', 'n'], 'int32']],
    });
    return new WholeProducts(await InferenceSession.create(model, oneThread), dim);
  }

  /** a [m × d], 64 for zero; b [d × n] → c [m × n]. */
  async run(m: number, n: number, a: Uint8Array, b: Int8Array, c: Int32Array): Promise<void> {
    await runInto(
      this.session,
      {
        a: new Tensor('uint8', a.subarray(0, m * this.dim), [m, this.dim]),
        b: new Tensor('int8', b.subarray(0, n * this.dim), [this.dim, n]),
        zero: this.zero,
      },
      { c: new Tensor('int32', c.subarray(0, m * n), [m, n]) },
    );
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/**
 * The three products of training, of matrices that change from call to call, row-major and packed:
 *   linear  y [m × n] = a [m × k] · b [n × k]ᵀ + c [n]
 *   plain   y [m × n] = a [m × k] · b [k × n]
 *   inner   y [m × n] += a [k × m]ᵀ · b [k × n]
 */
export class Products {
  private constructor(private readonly sessions: Record<'linear' | 'plain' | 'inner', InferenceSession>) {}

  static async create(): Promise<Products> {
    return new Products({
      linear: await gemm(['a', 'b', 'c'], { transB: 1 }),
      plain: await gemm(['a', 'b'], {}),
      inner: await gemm(['a', 'b', 'c'], { transA: 1 }),
    });
  }

  async linear([m, n, k]: Sizes, a: Float32Array, b: Float32Array, c: Float32Array, y: Float32Array): Promise<void> {
    const inputs = { a: matrix(a, m, k), b: matrix(b, n, k), c: matrix(c, 1, n) };
    await runInto(this.sessions.linear, inputs, { y: matrix(y, m, n) });
  }

  async plain([m, n, k]: Sizes, a: Float32Array, b: Float32Array, y: Float32Array): Promise<void> {
    await runInto(this.sessions.plain, { a: matrix(a, m, k), b: matrix(b, k, n) }, { y: matrix(y, m, n) });
  }

  async inner([m, n, k]: Sizes, a: Float32Array, b: Float32Array, y: Float32Array): Promise<void> {
    const sum = matrix(y, m, n);
    await runInto(this.sessions.inner, { a: matrix(a, k, m), b: matrix(b, k, n), c: sum }, { y: sum });
  }

  async release(): Promise<void> {
    for (const session of Object.values(this.sessions)) await session.release();
  }
}

type Sizes = readonly [m: number, n: number, k: number];

function gemm(inputs: string[], attributes: Record<string, number>): Promise<InferenceSession> {
  const model = onnxModel({
    nodes: [node('Gemm', inputs, ['y'], attributes)],
    inputs: inputs.map((name) => [name, [`${name}Rows`, `${name}Columns`]]),
    outputs: [['y', ['yRows', 'yColumns']]],
  });
  return InferenceSession.create(model, oneThread);
}

function matrix(data: Float32Array, rows: number, columns: number): Tensor {
  return new Tensor('float32', data.subarray(0, rows * columns), [rows, columns]);
}
