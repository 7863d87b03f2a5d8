/**
 * BCubed (Bagga and Baldwin 1998; Amigó et al. 2009): for each row, the share of its cluster that is of its identity
 * (precision), and the share of its identity that is in its cluster (recall), the row itself counted; the mean over rows.
 * A cell of s rows gives each of them s / |cluster| and s / |identity|.
 */
import type { Contingency } from './contingency.js';
import { type PrecisionRecall, precisionRecall, ratio } from './precision-recall.js';

export function bcubed(table: Contingency): PrecisionRecall {
  const { clusterSizes, identitySizes, clusters, identities, shared, rowCount } = table;
  let precision = 0;
  let recall = 0;
  for (let cell = 0; cell < shared.length; cell++) {
    const square = shared[cell] * shared[cell];
    precision += square / clusterSizes[clusters[cell]];
    recall += square / identitySizes[identities[cell]];
  }
  return precisionRecall(ratio(precision, rowCount), ratio(recall, rowCount));
}
