/**
 * Pairwise precision and recall: of the pairs of rows in one cluster, the share that is of one identity, and the other
 * way round. Counts of pairs are exact up to 2^53, some 130 million rows in one cluster.
 */
import type { Contingency } from './contingency.js';
import { type PrecisionRecall, precisionRecall, ratio } from './precision-recall.js';

export function pairwise({ clusterSizes, identitySizes, shared }: Contingency): PrecisionRecall {
  const both = pairsWithin(shared);
  return precisionRecall(ratio(both, pairsWithin(clusterSizes)), ratio(both, pairsWithin(identitySizes)));
}

function pairsWithin(sizes: Int32Array): number {
  let pairs = 0;
  for (let i = 0; i < sizes.length; i++) pairs += (sizes[i] * (sizes[i] - 1)) / 2;
  return pairs;
}
