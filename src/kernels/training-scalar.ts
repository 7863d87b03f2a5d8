/** Scalar twins of the training kernels: the same results up to the order of additions, in plain loops over float64. */
import type {
  AdamInput,
  AttentionGradientInput,
  AttentionScalars,
  ListRange,
  PairGradientsInput,
  ReluGradientInput,
  WeightedRowsInput,
} from './training-kernels.js';

/** Calls `visit` with each list and its entries. */
function eachList({ first, count, offsets }: ListRange, visit: (i: number, from: number, to: number) => void): void {
  for (let i = first; i < first + count; i++) visit(i, offsets[i], offsets[i + 1]);
}

export function weightedRows(input: WeightedRowsInput): void {
  const { index, weights, rows, bias, out } = input;
  eachList(input, (i, from, to) => {
    for (let c = 0; c < input.dim; c++) {
      let value = bias ? bias[c] : 0;
      for (let e = from; e < to; e++) value += weights[e] * rows[index[e] * input.rowStride + input.column + c];
      out[i * input.outStride + input.outColumn + c] = bias ? Math.max(value, 0) : value;
    }
  });
}

/** s_i + t_e + β. */
function attentionInput(input: AttentionScalars, i: number, e: number): number {
  const { centre, neighbour, index, scalarStride, head } = input;
  const s = centre[(i + input.centreShift) * scalarStride + head];
  return s + neighbour[index[e] * scalarStride + head] + input.attentionBias;
}

export function attentionWeights(input: AttentionScalars): void {
  const { weights, alpha } = input;
  eachList(input, (i, from, to) => {
    let largest = -Infinity;
    for (let e = from; e < to; e++) {
      const x = attentionInput(input, i, e);
      weights[e] = x > 0 ? x : alpha * x;
      largest = Math.max(largest, weights[e]);
    }
    let sum = 0;
    for (let e = from; e < to; e++) sum += Math.exp(weights[e] - largest);
    for (let e = from; e < to; e++) weights[e] = Math.exp(weights[e] - largest) / sum;
  });
}

export function attentionGradient(input: AttentionGradientInput): void {
  const { index, rows, gradient, rowStride, column, weights, kept, slopes, alpha } = input;
  eachList(input, (i, from, to) => {
    let total = 0;
    for (let e = from; e < to; e++) {
      let product = 0;
      for (let c = column; c < column + input.dim; c++) {
        product += gradient[i * rowStride + c] * rows[index[e] * rowStride + c];
      }
      slopes[e] = kept[e] * product;
      total += kept[e] * product;
    }
    let sum = 0;
    for (let e = from; e < to; e++) {
      slopes[e] = (slopes[e] - weights[e] * total) * (attentionInput(input, i, e) > 0 ? 1 : alpha);
      sum += slopes[e];
    }
    input.centreSlopes[i * input.scalarStride + input.head] = sum;
  });
}

export function pairGradients(input: PairGradientsInput): void {
  const { dim, index, deltas, own, other, positive, negative, out, sums } = input;
  eachList(input, (i, from, to) => {
    for (let c = 0; c < dim; c++) {
      const x = own[i * dim + c];
      let sum = 0;
      for (let e = from; e < to; e++) {
        const y = x + other[index[e] * dim + c];
        sum += deltas[e] * (y > 0 ? positive[c] : negative[c]);
        if (sums) sums[y > 0 ? c : dim + c] += deltas[e] * y;
      }
      out[i * dim + c] = sum;
    }
  });
}

export function reluGradient(input: ReluGradientInput): void {
  const { count, dim, values, stride, column, gradient, scale } = input;
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < dim; c++) {
      const at = i * stride + column + c;
      values[at] = values[at] > 0 ? scale * gradient[i * dim + c] : 0;
    }
  }
}

export function adam(input: AdamInput): void {
  const { gradient, parameters, firstMoments: m, secondMoments: v } = input;
  for (let i = 0; i < parameters.length; i++) {
    const g = input.clip * gradient[i] + input.decay * parameters[i];
    m[i] += input.blend1 * (g - m[i]);
    v[i] += input.blend2 * (g * g - v[i]);
    parameters[i] -= (input.rate * m[i]) / (Math.sqrt(v[i]) * input.rootScale + input.epsilon);
  }
}
