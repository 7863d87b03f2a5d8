/**
 * Checks that a kNN graph belongs to the features it is given with: the cosines of some rows, picked at random, with rows of
 * their lists and with rows that they do not list. In a graph of these features the listed rows are nearer, and nearest first.
 */
import { NaanError } from '../errors.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { RandomStream } from '../graph/random.js';
import { type MatrixLocation, openRows, type RowReader } from '../io/matrix.js';

export type GraphCheck = 'refuse' | 'skip';

export interface CheckedGraph {
  /** The name of the graph in messages: its file. */
  readonly name: string;
  readonly graph: KnnGraph;
}

interface Shares {
  /** Pairs of a listed row and one that is not listed in which the latter is nearer. */
  readonly farther: number;
  /** Pairs of rows in one list in which the latter is clearly nearer. */
  readonly unordered: number;
}

const samplePurpose = 90;
const sampledLists = 128;
/** Fewer lists in Fortran order, where a row is read value by value. */
const sampledListsByColumns = 24;
const listedEach = 5;
const othersEach = 3;
/** A graph made from features in half precision is no reason for doubt, nor one of an approximate search. */
const sameCosine = 1e-4;
const clearlyNearer = 0.02;
/** The share is one half with lists drawn at random; graphs of exact and of approximate searches stay below one in a hundred. */
const mostFarther = 0.35;
const doubtful = 0.05;
const mostUnordered = 0.15;

/**
 * Throws BAD_INPUT when no row has a neighbour, or when listed rows are no nearer than others; warns by `onNotice` when they
 * hardly are, or when lists are in another order. Reads about a thousand rows, and whole lists where those leave a doubt: a graph
 * may name one of several equal rows, and the others are then as near as the one that is named.
 */
export function checkGraph(
  features: MatrixLocation,
  { name, graph }: CheckedGraph,
  onNotice?: (message: string) => void,
): void {
  const { nodeCount } = graph;
  if (nodeCount < 2) return;
  if (!hasNeighbours(graph)) {
    throw new NaanError(
      'BAD_INPUT',
      `${name}: no row has a neighbour, expected ids of other rows: make it again with naan knn, or --graph-check skip to go on`,
    );
  }
  let { farther, unordered } = sample(features, graph, false);
  if (farther > doubtful) ({ farther, unordered } = sample(features, graph, true));
  const found = `in a sample, ${percent(farther)} of the rows that a list does not name are nearer than one it names, expected about 0 %`;
  if (farther > mostFarther) {
    throw new NaanError(
      'BAD_INPUT',
      `${name}: is not a graph of ${features.name}: ${found}: give the graph of these features, or --graph-check skip to go on`,
    );
  }
  if (farther > doubtful) onNotice?.(`${name}: may not be a graph of ${features.name}: ${found}`);
  else if (unordered > mostUnordered) {
    onNotice?.(
      `${name}: its lists are not in order, expected the nearest first: in a sample, ${percent(unordered)} of the pairs in a list stand the other way round`,
    );
  }
}

function hasNeighbours({ nodeCount, width, ids }: KnnGraph): boolean {
  if (width < 2) return false;
  for (let node = 0; node < nodeCount; node++) if (ids[node * width + 1] >= 0) return true;
  return false;
}

/**
 * The smaller shares of two measures, as a graph may have been made by cosines or by distances of rows that are not normalised.
 * `leaveOutCopies`: a row that is not listed does not count where it is as near, to the bit, as the node itself or a listed row.
 */
function sample(features: MatrixLocation, graph: KnnGraph, leaveOutCopies: boolean): Shares {
  const { nodeCount } = graph;
  const wanted = features.kind === 'file' && features.fortran ? sampledListsByColumns : sampledLists;
  const random = new RandomStream(1, samplePurpose, 0);
  const byCosine = new Tally(sameCosine, clearlyNearer);
  const byDistance = new Tally(sameCosine, clearlyNearer);
  const reader = openRows(features);
  try {
    const own = new Float32Array(reader.dim);
    const other = new Float32Array(reader.dim);
    for (let s = 0; s < Math.min(wanted, nodeCount); s++) {
      const node = wanted < nodeCount ? random.below(nodeCount) : s;
      const { list, listed, others } = sampleList(graph, node, random);
      reader.read(node, 1, own);
      const near = (ids: Iterable<number>) => Array.from(ids, (id) => nearness(reader, id, own, other));
      const ofListed = near(listed);
      const known = new Set(leaveOutCopies ? near([node, ...list]).map(({ cosine }) => cosine) : []);
      const ofOthers = near(others).filter(({ cosine }) => !known.has(cosine));
      byCosine.add(
        ofListed.map(({ cosine }) => cosine),
        ofOthers.map(({ cosine }) => cosine),
      );
      byDistance.add(
        ofListed.map(({ distance }) => -distance),
        ofOthers.map(({ distance }) => -distance),
      );
    }
  } finally {
    reader.close();
  }
  return {
    farther: Math.min(byCosine.farther, byDistance.farther),
    unordered: Math.min(byCosine.unordered, byDistance.unordered),
  };
}

/** Some neighbours from all over a list, in its order, and some rows that it does not name. */
function sampleList({ nodeCount, width, ids }: KnnGraph, node: number, random: RandomStream) {
  const padded = ids.subarray(node * width + 1, (node + 1) * width);
  const end = padded.indexOf(-1);
  const list = end < 0 ? padded : padded.subarray(0, end);
  const count = Math.min(list.length, listedEach);
  const listed = Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)]);
  const others: number[] = [];
  for (let tries = 0; tries < 3 * othersEach && others.length < othersEach; tries++) {
    const id = random.below(nodeCount);
    if (id !== node && !list.includes(id)) others.push(id);
  }
  return { list, listed, others };
}

/** Cosine of two rows, and their squared distance in units of the first row's length. */
function nearness(reader: RowReader, id: number, own: Float32Array, other: Float32Array) {
  reader.read(id, 1, other);
  let product = 0;
  let ownSquares = 0;
  let otherSquares = 0;
  for (let c = 0; c < own.length; c++) {
    product += own[c] * other[c];
    ownSquares += own[c] * own[c];
    otherSquares += other[c] * other[c];
  }
  return {
    cosine: product / Math.sqrt(ownSquares * otherSquares),
    distance: (ownSquares + otherSquares - 2 * product) / ownSquares,
  };
}

class Tally {
  private pairsWithOthers = 0;
  private othersNearer = 0;
  private pairsInLists = 0;
  private laterNearer = 0;

  /** Differences that count, between a listed row and another, and within a list. */
  constructor(
    private readonly least: number,
    private readonly leastInList: number,
  ) {}

  add(listed: readonly number[], others: readonly number[]): void {
    for (const [i, near] of listed.entries()) {
      for (const other of others) if (other > near + this.least) this.othersNearer++;
      this.pairsWithOthers += others.length;
      for (const later of listed.slice(i + 1)) if (later > near + this.leastInList) this.laterNearer++;
      this.pairsInLists += listed.length - i - 1;
    }
  }

  get farther(): number {
    return this.othersNearer / Math.max(1, this.pairsWithOthers);
  }

  get unordered(): number {
    return this.laterNearer / Math.max(1, this.pairsInLists);
  }
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
