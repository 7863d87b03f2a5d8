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
  let all = 0;
  const sizes = new Int32Array(trust.length);
  for (let row = 0; row < clusterOf.length; row++) {
    if (truth !== undefined && truth[row] === -1) continue;
    all++;
    if (clusterOf[row] !== -1) sizes[clusterOf[row]]++;
  }
  const order = mostTrustedFirst(trust).filter((c) => !Number.isNaN(trust[c]) && sizes[c] > 0);
  const agreement = truth && agreementOf(clusterOf, trust.length, truth);
  const points: TrustPoint[] = [];
  let rows = 0;
  for (let i = 0; i < order.length; i++) {
    const c = order[i];
    rows += sizes[c];
    agreement?.take(c);
    const isLast = i === order.length - 1;
    if (!isLast && (trust[order[i + 1]] === trust[c] || rows * steps < (points.length + 1) * all)) continue;
    points.push({ trust: trust[c], rows, share: rows / all, ...agreement?.found() });
  }
  return points;
}

/** Clusters by falling trust, of equals the first; places of NaN are anywhere. */
function mostTrustedFirst(trust: Float32Array): Uint32Array {
  const pairs = new BigUint64Array(trust.length);
  const words = new Int32Array(pairs.buffer); // the cluster, then its key, which is compared first
  const bits = new Int32Array(trust.map((x) => x + 0).buffer); // -0 is 0
  for (let c = 0; c < trust.length; c++) {
    words[2 * c] = c;
    // Bits of numbers above 0 rise with these, bits of numbers below fall; keys fall, and are compared without a sign.
    words[2 * c + 1] = bits[c] < 0 ? bits[c] : ~bits[c] & 0x7fffffff;
  }
  pairs.sort();
  const order = new Uint32Array(trust.length);
  for (let i = 0; i < order.length; i++) order[i] = words[2 * i];
  return order;
}

/** The agreement of the rows of clusters with the truth, as clusters are taken one by one. */
function agreementOf(clusterOf: Int32Array, clusterCount: number, truth: Int32Array) {
  const isPlaced = (_: number, row: number) => truth[row] !== -1 && clusterOf[row] !== -1;
  const identities = truth.filter(isPlaced);
  const table = contingency(clusterOf.filter(isPlaced), clusterCount, identities, relabel(identities));
  const firstCells = new Uint32Array(clusterCount + 1);
  for (const c of table.clusters) firstCells[c + 1]++;
  for (let c = 0; c < clusterCount; c++) firstCells[c + 1] += firstCells[c];

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
  const found = () => {
    const { rows, precision, recall, both, inClusters, inIdentities } = sums;
    return {
      bcubed: precisionRecall(precision / rows, recall / rows),
      pairwise: precisionRecall(ratio(both, inClusters), ratio(both, inIdentities)),
    };
  };
  return { take, found };
}

function pairs(rows: number): number {
  return (rows * (rows - 1)) / 2;
}
