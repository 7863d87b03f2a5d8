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

/**
 * Tensors of each round r, which is F features wide and has layers l of u units, the last of one:
 *
 *   rounds.r.mean [F]   rounds.r.scale [F]   rounds.r.l.weight [u × inputs]   rounds.r.l.bias [u]
 */
function pairwiseTensors({ rounds, hidden }: Pick<PairwiseConfig, 'rounds' | 'hidden'>): NamedShape[] {
  const expected: NamedShape[] = [];
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

  metadata({ k, rounds, hidden, guard, centred }) {
    return {
      features: featureDefinition,
      k: String(k),
      rounds: String(rounds),
      hidden: hidden.join(' '),
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
