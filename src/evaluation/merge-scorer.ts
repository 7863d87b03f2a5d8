/**
 * BCubed and pairwise agreement after any number of a series of cluster merges, O(n log n) for all of them, where
 * counting the overlaps afresh would cost O(n) at each step.
 *
 * The sums behind both measures change at a merge only by the identities that its two clusters share. To find those,
 * put the nodes in an order in which every cluster there ever is occupies one range: join the lists of members at each
 * merge and note at the seam which merge it was. Two nodes come into one cluster at the latest merge between them. So
 * each node and the next one of its identity in that order make a link with the merge that puts them together, and the
 * links of a merge are exactly the identities shared, each once.
 */
import { DisjointSet } from '../cluster/disjoint-set.js';
import { relabel } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { type PrecisionRecall, precisionRecall, ratio } from './precision-recall.js';

/** Merge m joins the cluster of node firsts[m] with that, always another one, of seconds[m], m < count. */
export interface Merges {
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
  readonly count: number;
}

export class MergeScorer {
  private readonly clusters: DisjointSet;
  /** Nodes of one cluster and one identity. */
  private readonly cells: DisjointSet;
  private readonly links: MergeLinks;
  private readonly identityOf: Int32Array;
  private readonly identitySizes: Int32Array;
  private readonly knownCount: number;
  /** Nodes of known identity in each cluster, at its root, and the sum of its cells' squared sizes. */
  private readonly known: Int32Array;
  private readonly squares: Float64Array;
  private done = 0;
  /** BCubed sums over nodes; pairs of nodes in one cluster, in one identity, in both. */
  private precisionSum: number;
  private recallSum: number;
  private clusterPairs = 0;
  private identityPairs = 0;
  private sharedPairs = 0;

  /** truth [nodeCount]: identities, −1 for nodes that do not count. Throws BAD_SHAPE, or BAD_INPUT when all are −1. */
  constructor(
    nodeCount: number,
    private readonly merges: Merges,
    truth: Int32Array,
  ) {
    if (truth.length !== nodeCount) {
      throw new NaanError('BAD_SHAPE', `truth: got ${truth.length} rows, expected one for each of ${nodeCount} nodes`);
    }
    this.identityOf = truth.slice();
    this.identitySizes = new Int32Array(relabel(this.identityOf));
    this.known = this.identityOf.map((identity) => (identity === -1 ? 0 : 1));
    this.squares = Float64Array.from(this.known);
    for (const identity of this.identityOf) if (identity !== -1) this.identitySizes[identity]++;
    this.knownCount = this.known.reduce((sum, one) => sum + one, 0);
    if (this.knownCount === 0)
      throw new NaanError('BAD_INPUT', `truth: all ${nodeCount} rows are -1, expected identities`);
    for (const size of this.identitySizes) this.identityPairs += (size * (size - 1)) / 2;
    this.precisionSum = this.knownCount;
    this.recallSum = this.identitySizes.length;
    this.clusters = new DisjointSet(nodeCount);
    this.cells = new DisjointSet(nodeCount);
    this.links = linkIdentities(nodeCount, merges, this.identityOf, this.identitySizes.length);
  }

  /** Agreement once the first `count` merges are made; count may only grow from call to call. */
  after(count: number): { bcubed: PrecisionRecall; pairwise: PrecisionRecall } {
    for (; this.done < count; this.done++) this.merge(this.done);
    const { knownCount, sharedPairs } = this;
    return {
      bcubed: precisionRecall(this.precisionSum / knownCount, this.recallSum / knownCount),
      pairwise: precisionRecall(ratio(sharedPairs, this.clusterPairs), ratio(sharedPairs, this.identityPairs)),
    };
  }

  private merge(m: number): void {
    const { clusters, cells, known, squares, links, merges } = this;
    let gained = 0;
    for (let i = links.starts[m]; i < links.starts[m + 1]; i++) {
      const node = links.firsts[i];
      const product = cells.sizeOf(node) * cells.sizeOf(links.seconds[i]);
      cells.unite(node, links.seconds[i]);
      gained += 2 * product;
      this.sharedPairs += product;
      this.recallSum += (2 * product) / this.identitySizes[this.identityOf[node]];
    }
    const a = clusters.find(merges.firsts[m]);
    const b = clusters.find(merges.seconds[m]);
    const size = known[a] + known[b];
    const sum = squares[a] + squares[b] + gained;
    this.precisionSum += ratio(sum, size) - ratio(squares[a], known[a]) - ratio(squares[b], known[b]);
    this.clusterPairs += known[a] * known[b];
    clusters.unite(a, b);
    const root = clusters.find(a);
    known[root] = size;
    squares[root] = sum;
  }
}

/** Links of merge m: nodes (firsts[i], seconds[i]) of one identity, i in starts[m] .. starts[m + 1]. */
interface MergeLinks {
  readonly starts: Int32Array;
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
}

function linkIdentities(nodeCount: number, merges: Merges, identityOf: Int32Array, identityCount: number): MergeLinks {
  const { order, seams } = memberOrder(nodeCount, merges);
  const lastPlace = new Int32Array(identityCount).fill(-1);
  /** The place of the one before of the same identity, and the merge that puts the two together; by place. */
  const before = new Int32Array(nodeCount);
  const mergeOf = new Int32Array(nodeCount).fill(merges.count);
  // Seams passed, from the latest merge to the earliest: an earlier one behind a later one never decides again.
  const stack = new Int32Array(nodeCount);
  let height = 0;
  const starts = new Int32Array(merges.count + 2);
  for (let place = 0; place < nodeCount; place++) {
    if (place > 0) {
      while (height > 0 && seams[stack[height - 1]] <= seams[place - 1]) height--;
      stack[height++] = place - 1;
    }
    const identity = identityOf[order[place]];
    if (identity === -1) continue;
    before[place] = lastPlace[identity];
    if (lastPlace[identity] !== -1) mergeOf[place] = seams[firstAtLeast(stack, height, lastPlace[identity])];
    lastPlace[identity] = place;
    starts[mergeOf[place] + 1]++;
  }
  for (let m = 0; m <= merges.count; m++) starts[m + 1] += starts[m];
  const cursor = starts.slice();
  const firsts = new Int32Array(starts[merges.count]);
  const seconds = new Int32Array(firsts.length);
  for (let place = 0; place < nodeCount; place++) {
    if (mergeOf[place] === merges.count) continue;
    const at = cursor[mergeOf[place]]++;
    firsts[at] = order[before[place]];
    seconds[at] = order[place];
  }
  return { starts, firsts, seconds };
}

/** Nodes in an order that keeps each cluster in one range at any time; seams[p]: the merge that joined places p, p + 1. */
function memberOrder(nodeCount: number, { firsts, seconds, count }: Merges): { order: Int32Array; seams: Int32Array } {
  const clusters = new DisjointSet(nodeCount);
  const next = new Int32Array(nodeCount).fill(-1);
  const seamAfter = new Int32Array(nodeCount).fill(count);
  // First and last member of a cluster, at its root.
  const heads = Int32Array.from({ length: nodeCount }, (_, node) => node);
  const tails = heads.slice();
  for (let m = 0; m < count; m++) {
    const a = clusters.find(firsts[m]);
    const b = clusters.find(seconds[m]);
    const head = heads[a];
    const tail = tails[b];
    next[tails[a]] = heads[b];
    seamAfter[tails[a]] = m;
    clusters.unite(a, b);
    const root = clusters.find(a);
    heads[root] = head;
    tails[root] = tail;
  }
  const order = new Int32Array(nodeCount);
  const seams = new Int32Array(nodeCount);
  let place = 0;
  for (let root = 0; root < nodeCount; root++) {
    if (clusters.find(root) !== root) continue;
    for (let node = heads[root]; node !== -1; node = next[node]) {
      order[place] = node;
      seams[place++] = seamAfter[node];
    }
  }
  return { order, seams };
}

/** The lowest of the rising places that is ≥ least. */
function firstAtLeast(rising: Int32Array, length: number, least: number): number {
  let low = 0;
  let high = length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rising[middle] >= least) high = middle;
    else low = middle + 1;
  }
  return rising[low];
}
