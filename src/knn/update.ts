/**
 * The kNN graph of a set that rows have joined or left, from the one before. By the same cosines as an exact search, and with the same
 * order of equal ones, so that the graph of an exact search becomes that of an exact search over what the set is now.
 *
 * Rows that joined, and rows whose list has lost a neighbour, are compared with all rows. Any other row keeps its list unless a
 * row that joined is as near as the last in it; then the k nearest are among the list and the rows that joined. Where their cosines
 * are further apart than two ways to sum can differ, any way to sum gives their order; the other lists are searched for.
 */
import { availableCores } from '../cgroup.js';
import { NaanError } from '../errors.js';
import { Pool } from '../execution/pool.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { dot } from '../kernels/scalar.js';
import { sharedFloats } from '../memory/shared-arrays.js';
import type { SharedRows } from '../memory/shared-rows.js';
import type { ProgressListener } from '../progress.js';
import { createSampleSearch, inPortions, type SampleJob, type SampleResult, type SampleTask } from './sample.js';

/** Cosines of two ways to sum, one of them rounded to float32, differ by less. */
const tolerance = 2e-6;
/** Products of a row and a column of a thread: with fewer of them it costs more to start than it saves. */
const productsOfThread = 2 ** 32;
const noRows = new Int32Array(0);

export interface UpdateKnnOptions {
  /** Neighbours of each row, itself not counted: at most n − 1. */
  readonly k: number;
  /** Default: the cores this process may use. The graph does not depend on it. */
  readonly threads?: number | undefined;
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
  { k, threads, signal, onProgress }: UpdateKnnOptions,
): Promise<UpdatedKnn> {
  const { rowCount } = rows;
  const graph = allocateKnnGraph(rowCount, k + 1);
  for (let row = 0; row < rowCount; row++) graph.ids[row * graph.width] = row;
  if (k === 0) return { graph, searched: 0, displaced: 0 };
  /** The least cosine of a row that joins a list; Infinity for rows that are compared with all. */
  const least = sharedFloats(rowCount).fill(Number.POSITIVE_INFINITY);
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

  const total = joined.length + short.length;
  const job: SampleJob = { rows: rows.handle(), k, least };
  const products = total * rowCount * rows.dim;
  const search = await startSearch(job, Math.min(threads ?? availableCores(), products / productsOfThread), signal);
  const put = (queries: Int32Array, ids: Int32Array) => {
    for (let i = 0; i < queries.length; i++)
      graph.ids.set(ids.subarray(i * k, (i + 1) * k), queries[i] * graph.width + 1);
  };
  let searched = 0;
  const tell = (count: number) => {
    searched += count;
    onProgress?.({ stage: 'knn', done: searched, total, unit: 'rows' });
  };
  try {
    const newNear = new Map<number, number[]>();
    const compared = [
      ...inPortions(Int32Array.from(joined)).map((queries) => ({ queries, reach: true })),
      ...inPortions(Int32Array.from(short)).map((queries) => ({ queries })),
    ];
    for (const { queries, ids, reached } of await search.run(compared, ({ queries }) => tell(queries.length))) {
      put(queries, ids);
      for (let i = 0; i < reached.length; i += 2) {
        const known = newNear.get(reached[i]);
        if (known) known.push(reached[i + 1]);
        else newNear.set(reached[i], [reached[i + 1]]);
      }
    }
    const close: number[] = [];
    const orderOf = createOrder(rows, k);
    for (const [row, others] of newNear) {
      const start = row * graph.width + 1;
      const nearest = orderOf(row, graph.ids.subarray(start, start + k), others);
      if (nearest) graph.ids.set(nearest, start);
      else close.push(row);
    }
    const ordered = inPortions(Int32Array.from(close).sort()).map((queries): SampleTask => {
      const among = new Set<number>();
      for (const row of queries) {
        for (let c = 1; c <= k; c++) among.add(graph.ids[row * graph.width + c]);
        for (const other of newNear.get(row) ?? noRows) among.add(other);
      }
      return { queries, among: Int32Array.from(among).sort() };
    });
    for (const { queries, ids } of await search.run(ordered, () => tell(0))) put(queries, ids);
    return { graph, searched: total, displaced: newNear.size };
  } finally {
    await search.close();
  }
}

/** Searches on some threads, or for less than two on this one. Results are in the order of their tasks. */
async function startSearch(job: SampleJob, threads: number, signal: AbortSignal | undefined) {
  if (threads < 2) {
    const search = await createSampleSearch(job);
    const run = async (tasks: readonly SampleTask[], onDone: (task: SampleTask) => void) => {
      const found: SampleResult[] = [];
      for (const task of tasks) {
        if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
        found.push(await search(task.queries, task));
        onDone(task);
      }
      return found;
    };
    return { run, async close() {} };
  }
  const worker = new URL('../../workers/knn-sample-worker.js', import.meta.url);
  const pool = new Pool({ worker, threads: Math.floor(threads), workerData: job });
  const run = async (tasks: readonly SampleTask[], onDone: (task: SampleTask) => void) => {
    const found = new Map<SampleTask, SampleResult>();
    await pool.runAll<SampleTask, SampleResult>(tasks, ({ queries }) => `kNN of row ${queries[0]} and others`, {
      signal,
      onDone(task, result) {
        found.set(task, result);
        onDone(task);
      },
    });
    return tasks.map((task) => found.get(task)!);
  };
  return { run, close: () => pool.close() };
}

type OrderOf = (row: number, list: Int32Array, others: readonly number[]) => Int32Array | undefined;

/**
 * Finds the k of a list and of other rows, more than k together, that are nearest to a row, the nearest first; undefined where cosines are too close to
 * tell. The list is in that order but for what was summed in another way.
 */
function createOrder(rows: SharedRows, k: number): OrderOf {
  let cosines = new Float64Array(4 * k);
  let ids = new Int32Array(4 * k);
  return (row, list, others) => {
    const x = rows.row(row);
    const count = list.length + others.length;
    if (count > ids.length) {
      cosines = new Float64Array(2 * count);
      ids = new Int32Array(2 * count);
    }
    for (let i = 0; i < count; i++) {
      const id = i < list.length ? list[i] : others[i - list.length];
      const cosine = dot(x, rows.row(id));
      let at = i;
      for (; at > 0 && cosines[at - 1] < cosine; at--) {
        cosines[at] = cosines[at - 1];
        ids[at] = ids[at - 1];
      }
      cosines[at] = cosine;
      ids[at] = id;
    }
    for (let i = 0; i < k; i++) if (!(cosines[i] - cosines[i + 1] > 2 * tolerance)) return undefined;
    return ids.subarray(0, k);
  };
}
