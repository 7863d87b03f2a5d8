/**
 * The exact kNN graph by cosine: all similarities by GEMM, block against block, each computed once for both of its rows;
 * a SIMD kernel keeps the k best of each row. Ties go to the smaller id.
 */
import { availableParallelism } from 'node:os';
import { NaanError } from '../errors.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import type { MatrixLocation } from '../io/matrix.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { ProgressListener } from '../progress.js';
import { blockCountFor, type KnnJob, type KnnTask, pairRounds } from './knn-blocks.js';
import { Pool } from './pool.js';
import { unitRows } from './unit-rows.js';

export interface BuildKnnOptions {
  /** Neighbours of each node, itself not counted: 1..n − 1. */
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
 * Builds the exact kNN graph of features [n × d] by cosine: k + 1 columns, column 0 the node itself. The result does
 * not depend on `threads`. Memory: the rows once, 8 bytes a neighbour, and a few MiB a thread.
 * Throws BAD_USAGE for a k that n rows do not have, BAD_INPUT for NaN, infinite or zero rows, CANCELLED after an abort.
 */
export async function buildKnn(features: MatrixLocation, options: BuildKnnOptions): Promise<KnnGraph> {
  checkK(options.k, features);
  return searchExactly(unitRows(features, options.onNotice), options);
}

/** Throws BAD_USAGE for a k that the rows do not have. */
export function checkK(k: number, features: MatrixLocation): void {
  const rowCount = features.kind === 'file' ? features.rowCount : features.rows.rowCount;
  if (Number.isInteger(k) && k >= 1 && k <= rowCount - 1) return;
  const limit = `expected 1..${rowCount - 1}: ${features.name} has ${rowCount} rows`;
  throw new NaanError('BAD_USAGE', `k is ${k}, ${limit}`);
}

/** `buildKnn` of unit vectors that lie in shared memory. */
export async function searchExactly(rows: SharedRows, options: BuildKnnOptions): Promise<KnnGraph> {
  const { k, signal, onProgress } = options;
  const { rowCount } = rows;
  const blockCount = blockCountFor(rowCount);
  const graph = allocateKnnGraph(rowCount, k + 1);
  const lists = SharedRows.allocate(rowCount, 2 * k).handle();
  const job: KnnJob = { rows: rows.handle(), lists, graph, blockCount };
  const threads = options.threads ?? availableParallelism();
  const pool = new Pool({ worker: new URL('../../workers/knn-worker.js', import.meta.url), threads, workerData: job });
  const describe = (task: KnnTask) =>
    task.kind === 'compare' ? `kNN of blocks ${task.a} and ${task.b}` : `kNN of block ${task.block}`;

  const pairCount = (blockCount * (blockCount + 1)) / 2;
  let pairsDone = 0;
  let told = performance.now();
  const onDone = () => {
    pairsDone++;
    if (performance.now() - told < progressIntervalMs) return;
    told = performance.now();
    onProgress?.({ stage: 'knn', done: Math.floor((pairsDone / pairCount) * rowCount), total: rowCount, unit: 'rows' });
  };
  try {
    for (const round of pairRounds(blockCount)) await pool.runAll(round, describe, { onDone, signal });
    const last = Array.from({ length: blockCount }, (_, block): KnnTask => ({ kind: 'finish', block }));
    await pool.runAll(last, describe, { signal });
    onProgress?.({ stage: 'knn', done: rowCount, total: rowCount, unit: 'rows' });
    return graph;
  } finally {
    await pool.close();
  }
}
