/**
 * Small labelled sets of many kinds, to train a general model on and to measure with. Unlike `naan generate`, which makes
 * one kind of set of any size, each set here has a character of its own. An image of identity p in domain o is
 *
 *   x = u_p + t · v_p + q · ε + w · N g + s · D_o + b · m,   L2-normalised:
 *   u_p          the identity, of which a share is its family's, and of that a half its clan's: look-alikes
 *   v_p, t       a pose axis of the identity; t gathers at the two ends of (−1, 1)
 *   q            quality: log-normal
 *   N g          variation in a few directions that all identities share, as embeddings that were not made for a set have
 *   D_o          where images of a domain, such as a camera, are moved to
 *   m            a direction that all images share; poor images also move towards another one, by their quality beyond the median
 *
 * Every vector has an expected length of 1 and one spectrum, flat up to a knee and then falling.
 */
import { RandomStream, shuffled } from '../src/graph/random.js';
import { SharedRows } from '../src/memory/shared-rows.js';

export interface SetRecipe {
  readonly seed: number;
  /** Seed of the directions that all images share, which sets of the same embeddings have in common; default: `seed`. */
  readonly sharedSeed?: number | undefined;
  readonly dim: number;
  /** Columns of the spectrum before it falls, and the power by which it does. */
  readonly knee: number;
  readonly fall: number;
  /** Identities of more than one draw: their number, median size, log-normal spread and the greatest size. */
  readonly identities: number;
  readonly medianSize: number;
  readonly sizeSpread: number;
  readonly largestSize: number;
  /** Sizes by a power law instead, P(size ≥ s) = s^−tail, up to the greatest size. */
  readonly tail?: number | undefined;
  /** Size of the first identity, whatever the others have. */
  readonly oneOf?: number | undefined;
  /** Identities of one image, for each of the others. */
  readonly strangers: number;
  /** Identities of a family, families of a clan, and how much of an identity is theirs: from the least to the greatest share. */
  readonly familySize: number;
  readonly clanSize: number;
  readonly familyShare: readonly [least: number, greatest: number];
  readonly pose: number;
  readonly noise: number;
  readonly noiseSpread: number;
  readonly nuisance: number;
  readonly nuisanceRank: number;
  readonly domains: number;
  readonly domainShift: number;
  readonly common: number;
  /** How far poor images are moved to where all poor images are; default: 0. */
  readonly poor?: number | undefined;
}

export interface MadeSet {
  readonly rows: SharedRows;
  /** Identity of each row. */
  readonly labels: Int32Array;
}

/** What a random stream is for. */
const purpose = { size: 100, shared: 101, family: 102, clan: 106, identity: 103, image: 104, order: 105 } as const;

/** The set of a recipe; rows in random order. */
export function madeSet(recipe: SetRecipe): MadeSet {
  const { seed, dim, identities, strangers, oneOf } = recipe;
  const spectrum = spectrumOf(recipe);
  const vectors = (random: RandomStream, count: number) =>
    Array.from({ length: count }, () => {
      const vector = new Float32Array(dim);
      random.gaussians(vector);
      return vector.map((value, c) => value * spectrum[c]);
    });
  const sizes = new RandomStream(seed, purpose.size, 0);
  const sizeOf = Array.from({ length: identities + Math.round(strangers * identities) }, (_, p) => {
    if (p >= identities) return 1;
    if (p === 0 && oneOf !== undefined) return oneOf;
    const size =
      recipe.tail === undefined
        ? Math.round(recipe.medianSize * Math.exp(recipe.sizeSpread * sizes.gaussian()))
        : Math.floor((1 - sizes.uniform()) ** (-1 / recipe.tail));
    return Math.min(Math.max(size, 1), recipe.largestSize);
  });
  const shared = new RandomStream(recipe.sharedSeed ?? seed, purpose.shared, 0);
  const [common] = vectors(shared, 1);
  const nuisances = vectors(shared, recipe.nuisanceRank);
  const domains = vectors(shared, recipe.domains);
  const [poor] = vectors(shared, 1);

  const count = sizeOf.reduce((sum, size) => sum + size, 0);
  const rowOf = shuffled(count, new RandomStream(seed, purpose.order, 0));
  const rows = SharedRows.allocate(count, dim);
  const labels = new Int32Array(count);
  let image = 0;
  for (const [p, size] of sizeOf.entries()) {
    const family = Math.floor(p / recipe.familySize);
    const [ofFamily] = vectors(new RandomStream(seed, purpose.family, family), 1);
    const [ofClan] = vectors(new RandomStream(seed, purpose.clan, Math.floor(family / recipe.clanSize)), 1);
    const random = new RandomStream(seed, purpose.identity, p);
    const [own, pose] = vectors(random, 2);
    const [least, greatest] = recipe.familyShare;
    const share = least + (greatest - least) * random.uniform();
    const [wide, narrow] = [Math.sqrt(share / 2), Math.sqrt(1 - share)];
    for (let i = 0; i < size; i++, image++) {
      const stream = new RandomStream(seed, purpose.image, image);
      const [noise] = vectors(stream, 1);
      const quality = recipe.noise * Math.exp(recipe.noiseSpread * stream.gaussian());
      const toEnd = 2 * stream.uniform() - 1;
      const t = recipe.pose * Math.sign(toEnd) * Math.sqrt(Math.abs(toEnd));
      const domain = domains[stream.below(domains.length)];
      const amounts = nuisances.map(() => (recipe.nuisance * stream.gaussian()) / Math.sqrt(nuisances.length));
      const toPoor = (recipe.poor ?? 0) * Math.max(0, quality / recipe.noise - 1);
      const x = rows.row(rowOf[image]);
      let squares = 0;
      for (let c = 0; c < dim; c++) {
        let value = wide * (ofFamily[c] + ofClan[c]) + narrow * own[c] + t * pose[c] + quality * noise[c];
        value += recipe.common * common[c] + recipe.domainShift * (domain?.[c] ?? 0) + toPoor * poor[c];
        for (const [m, amount] of amounts.entries()) value += amount * nuisances[m][c];
        x[c] = value;
        squares += value * value;
      }
      for (let c = 0; c < dim; c++) x[c] /= Math.sqrt(squares);
      labels[rowOf[image]] = p;
    }
  }
  return { rows, labels };
}

/** Standard deviation of each column; squares add up to 1. */
function spectrumOf({ dim, knee, fall }: SetRecipe): Float32Array {
  const spectrum = Float32Array.from({ length: dim }, (_, c) => 1 / (1 + c / knee) ** fall);
  const norm = Math.sqrt(spectrum.reduce((sum, value) => sum + value * value, 0));
  return spectrum.map((value) => value / norm);
}
