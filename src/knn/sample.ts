/** The exact neighbours of a few rows: what recall is measured against. One worker's half, and the measure. */
import type { KnnGraph } from '../graph/knn-graph.js';
import { Arena } from '../kernels/arena.js';
import { InnerProducts } from '../kernels/gemm.js';
import { type Kernels, listedIds, loadKernels } from '../kernels/kernels.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { spread } from './sketch.js';

/** Rows searched for at once. */
export const queriesAtOnce = 64;
const rowsAtOnce = 1024;
/** Sums of float32 products in another order differ by less. */
const tolerance = 2e-6;

export interface SampleJob {
  readonly rows: SharedRowsHandle;
  readonly k: number;
  /** The first so many rows are searched among; default: all. */
  readonly among?: number;
}

/** Exact neighbours of some rows. */
export interface Neighbours {
  readonly queries: Int32Array;
  /** [queries × k], by falling cosine, then rising id. */
  readonly ids: Int32Array;
}

/** Searches for at most `queriesAtOnce` rows on the calling thread. */
export async function createSampleSearch(job: SampleJob): Promise<(queries: Int32Array) => Promise<Neighbours>> {
  const rows = SharedRows.from(job.rows);
  const { k } = job;
  const { dim } = rows;
  const rowCount = job.among ?? rows.rowCount;
  const tile = Math.min(rowsAtOnce, rowCount);
  const arena = new Arena(4 * (tile * dim + queriesAtOnce * (dim + 2 * k + tile) + tile + 30));
  const kernels: Kernels = loadKernels(arena);
  const products = await InnerProducts.create(dim);
  const x = arena.float32(queriesAtOnce * dim);
  const others = arena.float32(tile * dim);
  const lists = arena.float32(queriesAtOnce * 2 * k);
  const similarities = arena.float32(queriesAtOnce * tile + 15);
  const leastOfColumn = arena.float32(tile + 15);

  return async (queries) => {
    const count = queries.length;
    rows.gather(queries, count, x);
    lists.fill(0);
    for (let start = 0; start < rowCount; start += tile) {
      const columns = Math.min(tile, rowCount - start);
      rows.eachRun(start, columns, (view, first) => others.set(view, (first - start) * dim));
      await products.run(count, columns, x, others, similarities);
      for (let i = 0; i < count; i++) {
        const self = queries[i] - start;
        if (self >= 0 && self < columns) similarities[i * columns + self] = Number.NaN;
      }
      kernels.offerTile({
        rows: count,
        columns,
        similarities,
        k,
        firstRow: 0,
        firstColumn: start,
        rowLists: lists,
        leastOfColumn,
      });
    }
    kernels.sortLists(count, k, lists);
    const ids = new Int32Array(count * k);
    listedIds(count, k, lists, ids);
    return { queries, ids };
  };
}

/** Rows to measure by, spread over the set, in portions for `createSampleSearch`. */
export function sampleQueries(rowCount: number, wanted: number): Int32Array[] {
  return inPortions(spread(rowCount, Math.min(rowCount, wanted)));
}

export function inPortions(queries: Int32Array): Int32Array[] {
  const portions: Int32Array[] = [];
  for (let i = 0; i < queries.length; i += queriesAtOnce) portions.push(queries.slice(i, i + queriesAtOnce));
  return portions;
}

/**
 * Share of the k neighbours of sampled rows that are as near as the k-th nearest, so that of equally near ones any
 * will do.
 */
export function recallOf(graph: KnnGraph, rows: SharedRows, exact: readonly Neighbours[]): number {
  const k = graph.width - 1;
  let hits = 0;
  let wanted = 0;
  for (const { queries, ids } of exact) {
    for (let i = 0; i < queries.length; i++) {
      const own = rows.row(queries[i]);
      const least = dot(own, rows.row(ids[i * k + k - 1])) - tolerance;
      const start = queries[i] * graph.width;
      for (const id of graph.ids.subarray(start + 1, start + 1 + k)) {
        if (id >= 0 && dot(own, rows.row(id)) >= least) hits++;
      }
      wanted += k;
    }
  }
  return hits / wanted;
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}
