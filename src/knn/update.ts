/**
 * The kNN graph of a set that rows have joined or left, from the one before. By the same cosines as an exact search, and with the same
 * order of equal ones, so that the graph of an exact search becomes that of an exact search over what the set is now.
 *
 * Rows that joined, and rows whose list has lost a neighbour, are compared with all rows. Any other row keeps its list unless a
 * row that joined is as near as the last in it; then the k nearest are among the list and the rows that joined. Where their cosines
 * are further apart than two ways to sum can differ, any way to sum gives their order; the other lists are searched for.
 */
import { NaanError } from '../errors.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { dot } from '../kernels/scalar.js';
import type { SharedRows } from '../memory/shared-rows.js';
import type { ProgressListener } from '../progress.js';
import { createSampleSearch, inPortions } from './sample.js';

/** Cosines of two ways to sum differ by less. */
const tolerance = 2e-6;
const noRows = new Int32Array(0);

export interface UpdateKnnOptions {
  /** Neighbours of each row, itself not counted: at most n − 1. */
  readonly k: number;
  readonly signal?: AbortSignal | undefined;
  /** Stage `knn`, unit `rows`: those compared with all. */
  readonly onProgress?: ProgressListener | undefined;
}

export interface UpdatedKnn {
  /** k + 1 columns. */
  readonly graph: KnnGraph;
  /** Rows that were compared with all others, and rows of other lists that changed. */
  readonly searched: number;
  readonly displaced: number;
}

/**
 * `rows` [n × d]: unit vectors. `before`: the lists as they were, in numbers of today, with −1 for a neighbour that has left; a row that
 * has joined has −1 for itself. Throws CANCELLED.
 */
export async function updateKnn(
  rows: SharedRows,
  before: KnnGraph,
  { k, signal, onProgress }: UpdateKnnOptions,
): Promise<UpdatedKnn> {
  const { rowCount } = rows;
  const graph = allocateKnnGraph(rowCount, k + 1);
  for (let row = 0; row < rowCount; row++) graph.ids[row * graph.width] = row;
  if (k === 0) return { graph, searched: 0, displaced: 0 };
  const search = await createSampleSearch({ rows: rows.handle(), k });
  /** The least cosine of a row that joins a list; Infinity for rows that are compared with all. */
  const least = new Float64Array(rowCount).fill(Number.POSITIVE_INFINITY);
  const joined: number[] = [];
  const short: number[] = [];
  for (let row = 0; row < rowCount; row++) {
    const start = row * before.width;
    const list = before.ids.subarray(start + 1, start + Math.min(before.width, k + 1));
    if (before.ids[start] < 0) joined.push(row);
    else if (list.length < k || list.includes(-1)) short.push(row);
    else {
      graph.ids.set(list, row * graph.width + 1);
      least[row] = dot(rows.row(row), rows.row(list[k - 1])) - tolerance;
    }
  }

  const put = (queries: Int32Array, ids: Int32Array) => {
    for (let i = 0; i < queries.length; i++)
      graph.ids.set(ids.subarray(i * k, (i + 1) * k), queries[i] * graph.width + 1);
  };
  const newNear = new Map<number, number[]>();
  const total = joined.length + short.length;
  let searched = 0;
  const tell = (count: number) => {
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
    searched += count;
    onProgress?.({ stage: 'knn', done: searched, total, unit: 'rows' });
  };
  for (const queries of inPortions(Int32Array.from(joined))) {
    const visit = (cosines: Float32Array, columns: number, first: number) => {
      for (let i = 0; i < queries.length; i++) {
        for (let c = 0; c < columns; c++) {
          if (!(cosines[i * columns + c] >= least[first + c])) continue;
          const known = newNear.get(first + c);
          if (known) known.push(queries[i]);
          else newNear.set(first + c, [queries[i]]);
        }
      }
    };
    put(queries, (await search(queries, { visit })).ids);
    tell(queries.length);
  }
  for (const queries of inPortions(Int32Array.from(short))) {
    put(queries, (await search(queries)).ids);
    tell(queries.length);
  }
  const close: number[] = [];
  for (const [row, others] of newNear) {
    const start = row * graph.width + 1;
    const nearest = orderOf(rows, row, [...graph.ids.subarray(start, start + k), ...others], k);
    if (nearest) graph.ids.set(nearest, start);
    else close.push(row);
  }
  for (const queries of inPortions(Int32Array.from(close).sort())) {
    const among = new Set<number>();
    for (const row of queries) {
      for (let c = 1; c <= k; c++) among.add(graph.ids[row * graph.width + c]);
      for (const other of newNear.get(row) ?? noRows) among.add(other);
    }
    put(queries, (await search(queries, { among: Int32Array.from(among).sort() })).ids);
    tell(0);
  }
  return { graph, searched: total, displaced: newNear.size };
}

/** The k of `others`, more than k, that are nearest to a row, the nearest first; undefined where cosines are too close to tell. */
function orderOf(rows: SharedRows, row: number, others: readonly number[], k: number): Int32Array | undefined {
  const x = rows.row(row);
  const cosines = others.map((other) => dot(x, rows.row(other)));
  const places = [...others.keys()].sort((a, b) => cosines[b] - cosines[a]).slice(0, k + 1);
  for (let i = 0; i < k; i++) if (!(cosines[places[i]] - cosines[places[i + 1]] > 2 * tolerance)) return undefined;
  return Int32Array.from(places.slice(0, k), (place) => others[place]);
}
