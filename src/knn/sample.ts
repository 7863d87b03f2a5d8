/** The exact neighbours of a few rows: what recall is measured against. One worker's half, and the measure. */
import type { KnnGraph } from '../graph/knn-graph.js';
import { Arena } from '../kernels/arena.js';
import { InnerProducts } from '../kernels/gemm.js';
import { type Kernels, listedIds, loadKernels } from '../kernels/kernels.js';
import { dot } from '../kernels/scalar.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { part } from './blocks.js';
import { spread } from './sketch.js';
import type { UnitRows } from './unit-rows.js';

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
  /** The least cosine by which a query reaches each row, in shared memory [n]. */
  readonly least?: Float32Array;
}

/** Exact neighbours of some rows. */
export interface Neighbours {
  readonly queries: Int32Array;
  /** [queries × k], by falling cosine, then rising id. */
  readonly ids: Int32Array;
}

export interface SampleTask {
  readonly queries: Int32Array;
  /** Rows to compare with, rising, at least k beside a query itself; default: all. */
  readonly among?: Int32Array;
  /** Whether the result says also which of all rows the queries reach. */
  readonly reach?: boolean;
}

export interface SampleResult extends Neighbours {
  /** Pairs of a row and a query that reaches it, one after the other. */
  readonly reached: readonly number[];
}

export type SampleSearch = (queries: Int32Array, options?: Omit<SampleTask, 'queries'>) => Promise<SampleResult>;

/** Products of one row, or of up to 64 columns, are summed in another order than larger ones: as in `blocks.ts` there are more where the set has them. */
const leastRows = 2;
const leastColumns = 128;

/** Searches for at most `queriesAtOnce` rows on the calling thread. */
export async function createSampleSearch(job: SampleJob): Promise<SampleSearch> {
  const rows = SharedRows.from(job.rows);
  const { k } = job;
  const { dim } = rows;
  const rowCount = job.among ?? rows.rowCount;
  const tile = Math.min(rowsAtOnce, rowCount);
  const reachedWords = job.least ? queriesAtOnce * tile + 1 : 0;
  const arena = new Arena(4 * (tile * dim + queriesAtOnce * (dim + 2 * k + tile) + tile + 30 + reachedWords), 8);
  const kernels: Kernels = loadKernels(arena);
  const products = await InnerProducts.create(dim);
  const x = arena.float32(queriesAtOnce * dim);
  const others = arena.float32(tile * dim);
  const lists = arena.float32(queriesAtOnce * 2 * k);
  const similarities = arena.float32(queriesAtOnce * tile + 15);
  const leastOfColumn = arena.float32(tile + 15);
  const places = arena.int32(reachedWords);

  return async (queries, { among, reach } = {}) => {
    const reached: number[] = [];
    const count = queries.length;
    rows.gather(queries, count, x);
    if (count < leastRows) x.copyWithin(count * dim, 0, dim);
    lists.fill(0);
    const total = among?.length ?? rowCount;
    const tiles = Math.ceil(total / tile);
    for (let t = 0; t < tiles; t++) {
      const { start, count: columns } = part(t, total, tiles);
      if (among) rows.gather(among.subarray(start, start + columns), columns, others);
      else rows.eachRun(start, columns, (view, first) => others.set(view, (first - start) * dim));
      // The values behind them do not matter: their products are cut off again.
      const wide = Math.max(columns, Math.min(leastColumns, tile));
      await products.run(Math.max(count, leastRows), wide, x, others, similarities);
      if (wide > columns) {
        for (let i = 0; i < count; i++) similarities.copyWithin(i * columns, i * wide, i * wide + columns);
      }
      for (let i = 0; i < count; i++) {
        const self = (among ? placeOf(among, queries[i]) : queries[i]) - start;
        if (self >= 0 && self < columns) similarities[i * columns + self] = Number.NaN;
      }
      if (reach) {
        leastOfColumn.set(job.least!.subarray(start, start + columns));
        kernels.reaching({ rows: count, columns, similarities, leastOfColumn, places });
        for (let p = 1; p <= places[0]; p++) {
          reached.push(start + (places[p] % columns), queries[Math.floor(places[p] / columns)]);
        }
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
    if (among) for (let i = 0; i < ids.length; i++) ids[i] = among[ids[i]];
    return { queries, ids, reached };
  };
}

/** The place of a number in rising ones; −1 where it is not. */
function placeOf(numbers: Int32Array, wanted: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return numbers[low] === wanted ? low : -1;
}

/** Rows to measure by, spread over the set, in portions for `createSampleSearch`. */
export function sampleQueries(rowCount: number, wanted: number): Int32Array[] {
  return inPortions(sampleRows(rowCount, wanted));
}

/** Rows to measure by, spread over the set. */
export function sampleRows(rowCount: number, wanted: number): Int32Array {
  return spread(rowCount, Math.min(rowCount, wanted));
}

export function inPortions(queries: Int32Array): Int32Array[] {
  const portions: Int32Array[] = [];
  for (let i = 0; i < queries.length; i += queriesAtOnce) portions.push(queries.slice(i, i + queriesAtOnce));
  return portions;
}

/** Found neighbours in the same portions. */
export function inPortionsOf({ queries, ids }: Neighbours): Neighbours[] {
  const k = ids.length / queries.length;
  return inPortions(queries).map((portion, p) => {
    const start = p * queriesAtOnce;
    return { queries: portion, ids: ids.slice(start * k, (start + portion.length) * k) };
  });
}

/**
 * Share of the k neighbours of sampled rows that are as near as the k-th nearest, so that of equally near ones any
 * will do.
 */
export function recallOf(
  graph: KnnGraph,
  rows: Pick<UnitRows, 'dim' | 'gather'>,
  exact: readonly Neighbours[],
): number {
  const { dim } = rows;
  const k = graph.width - 1;
  const x = new Float32Array((k + 2) * dim);
  const row = (place: number) => x.subarray(place * dim, (place + 1) * dim);
  let hits = 0;
  let wanted = 0;
  for (const { queries, ids } of exact) {
    for (let i = 0; i < queries.length; i++) {
      const start = queries[i] * graph.width;
      const listed = graph.ids.subarray(start + 1, start + 1 + k).filter((id) => id >= 0);
      rows.gather(Int32Array.of(queries[i], ids[i * k + k - 1], ...listed), listed.length + 2, x);
      const least = dot(row(0), row(1)) - tolerance;
      for (let c = 0; c < listed.length; c++) if (dot(row(0), row(c + 2)) >= least) hits++;
      wanted += k;
    }
  }
  return hits / wanted;
}
