/**
 * The exact kNN graph by cosine, block against block, each pair of rows compared once for both of them; a SIMD kernel keeps
 * the best of each row. Ties go to the smaller id.
 *
 * Large sets are compared by bounds, which cost a third of cosines (see `knn-bounds.ts`), where a sample says that few
 * candidates a row will do; other sets by their cosines at once (see `knn-blocks.ts`).
 */
import { availableCores } from '../cgroup.js';
import { checkRows } from '../engine/usable-rows.js';
import { NaanError } from '../errors.js';
import { Pool } from '../execution/pool.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { type FeatureLocation, type MatrixLocation, shapeOf } from '../io/matrix.js';
import { dot } from '../kernels/scalar.js';
import { requireMemory } from '../memory/available.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { ProgressListener } from '../progress.js';
import { blockCountFor, type KnnJob, type KnnTask, pairRounds } from './blocks.js';
import { type BoundJob, type BoundResult, type BoundTask, type CodedBlock, setMargins } from './bounds.js';
import { Coder, codeLength } from './codes.js';
import { createSampleSearch, inPortions, type Neighbours, sampleQueries } from './sample.js';
import { unitRows } from './unit-rows.js';

export interface BuildKnnOptions {
  /** Neighbours of each node, itself not counted: 1..n − 1, 0 for a single row. */
  readonly k: number;
  /** Default: one a core. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `knn`, unit `rows`. */
  readonly onProgress?: ProgressListener | undefined;
  /** Hears what a user should know, such as rows that had to be normalised. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

const progressIntervalMs = 250;
/**
 * Columns that a row is compared in (n d) for each of its candidates, from which bounds pay. Measured on two threads: at 20,000
 * rows, d 512, k 20 the two ways cost the same.
 */
const columnsEach = 150_000;
const sampledRows = 256;
/** Rows of a block that is compared by bounds: its long lists come and go with each pair of blocks, so there are fewer. */
const largestBoundBlock = 2048;
/** Share of sampled rows that may need more candidates than are kept, and above which bounds do not pay. */
const wantedUnproven = 0.01;
const maxUnproven = 0.1;

/**
 * Builds the exact kNN graph of features [n × d] by cosine: k + 1 columns, column 0 the node itself. The result does
 * not depend on `threads`. Memory: the rows once, 8 bytes a neighbour, and a few MiB a thread; where bounds are used, half
 * the rows more and 8 bytes for each of up to 8 k + 64 candidates a row.
 * Throws BAD_USAGE for a k that n rows do not have, OUT_OF_MEMORY, BAD_INPUT for NaN, infinite or zero rows, CANCELLED after an abort.
 */
export async function buildKnn(features: MatrixLocation, options: BuildKnnOptions): Promise<KnnGraph> {
  checkK(options.k, features);
  checkRows(features);
  return searchExactly(unitRows(features, options.onNotice), options);
}

/** Throws BAD_USAGE for a k that the rows do not have, OUT_OF_MEMORY for lists that the memory does not hold. */
export function checkK(k: number, features: FeatureLocation): void {
  const { rowCount } = shapeOf(features);
  if (Number.isInteger(k) && k >= Math.min(1, rowCount - 1) && k <= rowCount - 1) {
    // The graph, and lists of ids with their cosines.
    requireMemory(4 * rowCount * (3 * k + 1), `${features.name}: ${k} neighbours of each of ${rowCount} rows`);
    return;
  }
  const limit = rowCount === 1 ? '0 for its only row' : `1..${rowCount - 1} for its ${rowCount} rows`;
  throw new NaanError('BAD_USAGE', `${features.name}: k is ${k}, expected ${limit}`);
}

/** `buildKnn` of unit vectors that lie in shared memory. */
export async function searchExactly(rows: SharedRows, options: BuildKnnOptions): Promise<KnnGraph> {
  if (options.k === 0) return alone();
  const candidates = await candidatesFor(rows, options.k, options.signal);
  return candidates === undefined ? searchByCosines(rows, options) : searchByBounds(rows, options, candidates);
}

/** The graph of a single row. */
function alone(): KnnGraph {
  const graph = allocateKnnGraph(1, 1);
  graph.ids[0] = 0;
  return graph;
}

/** The most candidates that are kept for each row in a search by bounds; it is by cosines where they are no more than k. */
export function boundCandidates(rowCount: number, dim: number, k: number): number {
  return Math.min(rowCount - 1, 8 * k + 64, Math.floor((rowCount * dim) / columnsEach));
}

/** Candidates a row that will prove nearly all lists, as sampled rows say; undefined when they cost more than cosines. */
export async function candidatesFor(rows: SharedRows, k: number, signal?: AbortSignal): Promise<number | undefined> {
  const { rowCount, dim } = rows;
  const most = boundCandidates(rowCount, dim, k);
  if (most <= k) return undefined;
  const queries = sampleQueries(rowCount, sampledRows);
  const coder = new Coder(dim);
  const code = new Uint8Array(coder.length);
  const errors = queries.map((portion) =>
    Float64Array.from(portion, (row) => {
      coder.run(rows.row(row), code);
      return coder.error;
    }),
  );
  const sorted = Float64Array.from(errors.flatMap((portion) => [...portion])).sort();
  const usualError = sorted[sorted.length >> 1];

  const search = await createSampleSearch({ rows: rows.handle(), k: most });
  const needed: number[] = [];
  for (const [p, portion] of queries.entries()) {
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
    const { ids } = await search(portion);
    for (let i = 0; i < portion.length; i++) {
      const own = rows.row(portion[i]);
      const listed = ids.subarray(i * most, (i + 1) * most);
      const least = dot(own, rows.row(listed[k - 1])) - errors[p][i] - usualError;
      let count = k;
      while (count < most && dot(own, rows.row(listed[count])) >= least) count++;
      needed.push(count);
    }
  }
  needed.sort((a, b) => a - b);
  const enough = (share: number) => needed[Math.ceil((1 - share) * needed.length) - 1];
  if (enough(maxUnproven) === most) return undefined;
  return Math.min(most, Math.ceil(1.1 * enough(wantedUnproven)) + 8);
}

/** The exact graph by the cosines of all pairs. */
export async function searchByCosines(rows: SharedRows, options: BuildKnnOptions): Promise<KnnGraph> {
  const { k, signal } = options;
  const { rowCount } = rows;
  const blockCount = blockCountFor(rowCount);
  const graph = allocateKnnGraph(rowCount, k + 1);
  const lists = SharedRows.allocate(rowCount, 2 * k).handle();
  const workerData: KnnJob = { rows: rows.handle(), lists, graph, blockCount };
  const pool = new Pool({ worker: workerUrl('knn-worker'), threads: threadsOf(options), workerData });
  const describe = (task: KnnTask) =>
    task.kind === 'compare' ? `kNN of blocks ${task.a} and ${task.b}` : `kNN of block ${task.block}`;
  const onDone = pairProgress(rowCount, blockCount, options);
  try {
    for (const round of pairRounds(blockCount)) await pool.runAll(round, describe, { onDone, signal });
    const last = blocks(blockCount).map((block): KnnTask => ({ kind: 'finish', block }));
    await pool.runAll(last, describe, { signal });
    options.onProgress?.({ stage: 'knn', done: rowCount, total: rowCount, unit: 'rows' });
    return graph;
  } finally {
    await pool.close();
  }
}

/** The exact graph by bounds, of which each row keeps so many. */
export async function searchByBounds(
  rows: SharedRows,
  options: BuildKnnOptions,
  candidates: number,
): Promise<KnnGraph> {
  const { k, signal } = options;
  const { rowCount, dim } = rows;
  const blockCount = blockCountFor(rowCount, largestBoundBlock);
  const graph = allocateKnnGraph(rowCount, k + 1);
  const float32 = () => new Float32Array(new SharedArrayBuffer(4 * rowCount));
  const job: BoundJob = {
    rows: rows.handle(),
    codes: SharedRows.allocate(rowCount, codeLength(dim) / 4).handle(),
    turnedCodes: SharedRows.allocate(rowCount, codeLength(dim) / 4).handle(),
    steps: float32(),
    margins: float32(),
    lists: SharedRows.allocate(rowCount, 2 * candidates).handle(),
    graph,
    blockCount,
  };
  const pool = new Pool({ worker: workerUrl('knn-bounds-worker'), threads: threadsOf(options), workerData: job });
  const describe = (task: BoundTask) => {
    if (task.kind === 'compare') return `kNN of blocks ${task.a} and ${task.b}`;
    return task.kind === 'search' ? `kNN of row ${task.queries[0]} and others` : `kNN of block ${task.block}`;
  };
  async function runAll<R extends BoundResult>(tasks: readonly BoundTask[], onDone?: () => void): Promise<R[]> {
    const results = new Map<BoundTask, R>();
    await pool.runAll<BoundTask, R>(tasks, describe, {
      signal,
      onDone: (task, result) => {
        results.set(task, result);
        onDone?.();
      },
    });
    return tasks.map((task) => results.get(task) as R);
  }
  const onDone = pairProgress(rowCount, blockCount, options);
  try {
    const coded = await runAll<CodedBlock>(blocks(blockCount).map((block) => ({ kind: 'code', block })));
    const norm = Math.max(...coded.map((block) => block.norm));
    const error = Math.max(...coded.map((block) => block.error));
    setMargins(job.margins, { norm, error }, dim);
    for (const round of pairRounds(blockCount)) await runAll(round, onDone);
    const unproven = await runAll<Int32Array>(blocks(blockCount).map((block) => ({ kind: 'refine', block })));
    const portions = inPortions(Int32Array.from(unproven.flatMap((ids) => [...ids])));
    const found = await runAll<Neighbours>(portions.map((queries) => ({ kind: 'search', queries })));
    for (const { queries, ids } of found) {
      for (let i = 0; i < queries.length; i++) {
        graph.ids.set(ids.subarray(i * k, (i + 1) * k), queries[i] * graph.width + 1);
      }
    }
    options.onProgress?.({ stage: 'knn', done: rowCount, total: rowCount, unit: 'rows' });
    return graph;
  } finally {
    await pool.close();
  }
}

function threadsOf(options: BuildKnnOptions): number {
  return options.threads ?? availableCores();
}

function workerUrl(name: string): URL {
  return new URL(`../../workers/${name}.js`, import.meta.url);
}

function blocks(count: number): number[] {
  return Array.from({ length: count }, (_, block) => block);
}

/** Tells now and then how far a search is, called after each pair of blocks. */
function pairProgress(rowCount: number, blockCount: number, { onProgress }: BuildKnnOptions): () => void {
  const pairCount = (blockCount * (blockCount + 1)) / 2;
  let pairsDone = 0;
  let told = performance.now();
  return () => {
    pairsDone++;
    if (performance.now() - told < progressIntervalMs) return;
    told = performance.now();
    onProgress?.({ stage: 'knn', done: Math.floor((pairsDone / pairCount) * rowCount), total: rowCount, unit: 'rows' });
  };
}
