/**
 * A second copy of a labelled set as an unlabelled one may be: full of strangers, people of a single image. Labelled sets
 * seldom have any, and a network that has seen none trusts whoever is nearest.
 *
 *   half of the identities, drawn at random, keep all their rows
 *   the others keep one row each
 *
 * The copy has a kNN graph of its own and is laid beside the set as a graph apart, so features of either know nothing of
 * the other, and each identity of the copy is in the fold of the one that it is a copy of.
 */
import { relabel } from '../../cluster/relabel.js';
import { NaanError } from '../../errors.js';
import type { Executor } from '../../execution/executor.js';
import { type KnnGraph, withWidth } from '../../graph/knn-graph.js';
import { RandomStream } from '../../graph/random.js';
import type { NeighbourLists } from '../../heads/pairwise/neighbour-lists.js';
import { type SimilaritiesJob, similaritiesOf, withRoomForSimilarities } from '../../heads/pairwise/similarities.js';
import type { Whitening } from '../../heads/pairwise/whitening.js';
import { buildKnn } from '../../knn/exact.js';
import { sharedFloats, sharedInts } from '../../memory/shared-arrays.js';
import { SharedRows } from '../../memory/shared-rows.js';
import type { SimilaritiesTask, WhitenTask } from './job.js';
import { shuffled } from './pairs.js';
import { rangesOf } from './threads.js';
import { type FoundWhitening, type WhitenJob, whiteningFold, whitenRows } from './whitening.js';

/** Graphs side by side. */
export interface LabelledLists {
  readonly lists: NeighbourLists;
  /** Identity of each node, −1 where not known; an identity is of one graph alone [n]. */
  readonly labels: Int32Array;
  /** Groups of nodes that are held out together [n]: the identity, or the one that it is a copy of. */
  readonly groups: Int32Array;
}

export interface StrangerOptions {
  readonly k: number;
  readonly seed: number;
  /** Whitens rows before cosines are found; lists are those of rows as they are, as in labelling. */
  readonly whitening?: FoundWhitening | undefined;
  readonly threads?: number | undefined;
  /** Threads of `startTrainingThreads`; without them rows are whitened and cosines found on the calling thread. */
  readonly executor?: Executor | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Purpose of a random stream. */
const identityPurpose = 87;

/** Exact search takes time by the square of the rows, and so many say enough. */
const maxRows = 50_000;
/** Rows kept for each row of the set. */
const keptShare = 1 / 4;

/** Rows of the copy at the most, with the identity that is the last to be copied, and how many identities there are. */
export function maxCopied(labels: Int32Array): { copied: number; identities: number } {
  const known = labels.slice();
  const identities = relabel(known);
  const sizes = new Int32Array(identities);
  for (const identity of known) if (identity >= 0) sizes[identity]++;
  let labelled = 0;
  let largest = 0;
  for (const size of sizes) {
    labelled += size;
    largest = Math.max(largest, size);
  }
  return { copied: Math.min(labelled, Math.ceil(rowsWanted(labels.length)) + largest), identities };
}

/** The rows that a copy of a set of so many has, about. */
function rowsWanted(rows: number): number {
  return Math.min(maxRows, keptShare * rows);
}

/** The copy; `rows` are unit vectors, `labels` [n] count identities from 0. Undefined when hardly a row is labelled. */
async function copyWithStrangers(
  rows: SharedRows,
  labels: Int32Array,
  options: StrangerOptions,
): Promise<LabelledLists | undefined> {
  const { k, seed, threads, signal } = options;
  const rowsOf = rowsByIdentity(labels);
  const random = new RandomStream(seed, identityPurpose, 0);
  const order = shuffled(rowsOf.length, random);
  const wanted = rowsWanted(labels.length);
  const nodes: number[] = [];
  for (const [turn, identity] of order.entries()) {
    const own = rowsOf[identity];
    const one = random.below(own.length);
    for (const [i, node] of own.entries()) if (turn % 2 === 0 || i === one) nodes.push(node);
    if (nodes.length >= wanted) break;
  }
  const count = nodes.length;
  if (count <= 1) return undefined;
  const copy = SharedRows.allocate(count, rows.dim);
  for (const [i, node] of nodes.entries()) copy.row(i).set(rows.row(node));
  const identities = Int32Array.from(nodes, (node) => labels[node]);
  const features = { kind: 'memory', name: 'strangers', rows: copy.handle() } as const;
  const graph = await buildKnn(features, { k: Math.min(k, count - 1), threads, signal });
  if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
  const lists = await withCosines(withWidth(graph, k + 1), copy, identities, options);
  return { lists, labels: identities, groups: identities };
}

const nodesAtOnce = 2 ** 13;

/** Adds cosines to lists; those of a list are by a whitening that has not seen the identity of the list's node. */
async function withCosines(
  graph: KnnGraph,
  rows: SharedRows,
  identities: Int32Array,
  options: StrangerOptions,
): Promise<NeighbourLists> {
  const lists = withRoomForSimilarities(graph);
  const { heldOut } = options.whitening ?? {};
  if (!heldOut) {
    await findCosines({ rows: rows.handle(), lists }, options);
    return lists;
  }
  const whitened = SharedRows.allocate(rows.rowCount, rows.dim);
  for (const [fold, whitening] of heldOut.entries()) {
    const own = Int32Array.from(identities.keys()).filter((node) => whiteningFold(identities[node]) === fold);
    const nodes = sharedInts(own.length);
    nodes.set(own);
    await whitenAll(
      { rows: rows.handle(), whitened: whitened.handle(), whitening: inSharedMemory(whitening) },
      options,
    );
    await findCosines({ rows: whitened.handle(), lists, nodes }, options);
  }
  return lists;
}

const rowsAtOnce = 2 ** 14;

async function whitenAll(job: WhitenJob, { executor, signal }: StrangerOptions): Promise<void> {
  const { rowCount } = job.rows;
  if (!executor) {
    await whitenRows(job, 0, rowCount);
    return;
  }
  const tasks = rangesOf(rowCount, rowsAtOnce).map((range): WhitenTask => ({ kind: 'whiten', ...range }));
  await executor.runAll(tasks, ({ start, end }) => `whitening of rows ${start} to ${end - 1}`, {
    context: job,
    signal,
  });
}

function inSharedMemory({ weight, bias }: Whitening): Whitening {
  const shared = { weight: sharedFloats(weight.length), bias: sharedFloats(bias.length) };
  shared.weight.set(weight);
  shared.bias.set(bias);
  return shared;
}

async function findCosines(job: SimilaritiesJob, { executor, signal }: StrangerOptions): Promise<void> {
  const count = job.nodes?.length ?? job.lists.nodeCount;
  if (!executor) {
    similaritiesOf(job, 0, count);
    return;
  }
  const tasks = rangesOf(count, nodesAtOnce).map((range): SimilaritiesTask => ({ kind: 'similarities', ...range }));
  await executor.runAll(tasks, ({ start, end }) => `cosines of nodes ${start} to ${end - 1}`, { context: job, signal });
}

function rowsByIdentity(labels: Int32Array): number[][] {
  const rowsOf: number[][] = [];
  for (const [row, label] of labels.entries()) {
    if (label < 0) continue;
    rowsOf[label] ??= [];
    rowsOf[label].push(row);
  }
  return rowsOf;
}

/** Graphs side by side as one, of lists of the same width; identities of a later one are other identities. */
export function sideBySide(parts: readonly LabelledLists[]): LabelledLists {
  const [{ lists: first }] = parts;
  const nodeCount = parts.reduce((sum, { lists }) => sum + lists.nodeCount, 0);
  const { width } = first;
  const ids = new Int32Array(new SharedArrayBuffer(4 * nodeCount * width));
  const similarities = new Float32Array(new SharedArrayBuffer(4 * nodeCount * width));
  const labels = new Int32Array(nodeCount);
  const groups = new Int32Array(nodeCount);
  let start = 0;
  let used = 0;
  for (const { lists, labels: own, groups: ownGroups } of parts) {
    for (let i = 0; i < lists.ids.length; i++) {
      ids[start * width + i] = lists.ids[i] < 0 ? -1 : lists.ids[i] + start;
    }
    similarities.set(lists.similarities, start * width);
    groups.set(ownGroups, start);
    let most = -1;
    for (const [i, label] of own.entries()) {
      labels[start + i] = label < 0 ? -1 : label + used;
      if (label > most) most = label;
    }
    used += most + 1;
    start += lists.nodeCount;
  }
  return { lists: { nodeCount, width, ids, similarities }, labels, groups };
}

export interface TrainingLists extends LabelledLists {
  /** Labels of the set itself, −1 for the rows of the copy: what calibration goes by [n]. */
  readonly own: Int32Array;
}

/** The set to train on: a labelled set, and its copy with strangers beside it. `graph`: of at least k neighbours. */
export async function labelledLists(
  rows: SharedRows,
  graph: KnnGraph,
  labels: Int32Array,
  options: StrangerOptions,
): Promise<TrainingLists> {
  const identities = labels.slice();
  relabel(identities);
  const lists = await withCosines(withWidth(graph, options.k + 1), rows, identities, options);
  const own = { lists, labels: identities, groups: identities };
  const copy = await copyWithStrangers(rows, identities, options);
  const set = copy ? sideBySide([own, copy]) : own;
  return { ...set, own: set.labels.map((label, node) => (node < labels.length ? label : -1)) };
}
