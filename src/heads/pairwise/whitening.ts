/**
 * Whitening by how rows of one identity differ (within-class covariance normalisation, Hatch et al. 2006): y = A x + b of unit
 * vectors x, scaled to length 1 again. Directions in which images of one person scatter then count less in every cosine.
 */
import { Linear } from '../../kernels/gemm.js';
import { type PairwiseModel, tensorOf } from '../../model/model.js';
import { whiteningTensors } from '../../model/pairwise.js';
import { whitenedAtOnce } from './job.js';

export interface Whitening {
  /** A [d × d] */
  readonly weight: Float32Array;
  /** b [d] */
  readonly bias: Float32Array;
}

/** The whitening of a model; undefined where it has none. */
export function whiteningOf(model: PairwiseModel): Whitening | undefined {
  const { dim } = model.config;
  if (dim === undefined) return undefined;
  const [weight, bias] = whiteningTensors(dim).map(([name]) => tensorOf(model, name));
  return { weight, bias };
}

/** Whitens rows on the calling thread; a row does not depend on those beside it. */
export class Whitener {
  private readonly x: Float32Array;
  private readonly y: Float32Array;

  private constructor(
    private readonly whitening: Whitening,
    /** Undefined for plain loops. */
    private readonly linear: Linear | undefined,
  ) {
    this.x = new Float32Array(whitenedAtOnce * whitening.bias.length);
    this.y = new Float32Array(this.x.length);
  }

  static async create(whitening: Whitening, plain = false): Promise<Whitener> {
    return new Whitener(whitening, plain ? undefined : await Linear.create(whitening.weight, whitening.bias));
  }

  /** Unit vectors [count × d] in place. A row that becomes 0 stays 0. */
  async run(rows: Float32Array, count: number): Promise<void> {
    const { x, y, linear } = this;
    const dim = this.whitening.bias.length;
    for (let start = 0; start < count; start += whitenedAtOnce) {
      const some = Math.min(whitenedAtOnce, count - start);
      const part = rows.subarray(start * dim, (start + some) * dim);
      x.set(part);
      if (linear) await linear.run(some, x, y);
      else this.multiply(some);
      for (let row = 0; row < some; row++) toUnit(y.subarray(row * dim, (row + 1) * dim));
      part.set(y.subarray(0, some * dim));
    }
  }

  async release(): Promise<void> {
    await this.linear?.release();
  }

  private multiply(count: number): void {
    const { x, y } = this;
    const { weight, bias } = this.whitening;
    const dim = bias.length;
    for (let row = 0; row < count; row++) {
      for (let c = 0; c < dim; c++) {
        let sum = bias[c];
        for (let i = 0; i < dim; i++) sum += weight[c * dim + i] * x[row * dim + i];
        y[row * dim + c] = sum;
      }
    }
  }
}

function toUnit(row: Float32Array): void {
  let squares = 0;
  for (let c = 0; c < row.length; c++) squares += row[c] * row[c];
  if (squares === 0) return;
  const factor = 1 / Math.sqrt(squares);
  for (let c = 0; c < row.length; c++) row[c] *= factor;
}
