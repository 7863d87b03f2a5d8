/**
 * The approximate kNN graph by cosine: an inverted-file self-join on sketches.
 *
 * Rows are grouped into cells by spherical k-means, and each is compared with the cells that it probes. How many cells
 * that takes is found out beforehand: of rows whose exact neighbours are known, it is known which pairs must meet, so the
 * threshold of probing is a quantile of their scores. A pair meets when either row probes the other's cell, and rows that
 * are near no centroid probe more of them. Integer sums and seeded choices make the graph the same for any threads.
 */
import { availableCores } from '../cgroup.js';
import { NaanError } from '../errors.js';
import { Pool } from '../execution/pool.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { wholeLimit, wholeZero } from '../kernels/gemm.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { ProgressEvent, ProgressListener } from '../progress.js';
import { pairRounds } from './blocks.js';
import {
  type Block,
  CellFinder,
  type CellJob,
  type CellResult,
  type CellTask,
  longestSegment,
  type Probes,
  probeScore,
  rowsAtOnce,
  type Segments,
} from './cells.js';
import { inPortions, type Neighbours, queriesAtOnce, recallOf, sampleQueries } from './sample.js';
import { fitSketch, sketchNorm, spread } from './sketch.js';

/** The effort of a search. */
export interface Effort {
  /** Share of sampled neighbours that probing may miss. */
  readonly miss: number;
  /** Candidates kept for each row, whose cosines are computed: a multiple of k. */
  readonly candidates: number;
}

export interface ApproximateOptions {
  readonly k: number;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `sample`, `cells`, `assign`, `probe`, `compare`, `refine`, unit `rows`. */
  readonly onProgress?: ProgressListener | undefined;
}

export interface ApproximateKnn {
  readonly graph: KnnGraph;
  /** Recall against exact search, on rows that the search was not fitted to. */
  readonly recall: number;
}

/** Rows that probing is fitted to, and rows that recall is measured on. */
const fittedRows = 4 * queriesAtOnce;
const measuredRows = 8 * queriesAtOnce;
const trainingRowsEach = 32;
const trainingRounds = 6;
const rowsEach = 4096;
const wantedBlocks = 24;
const largestBlock = 32_768;
const progressIntervalMs = 250;

/** Cells for n rows: four times the root, as larger cells make more pairs meet in vain. */
function cellCountFor(rowCount: number): number {
  return Math.max(1, Math.min(65_536, Math.round(4 * Math.sqrt(rowCount)), rowCount >> 3));
}

/**
 * Builds the graph: k + 1 columns, column 0 the row itself, by falling cosine, then rising id. `rows` are unit vectors.
 * Memory besides the rows: 2 r bytes (r = 256 as a rule), 8 bytes a candidate, 4 bytes a neighbour and some hundred bytes
 * of probes for each row, and a few dozen MiB a thread.
 * Throws CANCELLED after an abort.
 */
export async function searchCells(
  rows: SharedRows,
  { k, threads = availableCores(), signal, onProgress }: ApproximateOptions,
  effort: Effort,
): Promise<ApproximateKnn> {
  const { rowCount } = rows;
  const stop = () => {
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
  };
  stop();
  const cellCount = cellCountFor(rowCount);
  const candidates = Math.min(rowCount - 1, Math.ceil(k * effort.candidates) + 8);
  const blockRows = Math.min(largestBlock, Math.max(longestSegment, Math.ceil(rowCount / wantedBlocks)));
  const sketch = await fitSketch(rows);
  const trainingCount = Math.min(rowCount, trainingRowsEach * cellCount);
  const bytes = (count: number) => SharedRows.allocate(count, sketch.length / 4).handle();
  const job: CellJob = {
    rows: rows.handle(),
    sketch,
    cellCount,
    centroids: new Int8Array(new SharedArrayBuffer(sketch.length * cellCount)),
    training: {
      ids: shared(spread(rowCount, trainingCount)),
      sketches: bytes(trainingCount),
      cells: int32(trainingCount),
    },
    cells: int32(rowCount),
    order: int32(rowCount),
    sketchRows: bytes(rowCount),
    sketchColumns: bytes(rowCount),
    capacity: Math.min(rowCount, blockRows + longestSegment),
    lists: SharedRows.allocate(rowCount, 2 * candidates).handle(),
    graph: allocateKnnGraph(rowCount, k + 1),
  };
  const { graph } = job;
  const worker = new URL('../../workers/knn-cells-worker.js', import.meta.url);
  const pool = new Pool({ worker, threads, workerData: job });

  /** Runs tasks; their results in order. `stands` says where a stage is by the number of tasks done. */
  async function runAll<R extends CellResult>(
    stage: string,
    tasks: readonly CellTask[],
    stands: (done: number) => number = (done) => (done / tasks.length) * rowCount,
  ): Promise<R[]> {
    const results: R[] = [];
    const places = new Map(tasks.map((task, place) => [task, place]));
    let done = 0;
    let told = performance.now();
    const onDone = (task: CellTask, result: CellResult) => {
      results[places.get(task)!] = result as R;
      done++;
      if (performance.now() - told < progressIntervalMs) return;
      told = performance.now();
      onProgress?.(at(stage, stands(done)));
    };
    await pool.runAll(tasks, (task) => `kNN stage ${stage} (${task.kind})`, { onDone, signal });
    if (tasks.length > 0) onProgress?.(at(stage, stands(tasks.length)));
    return results;
  }
  const at = (stage: string, done: number): ProgressEvent => {
    return { stage, done: Math.floor(done), total: rowCount, unit: 'rows' };
  };
  const exactly = (stage: string, portions: Int32Array[]) => {
    return runAll<Neighbours>(
      stage,
      portions.map((queries) => ({ kind: 'sample', queries })),
    );
  };

  try {
    const sample = await exactly('sample', sampleQueries(rowCount, fittedRows + measuredRows));
    // Every third portion is fitted to, so that both kinds are spread over the set.
    const fitted = sample.filter((_, portion) => portion % 3 === 0);
    const measured = sample.length > 1 ? sample.filter((_, portion) => portion % 3 !== 0) : sample;

    const inRanges = (kind: 'sketch' | 'train' | 'assign', count: number, version: number): CellTask[] =>
      ranges(count, kind === 'assign' ? rowsEach : rowsEach / 4).map((range) => ({ kind, ...range, version }));
    await runAll('cells', inRanges('sketch', trainingCount, 0), () => 0);
    placeCentroids(job);
    for (let round = 1; round <= trainingRounds; round++) {
      const share = (round - 1) / trainingRounds;
      await runAll('cells', inRanges('train', trainingCount, round), () => share * rowCount);
      moveCentroids(job);
    }
    const version = trainingRounds + 1;
    await runAll('assign', inRanges('assign', rowCount, version));
    const segments = putInOrder(job);
    const blocks = cutBlocks(segments, blockRows);
    const threshold = await fitThreshold(rows, job, fitted, effort.miss, version);
    stop();
    const probes = await runAll<Probes>(
      'probe',
      blocks.map((block) => ({ kind: 'probe', block, segments, threshold, version })),
    );
    const probed = blocks.map((block, b) => ({ ...block, probes: probes[b] }));
    const pairs = (blocks.length * (blocks.length + 1)) / 2;
    let before = 0;
    for (const round of pairRounds(blocks.length)) {
      const tasks = round.flatMap((task): CellTask[] =>
        task.kind === 'compare' ? [{ kind: 'compare', a: probed[task.a], b: probed[task.b], segments }] : [],
      );
      const start = before;
      await runAll('compare', tasks, (done) => ((start + done) / pairs) * rowCount);
      before += tasks.length;
    }
    const short = await runAll<Int32Array>(
      'refine',
      blocks.map((block) => ({ kind: 'refine', block })),
    );
    // Rows that met fewer than k others are searched for exactly.
    const lonely = short.flatMap((ids) => [...ids]);
    for (const { queries, ids } of await exactly('refine', inPortions(Int32Array.from(lonely)))) {
      for (let i = 0; i < queries.length; i++) {
        graph.ids.set(ids.subarray(i * k, (i + 1) * k), queries[i] * graph.width + 1);
      }
    }
    return { graph, recall: recallOf(graph, rows, measured) };
  } finally {
    await pool.close();
  }
}

/** Begins with training rows as centroids. */
function placeCentroids({ training, cellCount, centroids }: CellJob): void {
  const sketches = SharedRows.from(training.sketches);
  const chosen = spread(sketches.rowCount, cellCount);
  for (let c = 0; c < cellCount; c++) {
    const row = bytesOf(sketches.row(chosen[c]));
    for (let i = 0; i < row.length; i++) centroids[i * cellCount + c] = row[i] - wholeZero;
  }
}

/** Moves each centroid to the middle of its rows, as a unit vector; one without rows stays where it is. */
function moveCentroids({ training, cellCount, centroids, sketch }: CellJob): void {
  const { length } = sketch;
  const sketches = SharedRows.from(training.sketches);
  const sums = new Float64Array(cellCount * length);
  for (let row = 0; row < sketches.rowCount; row++) {
    const values = bytesOf(sketches.row(row));
    const start = training.cells[row] * length;
    for (let i = 0; i < length; i++) sums[start + i] += values[i] - wholeZero;
  }
  for (let c = 0; c < cellCount; c++) {
    const sum = sums.subarray(c * length, (c + 1) * length);
    let squares = 0;
    for (let i = 0; i < length; i++) squares += sum[i] * sum[i];
    if (squares === 0) continue;
    const factor = sketchNorm(length) / Math.sqrt(squares);
    for (let i = 0; i < length; i++) {
      centroids[i * cellCount + c] = Math.max(-wholeLimit, Math.min(wholeLimit, Math.round(sum[i] * factor)));
    }
  }
}

/** Puts rows in the order of their cells, those of a cell by id, and cuts each cell into segments. */
function putInOrder({ cells, order, cellCount }: CellJob): Segments {
  const offsets = new Int32Array(cellCount + 1);
  for (const cell of cells) offsets[cell + 1]++;
  for (let c = 0; c < cellCount; c++) offsets[c + 1] += offsets[c];
  const starts: number[] = [];
  const cellOf: number[] = [];
  for (let c = 0; c < cellCount; c++) {
    const size = offsets[c + 1] - offsets[c];
    const count = Math.ceil(size / longestSegment);
    for (let s = 0; s < count; s++) {
      starts.push(offsets[c] + Math.floor((s * size) / count));
      cellOf.push(c);
    }
  }
  starts.push(cells.length);
  for (let row = 0; row < cells.length; row++) order[offsets[cells[row]]++] = row;
  return { starts: shared(starts), cells: shared(cellOf) };
}

/** Blocks of about `blockRows` positions: never more than that and a segment. */
function cutBlocks({ starts, cells }: Segments, blockRows: number): Block[] {
  const blocks: Block[] = [];
  for (let first = 0; first < cells.length; ) {
    let end = first + 1;
    while (end < cells.length && starts[end] - starts[first] < blockRows) end++;
    blocks.push({
      start: starts[first],
      count: starts[end] - starts[first],
      firstSegment: first,
      endSegment: end,
    });
    first = end;
  }
  return blocks;
}

/**
 * The greatest threshold of probing at which all but a share of known neighbours meet: a pair meets when the better of
 * the two scores, of a row and the other's cell, reaches it.
 */
async function fitThreshold(
  rows: SharedRows,
  job: CellJob,
  exact: readonly Neighbours[],
  miss: number,
  version: number,
): Promise<number> {
  const { cells, cellCount } = job;
  const finder = await CellFinder.create(job);
  const pairScores: number[] = [];
  /** Calls `visit` for each row with the place of its similarities. */
  async function locate(ids: Int32Array, visit: (i: number, line: number) => void): Promise<void> {
    for (let first = 0; first < ids.length; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, ids.length - first);
      rows.gather(ids.subarray(first, first + count), count, finder.x);
      await finder.sketch(count);
      await finder.compare(count, version);
      for (let i = 0; i < count; i++) visit(first + i, i * cellCount);
    }
  }
  const scoreOf = (line: number, own: number, other: number) =>
    probeScore(finder.similarities[line + other], finder.similarities[line + own]);
  for (const { queries, ids } of exact) {
    const k = ids.length / queries.length;
    const scores = new Float64Array(ids.length);
    await locate(queries, (i, line) => {
      for (let c = 0; c < k; c++) scores[i * k + c] = scoreOf(line, cells[queries[i]], cells[ids[i * k + c]]);
    });
    await locate(ids, (pair, line) => {
      const query = queries[Math.floor(pair / k)];
      const [own, other] = [cells[ids[pair]], cells[query]];
      scores[pair] = own === other ? Infinity : Math.max(scores[pair], scoreOf(line, own, other));
    });
    for (const score of scores) pairScores.push(score);
  }
  await finder.release();
  const sorted = Float64Array.from(pairScores).sort();
  return sorted[Math.floor(miss * sorted.length)];
}

function ranges(count: number, size: number): { start: number; count: number }[] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => ({
    start: i * size,
    count: Math.min(size, count - i * size),
  }));
}

function int32(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}

function shared(values: ArrayLike<number>): Int32Array {
  const copy = int32(values.length);
  copy.set(values);
  return copy;
}

function bytesOf(row: Float32Array): Uint8Array {
  return new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
}
