/** The quality of labels when only the clusters that are trusted most are kept: the discard ratio of the paper, made continuous. */
import { relabel } from '../cluster/relabel.js';
import { contingency } from './contingency.js';
import { type PrecisionRecall, precisionRecall, ratio } from './precision-recall.js';

/** The rows of the clusters of this trust or more. */
export interface TrustPoint {
  /** The least trust among the clusters that are kept. */
  readonly trust: number;
  /** Rows that are kept, and their share of all that count. */
  readonly rows: number;
  readonly share: number;
  /** Agreement over the rows that are kept, as `evaluate` gives it for them alone; absent without a truth. */
  readonly bcubed?: PrecisionRecall;
  readonly pairwise?: PrecisionRecall;
}

/**
 * About `steps` points, evenly spaced by the share of the rows and ending with all of them. clusterOf [n]: cluster of each row,
 * −1 for none; `trust`: of each cluster, NaN for one that is never kept; truth [n]: identity of each row, −1 where it is not
 * known, which leaves the row out of everything. Clusters of equal trust are kept together. O(n log n).
 */
export function trustCurve(
  clusterOf: Int32Array,
  trust: Float32Array,
  truth: Int32Array | undefined,
  steps: number,
): TrustPoint[] {
  const counts = (row: number) => truth === undefined || truth[row] !== -1;
  const isPlaced = (_: number, row: number) => counts(row) && clusterOf[row] !== -1;
  const all = clusterOf.reduce((sum, _, row) => sum + Number(counts(row)), 0);
  const clusters = clusterOf.filter(isPlaced);
  const identities = (truth ?? clusterOf).filter(isPlaced);
  const table = contingency(clusters, trust.length, identities, relabel(identities));
  const order = Uint32Array.from(trust.keys()).filter((c) => !Number.isNaN(trust[c]) && table.clusterSizes[c] > 0);
  order.sort((a, b) => trust[b] - trust[a] || a - b);
  const firstCells = new Uint32Array(trust.length + 1);
  for (const c of table.clusters) firstCells[c + 1]++;
  for (let c = 0; c < trust.length; c++) firstCells[c + 1] += firstCells[c];

  /** For each identity, the number of rows that are kept, and the sum of the squares of its cells. */
  const kept = new Float64Array(table.identitySizes.length);
  const squares = new Float64Array(table.identitySizes.length);
  const sums = { rows: 0, precision: 0, recall: 0, both: 0, inClusters: 0, inIdentities: 0 };
  const take = (c: number) => {
    const size = table.clusterSizes[c];
    sums.rows += size;
    sums.inClusters += pairs(size);
    for (let cell = firstCells[c]; cell < firstCells[c + 1]; cell++) {
      const [identity, shared] = [table.identities[cell], table.shared[cell]];
      sums.precision += (shared * shared) / size;
      sums.both += pairs(shared);
      sums.recall -= ratio(squares[identity], kept[identity]);
      sums.inIdentities -= pairs(kept[identity]);
      kept[identity] += shared;
      squares[identity] += shared * shared;
      sums.recall += squares[identity] / kept[identity];
      sums.inIdentities += pairs(kept[identity]);
    }
  };
  const points: TrustPoint[] = [];
  order.forEach((c, i) => {
    take(c);
    const isLast = i === order.length - 1;
    if (!isLast && (trust[order[i + 1]] === trust[c] || sums.rows * steps < (points.length + 1) * all)) return;
    const { rows, precision, recall, both, inClusters, inIdentities } = sums;
    points.push({
      trust: trust[c],
      rows,
      share: rows / all,
      ...(truth && {
        bcubed: precisionRecall(precision / rows, recall / rows),
        pairwise: precisionRecall(ratio(both, inClusters), ratio(both, inIdentities)),
      }),
    });
  });
  return points;
}

function pairs(rows: number): number {
  return (rows * (rows - 1)) / 2;
}
