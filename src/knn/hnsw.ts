/**
 * The approximate kNN graph by HNSW (Malkov and Yashunin 2016), from the optional package usearch. Which rows a new one
 * is linked to depends on what other threads have added before it, so the graph may differ from run to run.
 */
import { availableCores } from '../cgroup.js';
import { NaanError } from '../errors.js';
import { Pool } from '../execution/pool.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import type { ApproximateKnn, ApproximateOptions } from './ivf.js';
import { Refiner } from './refine.js';
import { createSampleSearch, inPortions, type Neighbours, recallOf, sampleQueries } from './sample.js';

export interface HnswJob {
  readonly rows: SharedRowsHandle;
  readonly graph: KnnGraph;
  readonly threads: number;
  /** Rows looked at while one is added, and while one is searched for. */
  readonly expansion: number;
}

export type HnswTask =
  | { readonly kind: 'sample'; readonly queries: Int32Array }
  | { readonly kind: 'add' | 'search'; readonly start: number; readonly count: number };

const measuredRows = 512;
const rowsEach = 512;

/** Throws BACKEND_UNAVAILABLE with what to install. */
export async function loadUsearch(): Promise<typeof import('usearch')> {
  try {
    return await import('usearch');
  } catch (cause) {
    const message = 'method hnsw needs the optional package usearch: npm install usearch@2.25.3, or use method ivf';
    throw new NaanError('BACKEND_UNAVAILABLE', message, { cause });
  }
}

/** Memory besides the rows: 2 d bytes, about 200 bytes of links and 4 bytes a neighbour for each row. */
export async function searchHnsw(
  rows: SharedRows,
  { k, threads = availableCores(), signal, onProgress }: ApproximateOptions,
  expansion: number,
): Promise<ApproximateKnn> {
  const { rowCount } = rows;
  const graph = allocateKnnGraph(rowCount, k + 1);
  const job: HnswJob = { rows: rows.handle(), graph, threads, expansion };
  // usearch brings its own threads: one of ours holds the index and leaves the main one free for signals.
  const worker = new URL('../../workers/knn-hnsw-worker.js', import.meta.url);
  const pool = new Pool({ worker, threads: 1, workerData: job });
  async function runAll<R>(stage: string, tasks: readonly HnswTask[]): Promise<R[]> {
    const results: R[] = [];
    const onDone = (_: HnswTask, result: unknown) => {
      results.push(result as R);
      const done = Math.floor((results.length / tasks.length) * rowCount);
      onProgress?.({ stage, done, total: rowCount, unit: 'rows' });
    };
    await pool.runAll(tasks, () => `kNN stage ${stage}`, { onDone, signal, attempts: 1 });
    return results;
  }
  const inRanges = (kind: 'add' | 'search') =>
    Array.from({ length: Math.ceil(rowCount / rowsEach) }, (_, i): HnswTask => {
      return { kind, start: i * rowsEach, count: Math.min(rowsEach, rowCount - i * rowsEach) };
    });
  const exactly = (stage: string, portions: Int32Array[]) =>
    runAll<Neighbours>(
      stage,
      portions.map((queries) => ({ kind: 'sample', queries })),
    );
  try {
    const exact = await exactly('sample', sampleQueries(rowCount, measuredRows));
    await runAll('add', inRanges('add'));
    const short = (await runAll<number[]>('search', inRanges('search'))).flat();
    for (const { queries, ids } of await exactly('search', inPortions(Int32Array.from(short)))) {
      for (let i = 0; i < queries.length; i++) {
        graph.ids.set(ids.subarray(i * k, (i + 1) * k), queries[i] * graph.width + 1);
      }
    }
    return { graph, recall: recallOf(graph, rows, exact), normalised: 0 };
  } finally {
    await pool.close();
  }
}

/** The thread that holds the index. */
export async function createHnsw(
  job: HnswJob,
): Promise<(task: HnswTask) => Promise<Neighbours | number[] | undefined>> {
  const { Index, MetricKind, ScalarKind } = (await loadUsearch()).default;
  const rows = SharedRows.from(job.rows);
  const { graph, threads, expansion } = job;
  const { dim } = rows;
  const k = graph.width - 1;
  const index = new Index({
    dimensions: dim,
    metric: MetricKind.IP,
    quantization: ScalarKind.BF16,
    multi: false,
    connectivity: 16,
    expansion_add: expansion,
    expansion_search: expansion,
  });
  const sampleSearch = await createSampleSearch({ rows: job.rows, k });
  const refiner = new Refiner(rows, graph, k + 1);

  function search(view: Float32Array, first: number): number[] {
    const count = view.length / dim;
    const { keys, counts } = inBatch(index.search(view as never, k + 1, threads) as never);
    const short: number[] = [];
    for (let start = 0; start < count; start += refiner.rowsAtOnce) {
      const ids = Int32Array.from({ length: Math.min(refiner.rowsAtOnce, count - start) }, (_, i) => first + start + i);
      refiner.candidates.fill(-1);
      for (let i = 0; i < ids.length; i++) {
        let kept = i * (k + 1);
        for (let c = 0; c < Number(counts[start + i]); c++) {
          const id = Number(keys[(start + i) * (k + 1) + c]);
          if (id !== ids[i]) refiner.candidates[kept++] = id;
        }
      }
      short.push(...refiner.write(ids));
    }
    return short;
  }

  return async (task) => {
    if (task.kind === 'sample') return sampleSearch(task.queries);
    const short: number[] = [];
    rows.eachRun(task.start, task.count, (view, first) => {
      if (task.kind === 'search') short.push(...search(view, first));
      else
        index.add(
          BigUint64Array.from({ length: view.length / dim }, (_, i) => BigInt(first + i)),
          view as never,
          threads,
        );
    });
    return task.kind === 'search' ? short : undefined;
  };
}

/** For a single row usearch gives its matches without their count. */
function inBatch(found: { keys: BigUint64Array; counts?: BigUint64Array }): {
  keys: BigUint64Array;
  counts: BigUint64Array;
} {
  return { keys: found.keys, counts: found.counts ?? BigUint64Array.of(BigInt(found.keys.length)) };
}
