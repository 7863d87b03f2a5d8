/**
 * Normalised mutual information of clusters and identities, 2 I(C; T) / (H(C) + H(T)): the arithmetic normalisation of
 * Strehl and Ghosh's measure, scikit-learn's default since 0.22 (before that, and so in older published figures, it
 * was the geometric one). 1 when both are one single group.
 */
import type { Contingency } from './contingency.js';

export function nmi(table: Contingency): number {
  const { clusterSizes, identitySizes, clusters, identities, shared, rowCount } = table;
  if (rowCount === 0) return 0;
  let information = 0;
  for (let cell = 0; cell < shared.length; cell++) {
    const independent = (clusterSizes[clusters[cell]] / rowCount) * identitySizes[identities[cell]];
    information += (shared[cell] / rowCount) * Math.log(shared[cell] / independent);
  }
  const entropies = entropy(clusterSizes, rowCount) + entropy(identitySizes, rowCount);
  if (entropies === 0) return 1;
  // Rounding takes partitions that are equal, or know nothing of each other, a little over the ends.
  return Math.min(1, Math.max(0, (2 * information) / entropies));
}

function entropy(sizes: Int32Array, rowCount: number): number {
  let sum = 0;
  for (let i = 0; i < sizes.length; i++) {
    const share = sizes[i] / rowCount;
    if (share > 0 && share < 1) sum -= share * Math.log(share);
  }
  return sum;
}
