/** The sets that the general model learns from: what differs between embeddings is drawn at random, each set for itself. */
import { RandomStream } from '../src/graph/random.js';
import type { SetRecipe } from './made-sets.js';

const recipePurpose = 110;

export function recipeOf(seed: number, index: number): SetRecipe {
  const random = new RandomStream(seed, recipePurpose, index);
  const between = (low: number, high: number) => low + (high - low) * random.uniform();
  const logBetween = (low: number, high: number) => Math.exp(between(Math.log(low), Math.log(high)));
  const sometimes = (share: number, value: () => number, otherwise = 0) => {
    const drawn = value();
    return random.uniform() < share ? drawn : otherwise;
  };
  const dim = [32, 64, 128, 128, 256, 512, 1024][random.below(7)];
  const medianSize = logBetween(1, 25);
  const sizeSpread = sometimes(0.7, () => between(0.3, 1.3));
  const rowsAbout = logBetween(600, 5000);
  const strangers = [0, 0, 0.5, 1, 3, 10][random.below(6)];
  const meanSize = medianSize * Math.exp(sizeSpread ** 2 / 2) + strangers;
  return {
    seed: seed * 4096 + index,
    dim,
    knee: Math.min(dim, logBetween(16, 200)),
    fall: between(0.5, 1.5),
    identities: Math.max(20, Math.round(rowsAbout / meanSize)),
    medianSize,
    sizeSpread,
    largestSize: 500,
    oneOf: random.uniform() < 0.3 ? Math.round(logBetween(80, 500)) : undefined,
    strangers,
    familySize: Math.round(logBetween(2, 16)),
    clanSize: Math.round(logBetween(1, 16)),
    familyShare: [between(0, 0.4), between(0.6, 0.97)],
    pose: sometimes(0.6, () => between(0.2, 0.8)),
    noise: logBetween(0.4, 1.1),
    noiseSpread: between(0.1, 0.5),
    nuisance: sometimes(0.4, () => between(0.2, 0.7)),
    nuisanceRank: 4 + random.below(16),
    domains: 1 + random.below(4),
    domainShift: sometimes(0.4, () => between(0.1, 0.6)),
    common: sometimes(0.5, () => between(0.1, 1)),
  };
}
