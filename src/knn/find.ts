/** The kNN graph of a set by the method that suits its size, with its recall measured. */

import { availableCores } from '../cgroup.js';
import { knnDefaults } from '../defaults.js';
import { type Survey, surveyPlan } from '../engine/survey.js';
import { featuresOf, type RowOptions, usableRows } from '../engine/usable-rows.js';
import type { WorkDir } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import { runPlan } from '../execution/plan.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { graphOfRows } from '../graph/node-map.js';
import { inflate } from '../io/locate-matrix.js';
import { type FeatureLocation, type MatrixLocation, shapeOf } from '../io/matrix.js';
import { Ranks } from '../machines/ranks.js';
import { type BuildKnnOptions, checkK, searchExactly } from './exact.js';
import { loadUsearch, searchHnsw } from './hnsw.js';
import { type ApproximateKnn, cellSizes, type Effort, mostRounds, searchCells } from './ivf.js';
import { KeptLists, type KnnWork, openKnnWork, type SearchShare } from './kept-lists.js';
import { type KnnDeviceFacts, type KnnDevices, searchOnDevices } from './on-device.js';
import { type KnnMethod, type KnnPlan, planKnn } from './plan.js';
import { SearchShares, type SharedSearch } from './shares.js';
import { loadUnitRows, makeUnitRows, roomForUnitRows, tellNormalised } from './unit-rows.js';

export interface FindKnnOptions extends Omit<BuildKnnOptions, 'k'>, RowOptions {
  /** Neighbours of each node, itself not counted; default 80, or all others where there are fewer. */
  readonly k?: number | undefined;
  /** `auto`, the default: exact where that is as fast, else ivf. */
  readonly method?: KnnMethod | 'auto' | undefined;
  /** Share of the true neighbours that an approximate method must find; default 0.99. */
  readonly minRecall?: number | undefined;
  /** Bytes that the process may take; default: most of what is free. Rows that do not fit are read from their file. */
  readonly memory?: number | undefined;
  /** Keeps an approximate search by cells in a folder: after a crash the same call goes on where it stopped. */
  readonly work?: KnnWork | undefined;
  /** Computes an exact graph on devices; default: the CPU does (see `devicesForKnn`). */
  readonly onDevices?: KnnDevices | undefined;
  /** Writes the graph; until that has ended a work directory is kept. */
  readonly onFound?: ((found: FoundKnn) => Promise<void>) | undefined;
  /** Hears what the search will keep where, before it starts. */
  readonly onPlan?: ((plan: KnnPlan) => void) | undefined;
  /** Hears what is known of the rows once they were read, so that whoever goes on with the graph need not read them again. */
  readonly onRows?: ((rows: ReadRows) => void) | undefined;
}

/** The rows that a search has read. */
export interface ReadRows {
  readonly survey: Survey;
  /** Those that the graph is found of, as unit vectors; absent where they are read from their file when they are needed. */
  readonly inMemory?: MatrixLocation;
}

export interface FoundKnn {
  readonly graph: KnnGraph;
  /** The method that found the graph. */
  readonly method: KnnMethod;
  /** Recall, measured on rows sampled from the set; 1 for exact search. */
  readonly recall: number;
  /** Rows that are copies of an earlier one: each lists that one first, and then its list. */
  readonly copies: number;
  /** Rows that cannot be used: no list names them, and they have none. */
  readonly badRows: number;
  /** Searches made until the recall was met. */
  readonly attempts: number;
  /** What was seen of devices, where those found the graph. */
  readonly computed?: KnnDeviceFacts;
}

/**
 * `auto` is exact below so many rows of d columns: where the two cost the same processor time, measured on two threads. At
 * d 512 that is at about 22,000 rows for k 20 and 37,000 for k 80, at d 64 at 63,000 and 67,000: products of few columns cost
 * little, the rest of an approximate search as much as ever.
 */
export function exactBelow(dim: number, k: number): number {
  return 17_000 * Math.sqrt(512 / dim) + 250 * k;
}

type Approximate = (attempt: number) => Promise<ApproximateKnn>;

/**
 * Builds a kNN graph: k + 1 columns, column 0 the row itself, then its neighbours by falling cosine, ties by the smaller
 * id. A search that does not reach `minRecall` on a sample is made again with more effort, at last exactly.
 * The result does not depend on `threads` or `memory`, hnsw's excepted. Memory: see `planKnn`. Ranks that share a search by cells find the same
 * graph, which rank 0 writes.
 * Throws as `buildKnn`, and BACKEND_UNAVAILABLE for hnsw where usearch is not installed.
 */
export async function findKnn(source: FeatureLocation, given: FindKnnOptions): Promise<FoundKnn> {
  const { share } = given.work ?? {};
  const options = share ? byCells(given) : given;
  const { onNotice, signal, minRecall = knnDefaults.minRecall } = options;
  const k = options.k ?? defaultK(source, onNotice);
  checkK(k, source);
  if (!(minRecall > 0 && minRecall <= 1)) {
    throw new NaanError('BAD_USAGE', `minRecall is ${minRecall}, expected a number above 0 and up to 1`);
  }
  if (options.method === 'hnsw') await loadUsearch();
  const plan = planSearch(source, { ...options, k });
  options.onPlan?.(plan);
  const features = await inflate(source, plan.parts.rows);
  // Rows of a file are looked at and kept as they are read once.
  const { rowCount: all, dim: columns } = shapeOf(features);
  const room =
    plan.rowsIn === 'memory' && features.kind === 'file' ? roomForUnitRows(features, all, columns) : undefined;
  const survey = runPlan(surveyPlan(features, options.duplicates !== 'keep', 1, room?.handle()));
  const map = usableRows(features, survey, options);
  const used = featuresOf(features, map);
  const counts = { copies: map?.copies ?? 0, badRows: survey.badRows.length };
  const ofRows = (graph: KnnGraph) => (map ? graphOfRows(graph, map, k + 1) : graph);
  const { rowCount, dim } = shapeOf(used);
  const search = { ...options, k: Math.min(k, rowCount - 1) };
  const load = () => (room ? makeUnitRows(room, features.name, map) : loadUnitRows(used));
  const loaded = plan.rowsIn === 'memory' ? load() : undefined;
  const rows = loaded?.rows;
  if (loaded) tellNormalised(features, loaded.normalised, onNotice);
  const { name } = features;
  options.onRows?.({ survey, ...(rows && { inMemory: { kind: 'memory', name, rows: rows.handle() } }) });
  const chosen = rows === undefined ? 'ivf' : methodFor(rowCount, dim, { ...options, k: search.k });
  const work = await openWork(options, { rowCount, k: search.k, chosen, minRecall });
  const shared = work && share && sharedBy(work, share, options);
  const attemptOf: Approximate = (attempt) => {
    if (chosen === 'hnsw') return searchHnsw(rows!, search, Math.max(128, 2 * search.k) * 4 ** attempt);
    const effort = effortOf(attempt, minRecall);
    const kept = work && new KeptLists(work, attempt, options.work?.intervalMs);
    const shares = shared && new SearchShares(shared, attempt);
    if (rows) return searchCells(rows.handle(), { ...search, kept, shares }, effort);
    const { windowRows } = planSearch(used, { ...search, memory: plan.limitBytes }, effort);
    return searchCells({ features: used }, { ...search, windowRows, kept, shares }, effort);
  };
  async function searched(): Promise<FoundKnn> {
    for (let attempt = 0; chosen !== 'exact' && attempt < maxAttempts; attempt++) {
      const { graph, recall, normalised } = await attemptOf(attempt);
      if (attempt === 0) tellNormalised(features, normalised, onNotice);
      if (recall >= minRecall) {
        return { graph: ofRows(graph), method: chosen, recall, attempts: attempt + 1, ...counts };
      }
      const found = `${features.name}: ${chosen} found ${recall.toFixed(4)} of the neighbours, expected ${minRecall}`;
      if (attempt + 1 < maxAttempts) onNotice?.(`${found}: trying again with more effort`);
      else if (shared && shared.rank > 0)
        return { graph: ofRows(graph), method: chosen, recall, attempts: maxAttempts, ...counts };
      else if (rows) onNotice?.(`${found}: searching exactly`);
      else {
        const advice = 'an exact search needs the rows in memory: give more --memory, or a lower --min-recall';
        throw new NaanError('OUT_OF_MEMORY', `${found}; ${advice}`);
      }
    }
    const graph = await searchExactly(rows!, search);
    const attempts = chosen === 'exact' ? 1 : maxAttempts + 1;
    return { graph: ofRows(graph), method: 'exact', recall: 1, attempts, ...counts };
  }
  async function searchedOnDevices(onDevices: KnnDevices): Promise<FoundKnn> {
    const found = await searchOnDevices(rows!, search, onDevices).catch((error) => {
      if (!onDevices.unasked || !(error instanceof NaanError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
      onNotice?.(`the kNN graph is found on the CPU: ${error.message}`);
    });
    // The CPU has another choice of methods, and another plan.
    if (!found) return findKnn(source, { ...given, k, onDevices: undefined, onFound: undefined, work: undefined });
    return { graph: ofRows(found.graph), method: 'exact', recall: 1, attempts: 1, ...counts, computed: found.facts };
  }
  try {
    const { onDevices } = options;
    if (work) await share?.onOpen?.(work);
    const found = await (onDevices && search.k > 0 ? searchedOnDevices(onDevices) : searched());
    await options.onFound?.(found);
    if (shared) await endShared(shared);
    else await work?.finish();
    return found;
  } catch (error) {
    if (work?.lost) throw work.lost;
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled', { cause: error });
    throw error;
  } finally {
    await work?.close();
  }
}

/** Ranks share a search by cells, whatever the size of the set. Throws BAD_USAGE for another method. */
function byCells(options: FindKnnOptions): FindKnnOptions {
  const { method = 'auto' } = options;
  if (method === 'auto' || method === 'ivf') return { ...options, method: 'ivf' };
  throw new NaanError(
    'BAD_USAGE',
    `method: ranks share a search by ivf, got ${method}: leave --cluster out, or take ivf`,
  );
}

function sharedBy(work: WorkDir, share: SearchShare, options: FindKnnOptions): SharedSearch {
  const { rank, ranks } = share;
  const { signal, onNotice } = options;
  const { identity, files } = work.header;
  const group = new Ranks({ folder: options.work!.path, rank, ranks, identity, files, signal, onNotice });
  return { rank, ranks, group, work, onNotice, onWritten: (bytes) => share.onWritten?.(bytes) };
}

/** Rank 0 waits until nobody reads the folders any more, and removes what is in them. */
async function endShared(shared: SharedSearch): Promise<void> {
  await new SearchShares(shared, 0).end();
  if (shared.rank > 0) return;
  shared.group.clear();
  await shared.work.finish();
}

interface WorkShape {
  readonly rowCount: number;
  readonly k: number;
  readonly chosen: KnnMethod;
  readonly minRecall: number;
}

/** The work directory, where there is one and the search is long enough to be kept there. */
async function openWork(options: FindKnnOptions, { rowCount, k, chosen, minRecall }: WorkShape) {
  const { work, signal, onNotice, duplicates = 'collapse', badRows = 'refuse' } = options;
  if (work === undefined) return undefined;
  const { share } = work;
  if (chosen !== 'ivf') {
    onNotice?.(`work-dir: not used, as the method is ${chosen}`);
    return undefined;
  }
  const sizes = cellSizes(rowCount, k, effortOf(0, minRecall));
  const opened = await openKnnWork(work, {
    rowCount,
    rounds: mostRounds(rowCount, sizes, share?.ranks),
    identity: { k, minRecall, duplicates, badRows },
    listBytes: 8 * rowCount * sizes.candidates,
    attempts: maxAttempts,
    agreed: share && { ranks: share.ranks, arithmetic: await arithmetic(signal) },
    signal,
    onNotice,
  });
  if (opened.resumed) {
    const { started, shards } = opened.header;
    const done = `${opened.done('compare', 0).size} of ${shards} rounds of comparisons are done`;
    onNotice?.(`${work.path}: goes on with the search of ${started}: ${done}`);
  }
  return opened;
}

/** Loaded when asked for. */
async function arithmetic(signal: AbortSignal | undefined): Promise<string> {
  const { ownArithmetic } = await import('../machines/arithmetic.js');
  return ownArithmetic('pairwise', signal);
}

type Choice = Pick<FindKnnOptions, 'method' | 'minRecall' | 'onDevices'> & { readonly k: number };

/** The method as asked, or the one that suits the rows. */
function methodFor(rowCount: number, dim: number, { k, method = 'auto', minRecall, onDevices }: Choice): KnnMethod {
  if (k === 0 || (method === 'auto' && (onDevices || rowCount < exactBelow(dim, k) || minRecall === 1))) return 'exact';
  return method === 'auto' ? 'ivf' : method;
}

/** The plan of a search of all rows. Throws OUT_OF_MEMORY as `planKnn`. */
export function planSearch(
  features: FeatureLocation,
  options: Choice & Pick<FindKnnOptions, 'threads' | 'memory'>,
  effort: Effort = effortOf(0, options.minRecall ?? knnDefaults.minRecall),
): KnnPlan {
  const { k, threads = availableCores(), memory, onDevices } = options;
  const { rowCount, dim } = shapeOf(features);
  return planKnn(features, { k, method: methodFor(rowCount, dim, options), effort, threads, memory, onDevices });
}

function defaultK(features: FeatureLocation, onNotice?: (message: string) => void): number {
  const { rowCount } = shapeOf(features);
  if (rowCount > knnDefaults.k) return knnDefaults.k;
  onNotice?.(`${features.name}: k is ${rowCount - 1}, all other rows, as there are only ${rowCount}`);
  return rowCount - 1;
}

const maxAttempts = 3;

/** Probing may miss half of what may be missed in all: rounding to sketches and chance take their part. */
function effortOf(attempt: number, minRecall: number): Effort {
  return { miss: (0.5 * (1 - minRecall)) / 4 ** attempt, candidates: 1.75 * 2 ** attempt };
}
