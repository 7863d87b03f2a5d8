/** Compares the clusters of two labellings: which are parted, which are joined. */

/** A cluster, and the clusters of the other labelling that its rows are in, the one with the most rows first. */
export interface Regrouped {
  readonly cluster: number;
  readonly rows: number;
  readonly others: readonly { readonly cluster: number; readonly rows: number }[];
}

export interface Comparison {
  /** Rows that have a cluster in both, in one of them alone, and in neither. */
  readonly rows: {
    readonly both: number;
    readonly onlyBefore: number;
    readonly onlyAfter: number;
    readonly neither: number;
  };
  /** Clusters of the same rows in both, by the rows that have a cluster in both. */
  readonly same: number;
  /** Clusters before whose rows are in several after, and clusters after whose rows were in several before. */
  readonly parted: number;
  readonly joined: number;
  /** The largest of them. */
  readonly partedExamples: readonly Regrouped[];
  readonly joinedExamples: readonly Regrouped[];
}

/**
 * `before` and `after`: cluster of each row, numbered from 0, −1 for none [n]. At most `examples` of each kind.
 * O(n log n) time, 8 bytes a row.
 */
export function compareLabels(before: Int32Array, after: Int32Array, examples = 5): Comparison {
  const rows = { both: 0, onlyBefore: 0, onlyAfter: 0, neither: 0 };
  for (let row = 0; row < before.length; row++) {
    if (before[row] >= 0) rows[after[row] >= 0 ? 'both' : 'onlyBefore']++;
    else rows[after[row] >= 0 ? 'onlyAfter' : 'neither']++;
  }
  const parts = regroup(before, after, rows.both, examples);
  const joins = regroup(after, before, rows.both, examples);
  let same = 0;
  for (const [cluster, other] of parts.whole) if (joins.whole.get(other) === cluster) same++;
  return {
    rows,
    same,
    parted: parts.several,
    joined: joins.several,
    partedExamples: parts.examples,
    joinedExamples: joins.examples,
  };
}

/** Clusters of `from` by the clusters of `to` that their rows are in: those that are whole in one, and those in several. */
function regroup(from: Int32Array, to: Int32Array, count: number, exampleCount: number) {
  const width = to.reduce((most, cluster) => Math.max(most, cluster), 0) + 1;
  const pairs = new Float64Array(count);
  let filled = 0;
  for (let row = 0; row < from.length; row++) {
    if (from[row] >= 0 && to[row] >= 0) pairs[filled++] = from[row] * width + to[row];
  }
  pairs.sort();
  const whole = new Map<number, number>();
  let several = 0;
  let examples: Regrouped[] = [];
  for (let i = 0; i < count; ) {
    const cluster = Math.floor(pairs[i] / width);
    const others: { cluster: number; rows: number }[] = [];
    const start = i;
    while (i < count && Math.floor(pairs[i] / width) === cluster) {
      const first = i;
      while (i < count && pairs[i] === pairs[first]) i++;
      others.push({ cluster: pairs[first] % width, rows: i - first });
    }
    if (others.length === 1) {
      whole.set(cluster, others[0].cluster);
      continue;
    }
    several++;
    const rows = i - start;
    if (examples.length === exampleCount && rows <= examples[exampleCount - 1].rows) continue;
    others.sort((a, b) => b.rows - a.rows || a.cluster - b.cluster);
    examples = [...examples, { cluster, rows, others }].sort((a, b) => b.rows - a.rows).slice(0, exampleCount);
  }
  return { whole, several, examples };
}
