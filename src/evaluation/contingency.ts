/**
 * The contingency table of clusters and identities, kept as its cells that are not 0. n rows have at most n of
 * them, where the dense table would have clusters × identities.
 */
export interface Contingency {
  /** Rows counted. */
  readonly rowCount: number;
  /** Rows of each cluster, of each identity. */
  readonly clusterSizes: Int32Array;
  readonly identitySizes: Int32Array;
  /** Cell c: `shared[c]` > 0 rows are both of clusters[c] and of identities[c]. Cells of a cluster are neighbours. */
  readonly clusters: Int32Array;
  readonly identities: Int32Array;
  readonly shared: Int32Array;
}

/** clusterOf [n] in 0..clusterCount−1, identityOf [n] in 0..identityCount−1. O(n), no hashing. */
export function contingency(
  clusterOf: Int32Array,
  clusterCount: number,
  identityOf: Int32Array,
  identityCount: number,
): Contingency {
  const rowCount = clusterOf.length;
  const clusterSizes = new Int32Array(clusterCount);
  const identitySizes = new Int32Array(identityCount);
  for (let row = 0; row < rowCount; row++) {
    clusterSizes[clusterOf[row]]++;
    identitySizes[identityOf[row]]++;
  }

  // The identities of the rows, cluster by cluster.
  const identities = new Int32Array(rowCount);
  const cursor = new Int32Array(clusterCount);
  for (let c = 1; c < clusterCount; c++) cursor[c] = cursor[c - 1] + clusterSizes[c - 1];
  for (let row = 0; row < rowCount; row++) identities[cursor[clusterOf[row]]++] = identityOf[row];

  // The first row of each identity in the cluster becomes its cell; cells are written over rows that were read already.
  const clusters = new Int32Array(rowCount);
  const shared = new Int32Array(rowCount);
  const cellOf = new Int32Array(identityCount);
  let cells = 0;
  for (let c = 0, row = 0; c < clusterCount; c++) {
    const firstCell = cells;
    for (const end = row + clusterSizes[c]; row < end; row++) {
      const identity = identities[row];
      let cell = cellOf[identity];
      // An entry of cellOf that an earlier cluster left, or that was never set, points at no cell of this cluster and identity.
      if (cell < firstCell || cell >= cells || identities[cell] !== identity) {
        cell = cells++;
        cellOf[identity] = cell;
        clusters[cell] = c;
        identities[cell] = identity;
      }
      shared[cell]++;
    }
  }
  return {
    rowCount,
    clusterSizes,
    identitySizes,
    clusters: clusters.slice(0, cells),
    identities: identities.slice(0, cells),
    shared: shared.slice(0, cells),
  };
}

/** The table without the rows that are alone in their cluster. */
export function withoutSingletons(table: Contingency): Contingency {
  const { clusterSizes } = table;
  const identitySizes = table.identitySizes.slice();
  const clusters = table.clusters.slice();
  const identities = table.identities.slice();
  const shared = table.shared.slice();
  let { rowCount } = table;
  let kept = 0;
  for (let cell = 0; cell < shared.length; cell++) {
    if (clusterSizes[clusters[cell]] === 1) {
      identitySizes[identities[cell]]--;
      rowCount--;
      continue;
    }
    clusters[kept] = clusters[cell];
    identities[kept] = identities[cell];
    shared[kept++] = shared[cell];
  }
  return {
    rowCount,
    clusterSizes: clusterSizes.map((size) => (size === 1 ? 0 : size)),
    identitySizes,
    clusters: clusters.subarray(0, kept),
    identities: identities.subarray(0, kept),
    shared: shared.subarray(0, kept),
  };
}
