/** The score of an edge from its logit. */
import type { CosineGuard } from '../../model/pairwise.js';

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** The score that a network's logit gives an edge of this cosine: at most what the guard allows. */
export function scoreOf(logit: number, cosine: number, guard: CosineGuard | undefined): number {
  const score = sigmoid(logit);
  if (guard === undefined || cosine >= guard.to) return score;
  return Math.min(score, Math.max(0, (cosine - guard.from) / (guard.to - guard.from)));
}
