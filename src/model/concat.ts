/** Models of the published network: they score a pair by its two embeddings. */
import type { CommonConfig, ModelKind, NamedShape } from './model-kind.js';

export interface ConcatConfig extends CommonConfig {
  readonly head: 'concat';
  readonly dim: number;
  /** Attention heads M. */
  readonly heads: number;
  /** Slope of LeakyReLU below zero. */
  readonly alpha: number;
  /** Neighbours of hop one and hop two, the node itself not counted. */
  readonly k1: number;
  readonly k2: number;
}

/**
 * Tensors, with d the feature dimension and m one of M attention heads:
 *
 *   attention.attn_m.w.weight [d × d]   attention.attn_m.w.bias [d]
 *   attention.attn_m.a.weight [1 × 2d]  (a_c then a_n)   attention.attn_m.a.bias [1]   attention.attn_m.bias [d]
 *   classifier.0.weight [d × 2d] (W1)   classifier.0.bias [d]   classifier.1.weight [d] (PReLU slope)
 *   classifier.2.weight [2 × d] (W2)    classifier.2.bias [2]
 */
export function concatTensors({ dim: d, heads }: Pick<ConcatConfig, 'dim' | 'heads'>): NamedShape[] {
  const expected: NamedShape[] = [];
  for (let m = 0; m < heads; m++) {
    const at = `attention.attn_${m}`;
    expected.push([`${at}.bias`, [d]], [`${at}.w.weight`, [d, d]], [`${at}.w.bias`, [d]]);
    expected.push([`${at}.a.weight`, [1, 2 * d]], [`${at}.a.bias`, [1]]);
  }
  expected.push(['classifier.0.weight', [d, 2 * d]], ['classifier.0.bias', [d]], ['classifier.1.weight', [d]]);
  expected.push(['classifier.2.weight', [2, d]], ['classifier.2.bias', [2]]);
  return expected;
}

export const concatModels: ModelKind<ConcatConfig> = {
  tensors: concatTensors,
  size: ({ heads }) => ({ repeats: heads, of: 'attention heads', tensors: 5 * heads }),

  metadata({ dim, heads, alpha, k1, k2 }) {
    return { dim: String(dim), heads: String(heads), alpha: String(alpha), k1: String(k1), k2: String(k2) };
  },

  parse: (metadata) => ({
    head: 'concat',
    dim: metadata.count('dim'),
    heads: metadata.count('heads'),
    alpha: metadata.number('alpha', Number.isFinite, 'a number'),
    k1: metadata.count('k1'),
    k2: metadata.count('k2'),
  }),
};
