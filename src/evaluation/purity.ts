/** Purity: the share of rows that are of the commonest identity of their cluster (Manning et al. 2008, §16.3). */
import type { Contingency } from './contingency.js';

export function purity({ clusterSizes, clusters, shared, rowCount }: Contingency): number {
  const largest = new Int32Array(clusterSizes.length);
  for (let cell = 0; cell < shared.length; cell++) {
    largest[clusters[cell]] = Math.max(largest[clusters[cell]], shared[cell]);
  }
  return largest.reduce((sum, rows) => sum + rows, 0) / rowCount;
}
