/**
 * A trained scorer: its configuration and named tensors, row-major float32.
 * Shapes: d feature dimension, M attention heads, m in 0..M-1.
 *   attention.attn_m.w.weight [d × d]   attention.attn_m.w.bias [d]
 *   attention.attn_m.a.weight [1 × 2d]  (a_c then a_n)   attention.attn_m.a.bias [1]   attention.attn_m.bias [d]
 * head `concat`:
 *   classifier.0.weight [d × 2d] (W1)   classifier.0.bias [d]   classifier.1.weight [d] (PReLU slope)
 *   classifier.2.weight [2 × d] (W2)    classifier.2.bias [2]
 */
import type { Partition } from '../cluster/partition.js';
import { NaanError } from '../errors.js';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface ModelConfig {
  readonly head: 'concat';
  readonly dim: number;
  /** Attention heads M. */
  readonly heads: number;
  /** Slope of LeakyReLU below zero. */
  readonly alpha: number;
  /** Neighbours of hop one and hop two, the node itself not counted. */
  readonly k1: number;
  readonly k2: number;
  /** Candidate edges go to the first sampleHops neighbours. */
  readonly sampleHops: number;
  /** Calibrated in training, absent when the model was imported: the best partition and its score threshold, */
  readonly partition?: Partition;
  readonly threshold?: number;
  /** and the best threshold of every partition that was tried. */
  readonly thresholds?: Readonly<Partial<Record<Partition, number>>>;
  /** Where the model came from, free text by key. */
  readonly provenance: Readonly<Record<string, string>>;
}

export interface NaanModel {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Names and shapes a model of this configuration must have, in file order. */
export function expectedTensors(
  config: Pick<ModelConfig, 'dim' | 'heads' | 'head'>,
): [name: string, shape: number[]][] {
  const { dim: d, heads } = config;
  const expected: [string, number[]][] = [];
  for (let m = 0; m < heads; m++) {
    const at = `attention.attn_${m}`;
    expected.push([`${at}.bias`, [d]], [`${at}.w.weight`, [d, d]], [`${at}.w.bias`, [d]]);
    expected.push([`${at}.a.weight`, [1, 2 * d]], [`${at}.a.bias`, [1]]);
  }
  expected.push(['classifier.0.weight', [d, 2 * d]], ['classifier.0.bias', [d]], ['classifier.1.weight', [d]]);
  expected.push(['classifier.2.weight', [2, d]], ['classifier.2.bias', [2]]);
  return expected;
}

/** Checks that every expected tensor is there with its shape. `where` names the source. Throws BAD_MODEL. */
export function checkModel(model: NaanModel, where: string): NaanModel {
  for (const [name, shape] of expectedTensors(model.config)) {
    const tensor = model.tensors.get(name);
    if (!tensor)
      throw new NaanError('BAD_MODEL', `${where}: tensor '${name}' is missing, expected [${shape.join(' × ')}]`);
    if (tensor.shape.join() !== shape.join()) {
      throw new NaanError(
        'BAD_MODEL',
        `${where}: tensor '${name}' has shape [${tensor.shape.join(' × ')}], expected [${shape.join(' × ')}]`,
      );
    }
  }
  return model;
}

/** The data of a tensor that `checkModel` has seen. */
export function tensorOf(model: NaanModel, name: string): Float32Array {
  const tensor = model.tensors.get(name);
  if (!tensor) throw new NaanError('BAD_MODEL', `tensor '${name}' is missing`);
  return tensor.data;
}
