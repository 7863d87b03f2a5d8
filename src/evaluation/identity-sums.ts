/**
 * The sums that each identity adds to BCubed and pairwise agreement. Agreement is a quotient of sums over identities, so that of a
 * resample, in which an identity counts several times or not at all, follows from these without labelling or counting again.
 * Clusters stay as they are: rows of identities that do not count are strangers in them still.
 */
import { relabel } from '../cluster/relabel.js';
import type { Differences } from '../cluster/truth.js';
import { NaanError } from '../errors.js';
import { type PrecisionRecall, precisionRecall, ratio } from './precision-recall.js';

/**
 * Sums of identity y, from 4y on: BCubed precision and recall over its rows; pairs of its rows in one cluster; and pairs of
 * a row of it and any row in one cluster, halved, so that all identities together count each pair once.
 */
export type IdentitySums = Float64Array;

/** Numbers of an identity in `IdentitySums`. */
const width = 4;

export class IdentityAgreement {
  readonly identityCount: number;
  /** Rows of known identity, identity by identity: those of y at starts[y] .. starts[y + 1]. */
  private readonly rows: Int32Array;
  private readonly starts: Int32Array;

  /**
   * truth [n]: any integers, −1 where not known. `differences`, by identities as they are numbered by first appearance: rows of
   * identities that may be one then count in each other's clusters as rows of no known identity do; by default any two are different.
   * Throws BAD_INPUT when no row is known.
   */
  constructor(
    truth: Int32Array,
    private readonly differences?: Differences,
  ) {
    const identityOf = truth.slice();
    this.identityCount = relabel(identityOf);
    if (this.identityCount === 0) {
      throw new NaanError('BAD_INPUT', `truth: all ${truth.length} rows are -1, expected identities`);
    }
    this.starts = new Int32Array(this.identityCount + 1);
    for (const identity of identityOf) if (identity !== -1) this.starts[identity + 1]++;
    for (let y = 0; y < this.identityCount; y++) this.starts[y + 1] += this.starts[y];
    this.rows = new Int32Array(this.starts[this.identityCount]);
    const cursor = this.starts.slice();
    for (let row = 0; row < identityOf.length; row++) {
      if (identityOf[row] !== -1) this.rows[cursor[identityOf[row]]++] = row;
    }
  }

  /** The sums of labels [n] in 0 .. n − 1; a row labelled −1 is a cluster by itself. O(n). */
  sums(labels: Int32Array): IdentitySums {
    const { identityCount, rows, starts } = this;
    const sizes = new Int32Array(labels.length);
    const shared = new Int32Array(labels.length);
    for (const row of rows) if (labels[row] >= 0) sizes[labels[row]]++;
    const strangers = this.differences && this.strangersOf(labels, this.differences, sizes);
    const sums = new Float64Array(width * identityCount);
    for (let y = 0; y < identityCount; y++) {
      const [from, to] = [starts[y], starts[y + 1]];
      for (let i = from; i < to; i++) if (labels[rows[i]] >= 0) shared[labels[rows[i]]]++;
      let [precision, recall, sharedPairs, clusterPairs] = [0, 0, 0, 0];
      for (let i = from; i < to; i++) {
        const label = labels[rows[i]];
        const own = label < 0 ? 1 : shared[label];
        const others = label < 0 ? 0 : strangers ? Math.min(strangers[i], sizes[label] - own) : sizes[label] - own;
        const size = own + others;
        precision += own / size;
        recall += own;
        sharedPairs += own - 1;
        clusterPairs += size - 1;
      }
      for (let i = from; i < to; i++) if (labels[rows[i]] >= 0) shared[labels[rows[i]]] = 0;
      sums.set([precision, recall / (to - from), sharedPairs / 2, clusterPairs / 2], width * y);
    }
    return sums;
  }

  /**
   * For each place in `rows`, the rows of its cluster whose identities are known to be others, those once for each set that says so.
   * O(n + tags).
   */
  private strangersOf(
    labels: Int32Array,
    { offsets, tags, setOf, setCount }: Differences,
    sizes: Int32Array,
  ): Float64Array {
    const { identityCount, rows, starts } = this;
    // Places of known rows, cluster by cluster.
    const ends = new Int32Array(sizes.length);
    for (let label = 0, sum = 0; label < sizes.length; label++) {
      ends[label] = sum;
      sum += sizes[label];
    }
    const places = new Int32Array(rows.length);
    const identityAt = new Int32Array(rows.length);
    for (let y = 0; y < identityCount; y++) identityAt.fill(y, starts[y], starts[y + 1]);
    for (let i = 0; i < rows.length; i++) {
      const label = labels[rows[i]];
      if (label >= 0) places[ends[label]++] = i;
    }
    const bySet = new Float64Array(setCount);
    const byTag = new Float64Array(setOf.length);
    const found = new Float64Array(rows.length);
    const eachTag = (from: number, to: number, visit: (tag: number, place: number) => void) => {
      for (let p = from; p < to; p++) {
        const y = identityAt[places[p]];
        for (let t = offsets[y]; t < offsets[y + 1]; t++) visit(tags[t], places[p]);
      }
    };
    for (let label = 0; label < sizes.length; label++) {
      const [from, to] = [ends[label] - sizes[label], ends[label]];
      if (to - from < 2) continue;
      eachTag(from, to, (tag) => {
        byTag[tag]++;
        bySet[setOf[tag]]++;
      });
      eachTag(from, to, (tag, place) => {
        found[place] += bySet[setOf[tag]] - byTag[tag];
      });
      eachTag(from, to, (tag) => {
        byTag[tag] = 0;
        bySet[setOf[tag]] = 0;
      });
    }
    return found;
  }

  /** Agreement when identity y counts times[y] times, by default once. */
  agreement(sums: IdentitySums, times?: Uint16Array): { bcubed: PrecisionRecall; pairwise: PrecisionRecall } {
    const { identityCount, starts } = this;
    let [rows, precision, recall, sharedPairs, clusterPairs, identityPairs] = [0, 0, 0, 0, 0, 0];
    for (let y = 0; y < identityCount; y++) {
      const weight = times === undefined ? 1 : times[y];
      if (weight === 0) continue;
      const size = starts[y + 1] - starts[y];
      rows += weight * size;
      precision += weight * sums[width * y];
      recall += weight * sums[width * y + 1];
      sharedPairs += weight * sums[width * y + 2];
      clusterPairs += weight * sums[width * y + 3];
      identityPairs += (weight * (size * (size - 1))) / 2;
    }
    return {
      bcubed: precisionRecall(ratio(precision, rows), ratio(recall, rows)),
      pairwise: precisionRecall(ratio(sharedPairs, clusterPairs), ratio(sharedPairs, identityPairs)),
    };
  }
}
