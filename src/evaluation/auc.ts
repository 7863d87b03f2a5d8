/**
 * Area under the ROC curve: the probability that a random positive pair scores higher than a random negative one, ties
 * counted half (Mann and Whitney 1947). `scores` [n]; `targets` [n]: 1 or 0, anything else for a pair that does not count.
 * NaN when a class has no pair. O(n log n), no index is sorted.
 */
export function auc(scores: Float32Array, targets: ArrayLike<number>): number {
  const positives = scores.filter((_, i) => targets[i] === 1).sort();
  const negatives = scores.filter((_, i) => targets[i] === 0).sort();
  let below = 0;
  let upTo = 0;
  let wins = 0;
  for (const score of positives) {
    while (below < negatives.length && negatives[below] < score) below++;
    while (upTo < negatives.length && negatives[upTo] <= score) upTo++;
    wins += (below + upTo) / 2;
  }
  return wins / (positives.length * negatives.length);
}
