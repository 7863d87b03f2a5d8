/**
 * A trained scorer: its configuration and named tensors, row-major float32.
 * Shapes: d feature dimension, M attention heads, m in 0..M-1.
 *   attention.attn_m.w.weight [d × d]   attention.attn_m.w.bias [d]
 *   attention.attn_m.a.weight [1 × 2d]  (a_c then a_n)   attention.attn_m.a.bias [1]   attention.attn_m.bias [d]
 * head `concat`:
 *   classifier.0.weight [d × 2d] (W1)   classifier.0.bias [d]   classifier.1.weight [d] (PReLU slope)
 *   classifier.2.weight [2 × d] (W2)    classifier.2.bias [2]
 * head `pairwise` has no attention; of each round r, F features wide, with its layers l of u units (the last has one):
 *   rounds.r.mean [F]   rounds.r.scale [F]   rounds.r.l.weight [u × inputs]   rounds.r.l.bias [u]
 */
import type { AbsentPairs } from '../cluster/linkage.js';
import type { Partition } from '../cluster/partition.js';
import { NaanError } from '../errors.js';
import { oneLine } from '../io/messages.js';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** F of both measures, and its standard deviation over resamples of the identities. */
export interface CalibrationRecord {
  readonly bcubed: { readonly f: number; readonly deviation: number };
  readonly pairwise: { readonly f: number; readonly deviation: number };
}

interface CommonConfig {
  /** Candidate edges go to the first sampleHops neighbours. */
  readonly sampleHops: number;
  /** Calibrated in training, absent when the model was imported: the best partition and its score threshold, */
  readonly partition?: Partition;
  readonly threshold?: number;
  /** and the best threshold of every partition that was tried. */
  readonly thresholds?: Readonly<Partial<Record<Partition, number>>>;
  /** How much absent pairs count at the threshold of `linkage`; in files from before there was a choice, `all`. */
  readonly absentPairs?: AbsentPairs;
  /** How good `partition` was at `threshold` on identities held out. */
  readonly calibration?: CalibrationRecord;
  /** Where the model came from, free text by key. */
  readonly provenance: Readonly<Record<string, string>>;
}

/** The published network: scores a pair by its two embeddings. */
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

/** Scores a pair by how the neighbourhoods of its ends overlap, for features of any dimension. */
export interface PairwiseConfig extends CommonConfig {
  readonly head: 'pairwise';
  /** Neighbours of a list that features look at, the node itself not counted. */
  readonly k: number;
  /** Times that all edges are scored, each but the first from the scores of the one before. */
  readonly rounds: number;
  /** Units of the hidden layers. */
  readonly hidden: readonly number[];
  /** Bounds scores by the cosine; in files from before there was one, none. */
  readonly guard?: CosineGuard | undefined;
}

/**
 * A score is at most a line in the edge's cosine, from 0 at `from` to 1 at `to`: how low cosines of one identity were in
 * training. What a network makes of lower ones is a guess, and sure of itself like any other.
 */
export interface CosineGuard {
  readonly from: number;
  readonly to: number;
}

export type ModelConfig = ConcatConfig | PairwiseConfig;

export interface NaanModel<Config extends ModelConfig = ModelConfig> {
  readonly config: Config;
  readonly tensors: ReadonlyMap<string, Tensor>;
}
export type ConcatModel = NaanModel<ConcatConfig>;
export type PairwiseModel = NaanModel<PairwiseConfig>;

/** Features of an edge by the graph alone, and by the scores of the round before. */
export const structuralFeatureCount = 16;
export const scoreFeatureCount = 15;

/** The longest neighbour list that features can look at. */
export const longestList = 254;

/** Features that a round of the `pairwise` head reads. */
export function featureCount(round: number): number {
  return structuralFeatureCount + (round === 0 ? 0 : scoreFeatureCount);
}

type ConcatShape = Pick<ConcatConfig, 'head' | 'dim' | 'heads'>;
type PairwiseShape = Pick<PairwiseConfig, 'head' | 'rounds' | 'hidden'>;

/** Names and shapes a model of this configuration must have, in file order. */
export function expectedTensors(config: ConcatShape | PairwiseShape): [name: string, shape: number[]][] {
  return config.head === 'concat' ? concatTensors(config) : pairwiseTensors(config);
}

function concatTensors({ dim: d, heads }: ConcatShape): [name: string, shape: number[]][] {
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

function pairwiseTensors({ rounds, hidden }: PairwiseShape): [name: string, shape: number[]][] {
  const expected: [string, number[]][] = [];
  for (let round = 0; round < rounds; round++) {
    const at = `rounds.${round}`;
    let inputs = featureCount(round);
    expected.push([`${at}.mean`, [inputs]], [`${at}.scale`, [inputs]]);
    [...hidden, 1].forEach((units, layer) => {
      expected.push([`${at}.${layer}.weight`, [units, inputs]], [`${at}.${layer}.bias`, [units]]);
      inputs = units;
    });
  }
  return expected;
}

/** Checks that every expected tensor is there with its shape. `where` names the source. Throws BAD_MODEL. */
export function checkModel(model: NaanModel, where: string): NaanModel {
  checkShapes(model.config, model.tensors, where);
  return model;
}

/** The same of tensors that have not been read. */
export function checkShapes(
  config: ModelConfig,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  where: string,
): void {
  // A file may claim any number of them: they are listed, and the missing one named, when there are not far too few.
  const [repeats, what, needed] =
    config.head === 'concat'
      ? [config.heads, 'attention heads', 5 * config.heads]
      : [config.rounds, 'rounds', config.rounds * (2 * config.hidden.length + 4)];
  if (repeats > tensors.size || needed > 10 * tensors.size + 100) {
    throw new NaanError('BAD_MODEL', `${where}: ${tensors.size} tensors are too few for ${repeats} ${what}`);
  }
  for (const [name, shape] of expectedTensors(config)) {
    const tensor = tensors.get(name);
    if (!tensor)
      throw new NaanError('BAD_MODEL', `${where}: tensor '${name}' is missing, expected [${shape.join(' × ')}]`);
    if (tensor.shape.join() !== shape.join()) {
      throw new NaanError(
        'BAD_MODEL',
        `${where}: tensor '${name}' has shape [${oneLine(tensor.shape.join(' × '))}], expected [${shape.join(' × ')}]`,
      );
    }
  }
}

/** The data of a tensor that `checkModel` has seen. */
export function tensorOf(model: NaanModel, name: string): Float32Array {
  const tensor = model.tensors.get(name);
  if (!tensor) throw new NaanError('BAD_MODEL', `tensor '${name}' is missing`);
  return tensor.data;
}
