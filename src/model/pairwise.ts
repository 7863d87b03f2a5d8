/** Models that score a pair by how the neighbourhoods of its ends overlap, for features of any dimension. */
import type { Metadata } from './metadata.js';
import type { CommonConfig, ModelKind, NamedShape } from './model-kind.js';

export interface PairwiseConfig extends CommonConfig {
  readonly head: 'pairwise';
  /** Neighbours of a list that features look at, the node itself not counted. */
  readonly k: number;
  /** Times that all edges are scored, each but the first from the scores of the one before. */
  readonly rounds: number;
  /** Units of the hidden layers. */
  readonly hidden: readonly number[];
  /** Columns of the features, where the model whitens them; models without take any. */
  readonly dim?: number | undefined;
  /** Bounds scores by the cosine; in files from before there was one, none. */
  readonly guard?: CosineGuard | undefined;
  /** Cosines are read beside the median of random pairs of the set, for sets of other embeddings than it was trained on. */
  readonly centred?: boolean | undefined;
  /** The median cosine of random pairs of the set being scored, filled in once a set is at hand; never stored in files. */
  readonly middle?: number | undefined;
}

/**
 * A score is at most a line in the edge's cosine, from 0 at `from` to 1 at `to`: how low cosines of one identity were in
 * training. What a network makes of lower ones is a guess, and sure of itself like any other.
 */
export interface CosineGuard {
  readonly from: number;
  readonly to: number;
}

/** Features of an edge by the graph alone, and by the scores of the round before. */
export const structuralFeatureCount = 16;
export const scoreFeatureCount = 15;

/** The definition of the features that a model was trained on: another one would give other scores. */
const featureDefinition = `structure-${structuralFeatureCount} scores-${scoreFeatureCount}`;

/** The longest neighbour list that features can look at. */
const longestList = 254;

/** Features that a round reads. */
export function featureCount(round: number): number {
  return structuralFeatureCount + (round === 0 ? 0 : scoreFeatureCount);
}

/** A and b of the whitening A x + b. */
export function whiteningTensors(dim: number): NamedShape[] {
  return [
    ['whitening.weight', [dim, dim]],
    ['whitening.bias', [dim]],
  ];
}

/**
 * Tensors of each round r, which is F features wide and has layers l of u units, the last of one:
 *
 *   rounds.r.mean [F]   rounds.r.scale [F]   rounds.r.l.weight [u × inputs]   rounds.r.l.bias [u]
 *
 * A model that whitens features of d columns has also `whiteningTensors`.
 */
function pairwiseTensors({ rounds, hidden, dim }: Pick<PairwiseConfig, 'rounds' | 'hidden' | 'dim'>): NamedShape[] {
  const expected: NamedShape[] = dim === undefined ? [] : whiteningTensors(dim);
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

export const pairwiseModels: ModelKind<PairwiseConfig> = {
  tensors: pairwiseTensors,
  size: ({ rounds, hidden }) => ({ repeats: rounds, of: 'rounds', tensors: rounds * (2 * hidden.length + 4) }),

  metadata({ k, rounds, hidden, dim, guard, centred }) {
    return {
      features: featureDefinition,
      k: String(k),
      rounds: String(rounds),
      hidden: hidden.join(' '),
      ...(dim !== undefined && { dim: String(dim) }),
      ...(guard && { guard: `${guard.from} ${guard.to}` }),
      ...(centred && { cosines: 'centred' }),
    };
  },

  parse(metadata) {
    if (metadata.text('features') !== featureDefinition) {
      metadata.refuse('features', `expected '${featureDefinition}': train again`);
    }
    const accepted = (value: number) => Number.isInteger(value) && value > 0 && value <= longestList;
    const own = {
      head: 'pairwise' as const,
      k: metadata.number('k', accepted, `1..${longestList}`),
      rounds: metadata.count('rounds'),
      hidden: parseHidden(metadata),
    };
    return {
      ...own,
      ...(metadata.has('dim') && { dim: metadata.count('dim') }),
      ...(metadata.has('guard') && { guard: parseGuard(metadata) }),
      ...(metadata.has('cosines') && { centred: parseCentred(metadata) }),
    };
  },
};

function parseHidden(metadata: Metadata): number[] {
  const units = metadata.text('hidden').split(' ').map(Number);
  if (units.every((count) => Number.isInteger(count) && count > 0 && count < 2 ** 16)) return units;
  return metadata.refuse('hidden', 'expected units of each layer');
}

function parseCentred(metadata: Metadata): true {
  return metadata.text('cosines') === 'centred' || metadata.refuse('cosines', "expected 'centred'");
}

function parseGuard(metadata: Metadata): CosineGuard {
  const [from, to, ...rest] = metadata.text('guard').split(' ').map(Number);
  if (from >= -1 && from < to && to <= 1 && rest.length === 0) return { from, to };
  return metadata.refuse('guard', 'expected two cosines, rising');
}
