/**
 * Agglomerative clustering of a sparse graph of scored edges. Two clusters A, B with c edges between them, of summed score
 * w, have the similarity
 *
 *     w / √(c · (c + R_A · R_B))
 *
 * the mean score of the edges that are there, w / c, times the root of the share that they are of all pairs that count: an
 * edge counts once, and each pair of nodes i in A, j in B counts r_i r_j besides. The *room* r_i is the share of node i's
 * candidate edges that lead to other identities, by their scores s: (Σ (1 − s) + 1) / (d + 2) of d edges, Laplace's rule of
 * succession, as scores that are all 1 do not make it certain that the next one would be; R is the sum over a cluster. Average linkage (UPGMA, Sneath & Sokal 1973) holds every
 * absent pair fully against A and B. But a candidate edge is a place in a list of few neighbours: where an identity has more
 * images than lists have places, most of its pairs are absent whatever they are. Lists that are full of their own identity
 * have no room, and the pairs that they lack count nearly nothing; a list that goes on to other people had room for j, and
 * does not hold it. So large identities become whole and small ones stay apart, with nothing to be set.
 *
 * Rooms believe scores. Where these are too sure of themselves, as those of a model from other embeddings may be, look-alikes
 * fill lists too. `capacity` reads room from sizes instead: (d / m)^1.5, at most 1, for the nodes of a cluster of m nodes with d edges each
 * on average. A cluster that fits into lists is held against absent pairs as in average linkage; of a larger one lists cannot hold
 * all pairs, and those that they lack count the less the larger it is. Clusters are needed to tell, so two runs at a low threshold come before,
 * the first of which counts each absent pair fully. The rooms are numbers that no join changes, as the others are.
 *
 * A mean over pairs is not moved by one wrong edge, as components are, and it knows nothing of the rest of the graph, so
 * there is no resolution limit either.
 *
 * **Joining never makes a cluster more similar to a third than one of its parts was.** Take A and B apart from C. The sums w, c
 * and R_A R_C over pairs of A and C, and of B and C, add up when A and B are joined, as each is a sum over pairs of nodes of
 * numbers that no join changes. With g = √(c · (c + R R)) for each of the two pairs of clusters, the root of the product of
 * two sums is at least the sum of the roots of the products (Cauchy–Schwarz), so g of A ∪ B and C is at least g_A + g_B, and
 *
 *     (w_A + w_B) / g  ≤  (w_A + w_B) / (g_A + g_B)  ≤  max(w_A / g_A, w_B / g_B)
 *
 * A normaliser of sizes alone that says how many edges lists can hold, such as min(|A||B|, q · min(|A|, |B|)), has no such
 * bound: the sum of it over two parts can be more than it is of the whole.
 *
 * Therefore joining any two clusters that are each other's most similar gives what joining the most similar pair of all would
 * give: no later join elsewhere makes a third one more similar to either, so the two would stay each other's most similar until
 * their turn comes. One run serves all thresholds above its own (Bruynooghe 1977, Murtagh 1983: nearest-neighbour chains). No
 * heap is needed and edges are added up when a cluster is looked at, not when its neighbours join. Ties go to the pair of the
 * smaller smallest node, then of the smaller other one. Scores and rooms are whole multiples of 2^-20, so that sums are exact
 * in any order, and clusters are compared by the float32 next to what float64 makes of the sums, so that two which are equal
 * but for the rounding of a root are equal, in whatever order joins were made.
 *
 * Constraints change nothing of this. Nodes that are one identity begin as one cluster, as if they had been joined. Clusters that
 * may not be joined are not similar at all, nor is what either becomes part of, so that a join still makes nobody more similar.
 *
 * For the same reason clusters of a block of nodes can be joined before, or while, others are, as long as neither of the two
 * is more similar to a node outside; a cluster that nothing reaches is done with. What is left then is little.
 *
 * O(E) memory: 16 bytes an edge within components of score ≥ threshold, 48 within a block. Time: each of about 3n looks walks the edges of
 * one cluster, O(E) in all while clusters are small beside the graph; a cluster that grows by one node at a time to m
 * nodes costs O(m²) of that.
 */
import { NaanError } from '../errors.js';
import { alone, type Plan, runPlan, together } from '../execution/plan.js';
import type { CandidateEdges } from '../graph/candidate-edges.js';
import { sharedFloats, sharedInts } from '../memory/shared-arrays.js';
import { Apart, type Constraints } from './constraints.js';
import { type Links, linksOf } from './links.js';
import { relabel } from './relabel.js';
import {
  lowestScore,
  type NodeRange,
  rangesOfEdges,
  type ScoredEdges,
  touchedNodes,
  withScores,
} from './scored-edges.js';
import { SharedDisjointSet } from './shared-disjoint-set.js';
import { componentsAt } from './unite.js';

/**
 * The weight of a pair of nodes without an edge: by the room in the lists of both, by what lists can hold of clusters so
 * large, or 1, as in average linkage. `all` is the form that older models were calibrated with: w / √(c · |A| · |B|).
 */
export const absentPairs = ['room', 'capacity', 'all'] as const;
export type AbsentPairs = (typeof absentPairs)[number];

export interface LinkageOptions {
  /** Clusters less similar are not joined, > 0. */
  readonly threshold: number;
  /** Default `room`. */
  readonly absentPairs?: AbsentPairs | undefined;
  /** Input number of each node where nodes were renumbered: decides ties, so that they do not depend on it. */
  readonly order?: Int32Array | undefined;
  /** Constraints on the nodes. */
  readonly constraints?: Constraints | undefined;
}

/** Joins from the most to the least similar: the clusters that hold firsts[m] and seconds[m] at similarities[m]. */
export interface LinkageMerges {
  readonly firsts: Int32Array;
  readonly seconds: Int32Array;
  readonly similarities: Float64Array;
}

/** Scores and rooms are whole multiples of this, so that sums over up to 2^33 of them are exact in any order. */
const scoreUnit = 2 ** -20;
/** A few blocks a thread, of so many nodes that most have their neighbours with them, and not more than memory likes. */
function nodesOfBlock(nodeCount: number, threads: number): number {
  return Math.max(2 ** 12, Math.min(2 ** 17, Math.ceil(nodeCount / (4 * threads))));
}

/**
 * Labels [nodeCount] from `edges` and their `scores` [edgeCount], 0..1: clusters numbered by first appearance, −1 for a
 * node that no candidate edge touches.
 * Throws BAD_SHAPE when arrays do not fit, BAD_INPUT for a score that is NaN, BAD_USAGE for a threshold not above 0.
 */
export function linkage(edges: CandidateEdges, scores: Float32Array, options: LinkageOptions): Int32Array {
  return runPlan(linkagePlan(withScores(edges, scores), options, 1));
}

/**
 * Most bytes that a run takes beside edges and scores: links at both ends, what is kept of a node, and the lists of the
 * blocks that threads are at, with as much again twice that has not been given back yet. For `capacity` also what the run before
 * has not given back, and the sizes of clusters.
 */
export function linkageBytes(nodes: number, edges: number, threads: number, absentPairs: AbsentPairs = 'room'): number {
  const inBlocks = nodes === 0 ? 0 : Math.min(1, (threads * nodesOfBlock(nodes, threads)) / nodes);
  const ofRun = 16 * edges + 42 * nodes;
  const before = absentPairs === 'capacity' ? ofRun + 16 * nodes : 0;
  return before + ofRun + Math.ceil(3 * inBlocks * 24 * edges);
}

interface LinkageInput {
  /** Components of the edges of score ≥ threshold, each named by its smallest node, where the caller has them [nodeCount]. */
  readonly components?: Int32Array | undefined;
  readonly blockNodes?: number;
}

interface JoinInput extends Pick<LinkageInput, 'components'> {
  readonly blockNodes: number;
  /** [nodeCount] */
  readonly rooms: Float32Array;
}

/** The same in steps, over arrays in shared memory: blocks of nodes, each for itself, then what is left between them. */
export function* linkagePlan(
  edges: ScoredEdges,
  options: LinkageOptions,
  threads: number,
  { components, blockNodes = nodesOfBlock(edges.nodeCount, threads) }: LinkageInput = {},
): Plan<Int32Array> {
  const rooms = yield* roomsOf(edges, options, threads, blockNodes);
  return yield* joinAll(edges, options, threads, { components, blockNodes, rooms });
}

/** All joins down to the threshold between nodes of these rooms. */
function* joinAll(
  edges: ScoredEdges,
  options: LinkageOptions,
  threads: number,
  { components, blockNodes, rooms }: JoinInput,
): Plan<Int32Array> {
  const { nodeCount } = edges;
  const links = yield* linksWithin(edges, options, threads, components);
  const state = singles(rooms);
  const blocks = [];
  for (let from = 0; from < nodeCount; from += blockNodes) {
    blocks.push({ links, state, ...options, from, to: Math.min(nodeCount, from + blockNodes) });
  }
  const rests = yield* together(joinWithin, blocks);
  return yield* alone(joinBetween, { edges, state, rests, ...options });
}

/** All joins down to the threshold, for cutting at any higher one. Throws as `linkage` does. */
export function linkageMerges(edges: CandidateEdges, scores: Float32Array, options: LinkageOptions): LinkageMerges {
  const { nodeCount } = edges;
  const scored = withScores(edges, scores);
  const links = runPlan(linksWithin(scored, options, 1));
  const state = singles(runPlan(roomsOf(scored, options, 1, nodesOfBlock(nodeCount, 1))));
  const found = { firsts: [] as number[], seconds: [] as number[], similarities: [] as number[] };
  const lists = listsOf(links, 0, nodeCount);
  new Agglomeration(lists, state, { ...options, from: 0, to: nodeCount }).run((first, second, similarity) => {
    found.firsts.push(first);
    found.seconds.push(second);
    found.similarities.push(similarity);
  });
  const falling = Uint32Array.from(found.similarities, (_, m) => m).sort(
    (x, y) => found.similarities[y] - found.similarities[x] || x - y,
  );
  return {
    firsts: Int32Array.from(falling, (m) => found.firsts[m]),
    seconds: Int32Array.from(falling, (m) => found.seconds[m]),
    similarities: Float64Array.from(falling, (m) => found.similarities[m]),
  };
}

/** Labels at each of some rising thresholds, each cluster named by one of its nodes: one run down to the first serves all. */
export function* linkageCuts(
  edges: ScoredEdges,
  options: LinkageOptions,
  thresholds: readonly number[],
): Iterable<Int32Array> {
  const { nodeCount, scores } = edges;
  const { firsts, seconds, similarities } = linkageMerges(edges, scores, { ...options, threshold: thresholds[0] });
  for (const threshold of thresholds) {
    const parents = Int32Array.from({ length: nodeCount }, (_, node) => node);
    const find = (node: number): number => {
      let root = node;
      while (parents[root] !== root) {
        parents[root] = parents[parents[root]];
        root = parents[root];
      }
      return root;
    };
    for (let m = 0; m < similarities.length && similarities[m] >= threshold; m++)
      parents[find(seconds[m])] = find(firsts[m]);
    yield parents.map((_, node) => find(node));
  }
}

/** No join reaches the threshold between nodes that no path of edges does: a mean is at most the largest score. */
function* linksWithin(
  edges: ScoredEdges,
  { threshold, order, constraints }: LinkageOptions,
  threads: number,
  components?: Int32Array,
): Plan<Links> {
  if (!(threshold > 0))
    throw new NaanError('BAD_USAGE', `linkage threshold: got ${threshold}, expected a number above 0`);
  const { nodeCount } = edges;
  if (order && order.length !== nodeCount) {
    throw new NaanError('BAD_SHAPE', `order: got ${order.length} nodes, expected ${nodeCount}`);
  }
  const set = SharedDisjointSet.allocate(nodeCount, components);
  if (constraints) for (let node = 0; node < nodeCount; node++) set.unite(node, constraints.firsts[node]);
  // Some scores a little below the threshold are rounded up to it.
  const reachable = yield* componentsAt(edges, threshold - scoreUnit, threads, set);
  return yield* linksOf(edges, { threshold: Number.NEGATIVE_INFINITY, components: reachable }, threads);
}

/** Clusters go by a root, the node of the smallest input number. */
interface Clusters {
  /** Above a node in its cluster; a root is its own [n]. */
  readonly parents: Int32Array;
  /** Room of each node; 1 when all absent pairs count [n]. */
  readonly rooms: Float32Array;
  /** At roots: the rooms of the cluster's nodes, added up [n]. */
  readonly roomSums: Float64Array;
  /** At roots: 1 once no other cluster reaches the threshold, and none ever will [n]. */
  readonly settled: Uint8Array;
}

/** Every node a cluster of its own. */
function singles(rooms: Float32Array): Clusters {
  const nodeCount = rooms.length;
  const parents = sharedInts(nodeCount);
  for (let node = 0; node < nodeCount; node++) parents[node] = node;
  const roomSums = new Float64Array(new SharedArrayBuffer(8 * nodeCount));
  roomSums.set(rooms);
  return { parents, rooms, roomSums, settled: new Uint8Array(new SharedArrayBuffer(nodeCount)) };
}

/** Runs that find clusters for `capacity`, and their threshold (docs/quality.md). */
const sizingRuns = 2;
const sizingThreshold = 0.28;

/** The room of each node, in shared memory [nodeCount]. */
function* roomsOf(
  edges: ScoredEdges,
  options: LinkageOptions,
  threads: number,
  blockNodes: number,
): Plan<Float32Array> {
  let rooms = sharedFloats(edges.nodeCount).fill(1);
  if (options.absentPairs === 'all') return rooms;
  if (options.absentPairs === 'capacity') {
    for (let run = 0; run < sizingRuns; run++) {
      const sizing = { ...options, threshold: sizingThreshold };
      const labels = yield* joinAll(edges, sizing, threads, { blockNodes, rooms });
      rooms = yield* alone(findCapacities, { edges, labels });
    }
    return rooms;
  }
  yield* together(
    findRooms,
    rangesOfEdges(edges, threads).map((range) => ({ edges, rooms, ...range })),
  );
  return rooms;
}

/** The room of a node in a cluster of so many, which have so many edges each on average. */
export function capacity(edges: number, size: number): number {
  const share = Math.min(1, edges / size);
  return share * Math.sqrt(share);
}

/** The capacity of each node's cluster [nodeCount]. */
export function findCapacities({ edges, labels }: { edges: ScoredEdges; labels: Int32Array }): Float32Array {
  const { nodeCount, offsets, targets } = edges;
  const sizes = new Int32Array(nodeCount);
  const edgeEnds = new Float64Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    if (labels[node] < 0) continue;
    sizes[labels[node]]++;
    edgeEnds[labels[node]] += offsets[node + 1] - offsets[node];
    for (let e = offsets[node]; e < offsets[node + 1]; e++) edgeEnds[labels[targets[e]]]++;
  }
  const rooms = sharedFloats(nodeCount).fill(1);
  for (let node = 0; node < nodeCount; node++) {
    const label = labels[node];
    if (label < 0) continue;
    const held = capacity(edgeEnds[label] / sizes[label], sizes[label]);
    rooms[node] = Math.ceil(held / scoreUnit) * scoreUnit;
  }
  return rooms;
}

interface RoomsInput extends NodeRange {
  readonly edges: ScoredEdges;
  /** [nodeCount] */
  readonly rooms: Float32Array;
}

/** Rooms of the nodes [from, to), by all edges of a node, at either end. */
export function findRooms({ edges, rooms, from, to }: RoomsInput): void {
  const { nodeCount, offsets, targets, scores } = edges;
  const sums = new Float64Array(to - from);
  const counts = new Int32Array(to - from);
  const one = 1 / scoreUnit;
  for (let node = 0; node < nodeCount; node++) {
    const own = node >= from && node < to;
    let sum = 0;
    let count = 0;
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      const target = targets[e];
      const ownTarget = target >= from && target < to;
      if (!(own || ownTarget)) continue;
      const score = (scores[e] * one + 0.5) | 0;
      if (own) {
        sum += score;
        count++;
      }
      if (ownTarget) {
        sums[target - from] += score;
        counts[target - from]++;
      }
    }
    if (own) {
      sums[node - from] += sum;
      counts[node - from] += count;
    }
  }
  for (let i = 0; i < counts.length; i++) {
    const others = Math.max(0, counts[i] * one - sums[i]);
    rooms[from + i] = Math.round((others + one) / (counts[i] + 2)) * scoreUnit;
  }
}

/**
 * Edges at both ends: those of node `from + i` at starts[i] .. ends[i], each with the node it leads to, how many edges it
 * stands for and their score.
 */
interface EdgeLists {
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  readonly targets: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Float64Array;
}

/** The links of nodes [from, to); targets in their place. */
function listsOf({ offsets, neighbours, scores }: Links, from: number, to: number): EdgeLists {
  const first = offsets[from];
  const starts = new Uint32Array(to - from);
  const ends = new Uint32Array(to - from);
  for (let i = 0; i < starts.length; i++) {
    starts[i] = offsets[from + i] - first;
    ends[i] = offsets[from + i + 1] - first;
  }
  const weights = new Float64Array(offsets[to] - first);
  for (let i = 0; i < weights.length; i++) weights[i] = Math.round(scores[first + i] / scoreUnit) * scoreUnit;
  return {
    starts,
    ends,
    targets: neighbours.subarray(first, offsets[to]),
    counts: new Int32Array(weights.length).fill(1),
    weights,
  };
}

/** Clusters of a block that could not be settled within it, and the sums of their edges: root r's at starts[r] .. starts[r + 1]. */
interface Rest {
  readonly roots: Int32Array;
  readonly starts: Int32Array;
  readonly targets: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Float64Array;
}

interface BlockInput extends NodeRange, LinkageOptions {
  /** The links of the block are used up. */
  readonly links: Links;
  readonly state: Clusters;
}

/** Makes the joins of clusters inside of a block that nothing outside can prevent. */
export function joinWithin(input: BlockInput): Rest {
  const { links, state, from, to } = input;
  const agglomeration = new Agglomeration(listsOf(links, from, to), state, input);
  agglomeration.lookAtSingles();
  agglomeration.run();
  return agglomeration.rest();
}

interface BetweenInput extends LinkageOptions {
  readonly edges: ScoredEdges;
  readonly state: Clusters;
  readonly rests: readonly Rest[];
}

/** Makes the joins that are left, and labels. */
export function joinBetween({ edges, state, rests, ...options }: BetweenInput): Int32Array {
  const { nodeCount } = edges;
  lowestScore(edges, 0, nodeCount);
  const { parents, settled } = state;
  const count = rests.reduce((sum, { targets }) => sum + targets.length, 0);
  const lists: EdgeLists = {
    starts: new Uint32Array(nodeCount),
    ends: new Uint32Array(nodeCount),
    targets: new Int32Array(count),
    counts: new Int32Array(count),
    weights: new Float64Array(count),
  };
  let at = 0;
  for (const { roots, starts, targets, counts, weights } of rests) {
    for (let r = 0; r < roots.length; r++) {
      lists.starts[roots[r]] = at;
      for (let i = starts[r]; i < starts[r + 1]; i++) {
        const root = find(parents, targets[i]);
        if (settled[root] === 1) continue;
        lists.targets[at] = root;
        lists.counts[at] = counts[i];
        lists.weights[at++] = weights[i];
      }
      lists.ends[roots[r]] = at;
    }
  }
  new Agglomeration(lists, state, { ...options, from: 0, to: nodeCount }).run();

  const touched = touchedNodes(edges, options.constraints?.decided);
  const labels = sharedInts(nodeCount);
  for (let node = 0; node < nodeCount; node++) labels[node] = touched[node] === 0 ? -1 : find(parents, node);
  relabel(labels);
  return labels;
}

/**
 * The clusters of nodes [from, to). Others are left as they stand, each node of theirs a cluster of its own: what happens to
 * them never makes them more similar to one of these.
 */
class Agglomeration {
  private readonly threshold: number;
  /** The weight of an edge beside that of its pair of nodes. */
  private readonly edgeShare: number;
  private readonly order: Int32Array | undefined;
  private readonly from: number;
  private readonly to: number;
  /** A cluster has the edges of all of its nodes, which are chained by `next`, −1 at the end; node `from` is 0 in these. */
  private readonly next: Int32Array;
  private readonly tails: Int32Array;
  /** 1 for a cluster that waits for one that is not of these. */
  private readonly waiting: Uint8Array;
  /** Edges of the cluster looked at, by root; all 0 between looks [n]. */
  private readonly countTo: Int32Array;
  private readonly weightTo: Float64Array;
  private readonly met: Int32Array;
  /** The nearest single node of each node as long as neither is joined: no other grows more similar. −1 when not known, or joined. */
  private readonly nearestSingles: Int32Array;
  /** The similarity of the last cluster looked at and its nearest. */
  private nearestSimilarity = 0;
  private readonly constraints: Constraints | undefined;
  private readonly apart: Apart | undefined;

  constructor(
    private readonly lists: EdgeLists,
    private readonly state: Clusters,
    { threshold, absentPairs, order, constraints, from, to }: LinkageOptions & NodeRange,
  ) {
    const nodeCount = state.parents.length;
    this.threshold = threshold;
    this.edgeShare = absentPairs === 'all' ? 0 : 1;
    this.order = order;
    this.from = from;
    this.to = to;
    this.next = new Int32Array(to - from).fill(-1);
    this.tails = new Int32Array(to - from);
    for (let i = 0; i < this.tails.length; i++) this.tails[i] = i;
    this.waiting = new Uint8Array(to - from);
    this.countTo = new Int32Array(nodeCount);
    this.weightTo = new Float64Array(nodeCount);
    this.met = new Int32Array(nodeCount);
    this.nearestSingles = new Int32Array(to - from).fill(-1);
    this.constraints = constraints;
    if (!constraints) return;
    this.apart = new Apart(constraints, from, to, (node) => find(state.parents, node));
    this.joinGroups(constraints);
  }

  /** Joins the groups that lie within; clusters of others wait. */
  private joinGroups({ firsts, lasts }: Constraints): void {
    const { from, to, waiting } = this;
    const { parents } = this.state;
    for (let node = from; node < to; node++) {
      if (firsts[node] < from || lasts[node] >= to) waiting[node - from] = 1;
      else {
        const [own, first] = [find(parents, node), find(parents, firsts[node])];
        if (own === first) continue;
        if (this.name(own) < this.name(first)) this.join(own, first);
        else this.join(first, own);
      }
    }
  }

  /** Looks at each node while none is joined, when edges need not be added up. */
  lookAtSingles(): void {
    const { from, nearestSingles, edgeShare, constraints } = this;
    const { starts, ends, targets, weights } = this.lists;
    const { rooms } = this.state;
    for (let i = 0; i < nearestSingles.length; i++) {
      // A constrained node is looked at when its turn comes.
      if (constraints && isConstrained(constraints, from + i)) continue;
      let best = -1;
      let bestSimilarity = this.threshold;
      const room = rooms[from + i];
      for (let e = starts[i]; e < ends[i]; e++) {
        // A root would only make it less.
        if (weights[e] < bestSimilarity * almostOne) continue;
        const similarity = Math.fround(weights[e] / Math.sqrt(edgeShare + room * rooms[targets[e]]));
        if (similarity < bestSimilarity) continue;
        if (similarity === bestSimilarity && best >= 0 && !this.comesFirst(from + i, targets[e], best)) continue;
        best = targets[e];
        bestSimilarity = similarity;
      }
      nearestSingles[i] = best;
    }
  }

  /** Follows nearest neighbours, each pair more similar than the one before, until two are each other's, and joins those. */
  run(onJoin?: (root: number, other: number, similarity: number) => void): void {
    const { from, to, waiting } = this;
    const { parents, settled } = this.state;
    const chain: number[] = [];
    for (let node = from; node < to; node++) {
      if (parents[node] !== node || settled[node] === 1 || waiting[node - from] === 1) continue;
      chain.push(node);
      while (chain.length > 0) {
        const top = chain[chain.length - 1];
        const nearest = this.nearest(top);
        if (nearest < 0) {
          settled[top] = 1;
          chain.pop();
        } else if (nearest < from || nearest >= to || waiting[nearest - from] === 1) {
          // A waiting cluster changes no more, so every cluster whose nearest it is waits as well.
          for (const cluster of chain) waiting[cluster - from] = 1;
          chain.length = 0;
        } else if (nearest !== chain[chain.length - 2]) chain.push(nearest);
        else {
          const [root, other] = this.name(top) < this.name(nearest) ? [top, nearest] : [nearest, top];
          onJoin?.(root, other, this.nearestSimilarity);
          this.join(root, other);
          chain.length -= 2;
          if (chain.length === 0) chain.push(root);
        }
      }
    }
  }

  /** The clusters that wait for the joining of shards. */
  rest(): Rest {
    const { from, waiting, next } = this;
    const { starts, ends, targets, counts, weights } = this.lists;
    let roots = 0;
    let edges = 0;
    const each = (visit: (root: number, at: number) => void) => {
      for (let i = 0; i < waiting.length; i++) {
        if (waiting[i] === 0) continue;
        for (let node = i; node >= 0; node = next[node]) visit(i, node);
      }
    };
    for (let i = 0; i < waiting.length; i++) roots += waiting[i];
    each((_, node) => {
      edges += ends[node] - starts[node];
    });
    const rest: Rest = {
      roots: sharedInts(roots),
      starts: sharedInts(roots + 1),
      targets: sharedInts(edges),
      counts: sharedInts(edges),
      weights: new Float64Array(new SharedArrayBuffer(8 * edges)),
    };
    let root = -1;
    let at = 0;
    each((i, node) => {
      if (i === node) {
        root++;
        rest.roots[root] = from + i;
        rest.starts[root] = at;
      }
      for (let e = starts[node]; e < ends[node]; e++) {
        rest.targets[at] = targets[e];
        rest.counts[at] = counts[e];
        rest.weights[at++] = weights[e];
      }
    });
    rest.starts[roots] = at;
    return rest;
  }

  /** The cluster most similar to this one, −1 when none reaches the threshold. */
  private nearest(cluster: number): number {
    const { from, to, next, countTo, weightTo, met } = this;
    const { starts, ends, targets, counts, weights } = this.lists;
    const { edgeShare, nearestSingles, apart } = this;
    const { parents, rooms, roomSums } = this.state;
    const known = nearestSingles[cluster - from];
    if (known >= 0 && (known < from || known >= to || nearestSingles[known - from] >= 0)) return known;
    let metCount = 0;
    let entries = 0;
    for (let node = cluster - from; node >= 0; node = next[node]) {
      const end = ends[node];
      for (let i = starts[node]; i < end; i++) {
        entries++;
        const target = targets[i];
        const root = target >= from && target < to ? find(parents, target) : target;
        if (root === cluster) continue;
        if (countTo[root] === 0) met[metCount++] = root;
        countTo[root] += counts[i];
        weightTo[root] += weights[i];
      }
    }
    if (entries - metCount > entries * compactedFrom) this.compact(cluster, metCount);

    const room = roomSums[cluster];
    let best = -1;
    let bestSimilarity = this.threshold;
    let least = bestSimilarity * bestSimilarity * almostOne;
    for (let m = 0; m < metCount; m++) {
      const root = met[m];
      const weight = weightTo[root];
      const count = countTo[root];
      const roomOfRoot = root >= from && root < to ? roomSums[root] : rooms[root];
      const product = count * (edgeShare * count + room * roomOfRoot);
      countTo[root] = 0;
      weightTo[root] = 0;
      // Most are far less similar, which takes no root to see.
      if (weight * weight < least * product) continue;
      const similarity = Math.fround(weight / Math.sqrt(product));
      if (
        similarity < bestSimilarity ||
        (similarity === bestSimilarity && best >= 0 && !this.comesFirst(cluster, root, best))
      )
        continue;
      if (apart?.forbids(cluster, root)) continue;
      best = root;
      bestSimilarity = similarity;
      least = bestSimilarity * bestSimilarity * almostOne;
    }
    this.nearestSimilarity = bestSimilarity;
    return best;
  }

  /** Puts the sums that were just made in the place of the cluster's edges. */
  private compact(cluster: number, metCount: number): void {
    const { from, next, tails, countTo, weightTo, met } = this;
    const { starts, ends, targets, counts, weights } = this.lists;
    let m = 0;
    let last = cluster - from;
    for (let node = cluster - from; node >= 0; node = next[node]) {
      let at = starts[node];
      for (; at < ends[node] && m < metCount; at++, m++) {
        targets[at] = met[m];
        counts[at] = countTo[met[m]];
        weights[at] = weightTo[met[m]];
      }
      if (at > starts[node]) last = node;
      ends[node] = at;
    }
    next[last] = -1;
    tails[cluster - from] = last;
  }

  private join(root: number, other: number): void {
    const { from, next, tails, nearestSingles } = this;
    const { parents, roomSums } = this.state;
    parents[other] = root;
    this.apart?.join(root, other);
    roomSums[root] += roomSums[other];
    nearestSingles[root - from] = -1;
    nearestSingles[other - from] = -1;
    next[tails[root - from]] = other - from;
    tails[root - from] = tails[other - from];
  }

  private name(root: number): number {
    return this.order === undefined ? root : this.order[root];
  }

  /** Whether {cluster, a} comes before {cluster, b} among equals. */
  private comesFirst(cluster: number, a: number, b: number): boolean {
    const [own, nameA, nameB] = [this.name(cluster), this.name(a), this.name(b)];
    const smaller = Math.min(own, nameA) - Math.min(own, nameB);
    return smaller < 0 || (smaller === 0 && Math.max(own, nameA) < Math.max(own, nameB));
  }
}

/** Whether a node is not by itself, or may not be joined with every other. */
function isConstrained({ firsts, lasts, offsets }: Constraints, node: number): boolean {
  return firsts[node] !== lasts[node] || offsets[node] !== offsets[node + 1];
}

/** Part of a cluster's edges that lead inside or where others do, from which it is worth while to write the sums down. */
const compactedFrom = 0.2;

/** Less than 1 by more than rounding to float32 and float64 can bring about. */
const almostOne = 1 - 2 ** -20;

/** The root of a node's cluster. */
function find(parents: Int32Array, start: number): number {
  let node = start;
  while (parents[node] !== node) {
    parents[node] = parents[parents[node]];
    node = parents[node];
  }
  return node;
}
