/**
 * Codes of vectors, for bounds on their inner products: whole numbers of seven bits, with one step size for each row.
 *
 * A row x becomes s p with whole p and an error e = ‖x − s p‖ that is known, so for two rows, by Cauchy and Schwarz,
 * |x · y − (s p) · (t q)| ≤ ‖e‖ ‖y‖ + ‖s p‖ ‖f‖ ≤ ‖e‖ ‖y‖ + (‖x‖ + ‖e‖) ‖f‖. To keep errors small no column should be much
 * greater than the others, whatever the data: rows are turned first by signs at random and a Hadamard transform of 64
 * columns, and once more with the columns in other groups. That keeps inner products.
 */
import { RandomStream } from '../graph/random.js';
import { wholeLimit, wholeZero } from '../kernels/gemm.js';

const group = 64;
const signStream = { purpose: 16, index: 2 } as const;

/** Columns of the codes of rows of d columns: a multiple of 64. */
export function codeLength(dim: number): number {
  return Math.ceil(dim / group) * group;
}

/** Makes codes on the calling thread, of rows of d columns. */
export class Coder {
  /** r. */
  readonly length: number;
  /** The step s, the error ‖x − s p‖ and the norm ‖x‖ of the row coded last. */
  step = 0;
  error = 0;
  norm = 0;
  private readonly signs: Float64Array;
  private readonly turned: Float64Array;
  private readonly regrouped: Float64Array;

  constructor(private readonly dim: number) {
    this.length = codeLength(dim);
    const random = new RandomStream(1, signStream.purpose, signStream.index);
    this.signs = Float64Array.from({ length: 2 * this.length }, () => (random.next() < 0 ? -1 : 1));
    this.turned = new Float64Array(this.length);
    this.regrouped = new Float64Array(this.length);
  }

  /** x [d] → out [r], 64 for zero, as the left operand of `WholeProducts`. */
  run(x: Float32Array, out: Uint8Array): void {
    const { dim, length, turned, regrouped, signs } = this;
    for (let c = 0; c < dim; c++) turned[c] = x[c] * signs[c];
    turned.fill(0, dim);
    hadamard(turned);
    const groups = length / group;
    for (let g = 0, at = 0; g < groups; g++) {
      for (let c = 0; c < group; c++, at++) regrouped[c * groups + g] = turned[at] * signs[length + at];
    }
    hadamard(regrouped);

    let greatest = 0;
    let squares = 0;
    for (let c = 0; c < length; c++) {
      const value = regrouped[c] / group;
      regrouped[c] = value;
      squares += value * value;
      greatest = Math.max(greatest, Math.abs(value));
    }
    const step = Math.fround(greatest / wholeLimit);
    const perStep = 1 / step;
    let missed = 0;
    for (let c = 0; c < length; c++) {
      const rounded = (regrouped[c] * perStep + (wholeZero + 0.5)) | 0;
      const error = regrouped[c] - step * (rounded - wholeZero);
      missed += error * error;
      out[c] = rounded;
    }
    this.step = step;
    this.error = Math.sqrt(missed);
    this.norm = Math.sqrt(squares);
  }
}

/** Hadamard transform of each 64 values, in place: 8 times an orthonormal one. */
function hadamard(values: Float64Array): void {
  for (let half = 1; half < group; half *= 2) {
    for (let start = 0; start < values.length; start += 2 * half) {
      for (let at = start; at < start + half; at++) {
        const [a, b] = [values[at], values[at + half]];
        values[at] = a + b;
        values[at + half] = a - b;
      }
    }
  }
}
