/**
 * The model in the factored form that every back-end computes.
 *
 * The attention weights W are shared, so h = W x + b is one row a node; the concat head splits, W1 [c_a ; c_b] = A c_a +
 * B c_b, so an edge needs only left_a = A c_a, right_b = B c_b + b1 and the logit gap w2 = W2[1] − W2[0].
 *
 * d features, M heads, p = d rounded up to a multiple of 4: SIMD kernels walk whole vectors, and the padding is zero
 * in weights and so in every row.
 */
import { paddedDim } from '../memory/shared-arrays.js';
import { type ConcatModel, tensorOf } from './model.js';

interface FactoredHead {
  /** a_c and a_n [p], β, g [p]. */
  readonly centre: Float32Array;
  readonly neighbour: Float32Array;
  readonly attentionBias: number;
  readonly outputBias: Float32Array;
}

export interface FactoredModel {
  readonly dim: number;
  readonly paddedDim: number;
  readonly alpha: number;
  readonly heads: readonly FactoredHead[];
  /** W of all heads for raw features [M·p × d], for padded rows [M·p × p] (the same array when p = d), and b [M·p]. */
  readonly projectRaw: Float32Array;
  readonly projectPadded: Float32Array;
  readonly projectBias: Float32Array;
  /** A and B [p × p], b1 [p]. */
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly rightBias: Float32Array;
  /** Slope of PReLU [p], w2 and w2 · slope [p]; bias of the logit gap. */
  readonly slope: Float32Array;
  readonly positive: Float32Array;
  readonly negative: Float32Array;
  readonly gapBias: number;
}

export function factor(model: ConcatModel): FactoredModel {
  const { dim, heads: headCount, alpha } = model.config;
  const padded = paddedDim(dim);
  const get = (name: string) => tensorOf(model, name);

  const projectRaw = new Float32Array(headCount * padded * dim);
  const projectBias = new Float32Array(headCount * padded);
  const heads: FactoredHead[] = [];
  for (let m = 0; m < headCount; m++) {
    const at = `attention.attn_${m}`;
    projectRaw.set(get(`${at}.w.weight`), m * padded * dim);
    projectBias.set(get(`${at}.w.bias`), m * padded);
    const attention = get(`${at}.a.weight`);
    heads.push({
      centre: block(attention, 2 * dim, 0, 1, dim, padded),
      neighbour: block(attention, 2 * dim, dim, 1, dim, padded),
      attentionBias: get(`${at}.a.bias`)[0],
      outputBias: block(get(`${at}.bias`), dim, 0, 1, dim, padded),
    });
  }

  const first = get('classifier.0.weight');
  const slope = get('classifier.1.weight');
  const second = get('classifier.2.weight');
  const secondBias = get('classifier.2.bias');
  const positive = new Float32Array(padded);
  const negative = new Float32Array(padded);
  for (let c = 0; c < dim; c++) {
    positive[c] = second[dim + c] - second[c];
    negative[c] = positive[c] * slope[c];
  }
  return {
    dim,
    paddedDim: padded,
    alpha,
    heads,
    projectRaw,
    projectPadded: padded === dim ? projectRaw : block(projectRaw, dim, 0, headCount * padded, dim, padded),
    projectBias,
    left: block(first, 2 * dim, 0, padded, dim, padded),
    right: block(first, 2 * dim, dim, padded, dim, padded),
    rightBias: block(get('classifier.0.bias'), dim, 0, 1, dim, padded),
    slope: block(slope, dim, 0, 1, dim, padded),
    positive,
    negative,
    gapBias: secondBias[1] - secondBias[0],
  };
}

/** Columns [column, column + columns) of a row-major matrix, zero-padded to rows × padded. */
function block(source: Float32Array, stride: number, column: number, rows: number, columns: number, padded: number) {
  const out = new Float32Array(rows * padded);
  for (let r = 0; r * stride < source.length; r++) {
    out.set(source.subarray(r * stride + column, r * stride + column + columns), r * padded);
  }
  return out;
}
