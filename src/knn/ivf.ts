/**
 * The approximate kNN graph by cosine: an inverted-file self-join on sketches.
 *
 * Rows are grouped into cells by spherical k-means, and each is compared with the cells that it probes. How many cells
 * that takes is found out beforehand: of rows whose exact neighbours are known, it is known which pairs must meet, so the
 * threshold of probing is a quantile of their scores. A pair meets when either row probes the other's cell, and rows that
 * are near no centroid probe more of them. Integer sums and seeded choices make the graph the same for any threads.
 */
import { availableCores } from '../cgroup.js';
import { crc32 } from '../checksum.js';
import { NaanError } from '../errors.js';
import { Pool } from '../execution/pool.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { wholeLimit, wholeZero } from '../kernels/gemm.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { ProgressEvent, ProgressListener } from '../progress.js';
import { type PairTask, pairRounds, part, type Range } from './blocks.js';
import {
  type CellBlock,
  type CellJob,
  type CellResult,
  type CellTask,
  longestSegment,
  probeScore,
  queriesAtMost,
  type Segments,
} from './cells.js';
import { checksumOf, type KeptLists, piecesOf } from './kept-lists.js';
import { mergeRanges, rangeStep } from './range-search.js';
import { inPortionsOf, type Neighbours, queriesAtOnce, recallOf, sampleRows } from './sample.js';
import { type Leave, type SearchShares, segmentIn } from './shares.js';
import { fitSketch, sketchNorm, spread } from './sketch.js';
import { openUnitRows, type UnitRows, type UnitRowsHandle } from './unit-rows.js';
import type { Window } from './window-cosines.js';

/** The effort of a search. */
export interface Effort {
  /** Share of sampled neighbours that probing may miss. */
  readonly miss: number;
  /** Candidates kept for each row, whose cosines are computed: a multiple of k. */
  readonly candidates: number;
}

/** Stages of a search by cells, in order. */
export const cellStages: readonly string[] = ['sample', 'sketch', 'cells', 'assign', 'compare', 'refine'];

export interface ApproximateOptions {
  readonly k: number;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `cellStages`, unit `rows`. */
  readonly onProgress?: ProgressListener | undefined;
}

export interface ApproximateKnn {
  readonly graph: KnnGraph;
  /** Recall against exact search, on rows that the search was not fitted to. */
  readonly recall: number;
  /** Rows of features that had to be normalised; 0 for rows in memory. */
  readonly normalised: number;
}

/** Rows that probing is fitted to, and rows that recall is measured on. */
const fittedRows = 8 * queriesAtOnce;
const measuredRows = 8 * queriesAtOnce;
const trainingRowsEach = 32;
const trainingRounds = 4;
const rowsEach = 4096;
const wantedBlocks = 24;
const largestBlock = 32_768;
const progressIntervalMs = 250;
/** Ranges of rows that sampled rows are searched for in. */
const searchedRanges = 32;
const windowBytes = 2 ** 26;

/** Rows a cell of a large set: smaller cells save more pairs, but to find the cells of all rows takes n² divided by this. */
const rowsOfCell = 64;

/** Cells for n rows: four times the root, and more in large sets, as larger cells make more pairs meet in vain. */
function cellCountFor(rowCount: number): number {
  const wanted = Math.round(Math.max(4 * Math.sqrt(rowCount), rowCount / rowsOfCell));
  return Math.max(1, Math.min(65_536, wanted, rowCount >> 3));
}

/** Numbers that follow from those of the rows and of their neighbours. */
export interface CellSizes {
  readonly cellCount: number;
  /** Candidates kept for each row. */
  readonly candidates: number;
  /** Greatest number of positions in a block. */
  readonly capacity: number;
  readonly blockRows: number;
  readonly trainingCount: number;
}

export function cellSizes(rowCount: number, k: number, effort: Effort): CellSizes {
  const cellCount = cellCountFor(rowCount);
  const blockRows = Math.min(largestBlock, Math.max(longestSegment, Math.ceil(rowCount / wantedBlocks)));
  return {
    cellCount,
    candidates: Math.min(rowCount - 1, Math.ceil(k * effort.candidates) + 8),
    capacity: Math.min(rowCount, blockRows + longestSegment),
    blockRows,
    trainingCount: Math.min(rowCount, trainingRowsEach * cellCount),
  };
}

/**
 * Builds the graph: k + 1 columns, column 0 the row itself, by falling cosine, then rising id. `source` are unit vectors in
 * shared memory, or features whose rows are read when they are needed, front to back as far as that goes; the graph
 * is the same. Memory besides rows: see `plan.ts`.
 * Throws CANCELLED after an abort, BAD_INPUT for rows that cannot be read or used.
 */
export async function searchCells(
  source: UnitRowsHandle,
  options: CellOptions,
  effort: Effort,
): Promise<ApproximateKnn> {
  const rows = openUnitRows(source);
  try {
    return await searchRows(rows, source, options, effort);
  } finally {
    rows.close();
  }
}

interface CellOptions extends ApproximateOptions {
  /** Keeps the lists between rounds, and has those of a search that was cut off. */
  readonly kept?: KeptLists | undefined;
  /** Other ranks do their parts of the search. */
  readonly shares?: SearchShares | undefined;
  /** Rows of features that may be in memory at once in the end; default: 64 MiB of them. */
  readonly windowRows?: number | undefined;
}

/** Tasks over ranges of rows that follow one another. */
type RowsTask = Extract<CellTask, { readonly kind: 'sketch' | 'train' | 'assign' }>;

interface PartsOptions {
  readonly stands?: (share: number) => number;
  /** Tells the passes of a stage apart. */
  readonly step?: number;
  /** Hears the results of the tasks that ran here, and the number of the first of them. */
  readonly onResults?: (results: readonly CellResult[], start: number) => void;
}

async function searchRows(
  rows: UnitRows,
  source: UnitRowsHandle,
  { k, threads = availableCores(), signal, onProgress, windowRows, kept, shares }: CellOptions,
  effort: Effort,
): Promise<ApproximateKnn> {
  const { rowCount } = rows;
  const stop = () => {
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
  };
  stop();
  const { cellCount, candidates, capacity, blockRows, trainingCount } = cellSizes(rowCount, k, effort);
  const sketch = await fitSketch(rows);
  const job: CellJob = {
    rows: source,
    sketch,
    cellCount,
    centroids: new Int8Array(new SharedArrayBuffer(sketch.length * cellCount)),
    training: { ids: shared(spread(rowCount, trainingCount)), cells: int32(trainingCount) },
    sketches: SharedRows.allocate(rowCount, sketch.length / 4).handle(),
    cells: int32(rowCount),
    nearness: new Float32Array(new SharedArrayBuffer(4 * rowCount)),
    order: int32(rowCount),
    capacity,
    lists: SharedRows.allocate(rowCount, 2 * candidates).handle(),
    graph: allocateKnnGraph(rowCount, k + 1),
  };
  const { graph } = job;
  const worker = new URL('../../workers/knn-cells-worker.js', import.meta.url);
  const pool = new Pool({ worker, threads, workerData: job });

  /** Runs tasks; their results in order. `stands` says at which row a stage is by the share of the tasks that are done. */
  async function runAll<R extends CellResult>(
    stage: string,
    tasks: readonly CellTask[],
    stands: (share: number) => number = (share) => share * rowCount,
    from = 0,
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
      onProgress?.(at(stage, stands(done / tasks.length), from));
    };
    await pool.runAll(tasks, (task) => `kNN stage ${stage} (${task.kind})`, { onDone, signal });
    if (tasks.length > 0) onProgress?.(at(stage, stands(1), from));
    return results;
  }
  const at = (stage: string, done: number, from: number): ProgressEvent => {
    return { stage, done: Math.floor(done), total: rowCount, unit: 'rows', ...(from > 0 && { from }) };
  };
  /**
   * Runs tasks over rows. Of ranks each runs its part of them, and hands on what it has written of its rows: `arrays` have the
   * bytes of a range of rows, which are those of a range of tasks.
   */
  async function inParts(
    stage: string,
    tasks: readonly RowsTask[],
    arrays: Readonly<Record<string, (rows: Range, tasks: Range) => Iterable<Uint8Array>>>,
    { stands, step = 0, onResults }: PartsOptions = {},
  ): Promise<void> {
    const run = async ({ start, count }: Range) => {
      const results = await runAll<CellResult>(stage, tasks.slice(start, start + count), stands);
      onResults?.(results, start);
    };
    if (shares === undefined) return run({ start: 0, count: tasks.length });
    const piecesOfPart = (some: Range) => {
      const own = tasks.slice(some.start, some.start + some.count).map(({ range }) => range);
      const rowsOfPart = { start: own[0]?.start ?? 0, count: own.reduce((sum, { count }) => sum + count, 0) };
      return Object.entries(arrays).map(([name, bytes]) => [name, [...bytes(rowsOfPart, some)]] as const);
    };
    const left = await shares.exchange(
      stage,
      {},
      async (leave) => {
        const own = shares.partOf(shares.rank, tasks.length);
        await run(own);
        for (const [name, pieces] of piecesOfPart(own)) await leave(name, pieces);
      },
      step,
    );
    for (let rank = 0; rank < shares.ranks; rank++) {
      const found = piecesOfPart(shares.partOf(rank, tasks.length));
      for (const [name, pieces] of found) shares.read(left, rank, name, ...pieces);
    }
  }
  /** The exact neighbours of any rows: each pass over the rows searches for some of them. */
  async function exactly(stage: string, queries: Int32Array): Promise<Neighbours> {
    const all = searchRanges(rowCount);
    const passes = ranges(queries.length, queriesAtMost).map(({ start, count }) => queries.slice(start, start + count));
    /** Lists of a pass from some of the ranges. */
    const search = (some: Int32Array, among: readonly Range[]) =>
      runAll<Float32Array>(
        stage,
        among.map((range) => ({ kind: 'sample', queries: some, range })),
      );
    const ids = new Int32Array(queries.length * k);
    const merge = (pass: number, parts: readonly Float32Array[]) => {
      ids.set(mergeRanges(passes[pass], k, parts).ids, pass * queriesAtMost * k);
    };
    if (shares === undefined) {
      for (const [pass, some] of passes.entries()) merge(pass, await search(some, all));
      return { queries, ids };
    }
    const { start, count } = shares.partOf(shares.rank, all.length);
    const left = await shares.exchange(stage === 'sample' ? 'sample' : 'lonely', {}, async (leave) => {
      for (const [pass, some] of passes.entries()) {
        const found = await search(some, all.slice(start, start + count));
        await leave(`pass${pass}`, found.map(bytesOf));
      }
    });
    for (const [pass, { length }] of passes.entries()) {
      const parts = Array.from({ length: shares.ranks }, (_, rank) => {
        const lists = new Float32Array(shares.partOf(rank, all.length).count * length * 2 * k);
        shares.read(left, rank, `pass${pass}`, bytesOf(lists));
        return ranges(lists.length, length * 2 * k).map((of) => lists.subarray(of.start, of.start + of.count));
      });
      merge(pass, parts.flat());
    }
    return { queries, ids };
  }
  const ofBlocks = (kind: 'refine' | 'name' | 'finish') => ownBlocks.map((block): CellTask => ({ kind, block }));
  let blocks: CellBlock[] = [];
  /** Those whose lists are refined here. */
  let ownBlocks: CellBlock[] = [];

  /** The lists of rows that are not in memory. Returns rows that met fewer than k others. */
  async function refineByWindows(): Promise<Int32Array[]> {
    await runAll('refine', ofBlocks('name'), () => 0);
    const count = Math.ceil(rowCount / Math.max(1, windowRows ?? Math.floor(windowBytes / (4 * rows.dim))));
    const stores = Array.from({ length: Math.min(2, count) }, () =>
      SharedRows.allocate(Math.ceil(rowCount / count), rows.dim).handle(),
    );
    const read = async (index: number, store: number): Promise<Window> => {
      const window = { range: part(index, rowCount, count), rows: stores[store] };
      const { start, count: length } = window.range;
      const tasks = ranges(length, rowsEach).map((piece): CellTask => {
        return { kind: 'load', window, part: { start: start + piece.start, count: piece.count } };
      });
      await runAll('refine', tasks, () => share());
      return window;
    };
    let pairsDone = 0;
    const share = (of = 0) => ((pairsDone + of) / ((count * (count + 1)) / 2)) * rowCount;
    for (let first = 0; first < count; first++) {
      const a = await read(first, 0);
      for (let second = first; second < count; second++) {
        const b = second === first ? a : await read(second, 1);
        const tasks = ownBlocks.map((block): CellTask => ({ kind: 'cosines', block, a, b }));
        await runAll('refine', tasks, share);
        pairsDone++;
      }
    }
    return runAll<Int32Array>('refine', ofBlocks('finish'), () => rowCount);
  }

  /** The lists of rows whose candidates are known. Returns rows that met fewer than k others. */
  function refine(): Promise<Int32Array[]> {
    return 'features' in source ? refineByWindows() : runAll<Int32Array>('refine', ofBlocks('refine'));
  }

  /** The same of all ranks together: each merges what all have found of its own blocks, and refines that. */
  async function refineTogether(
    together: SearchShares,
    found: Readonly<Record<string, unknown>>,
  ): Promise<Int32Array[]> {
    const lists = SharedRows.from(job.lists);
    const met = await together.exchange('lists', found, async (leave) => {
      for (const block of blocks) {
        if (!ownBlocks.includes(block)) await leave(nameOf(block), [...piecesOf(lists, block)]);
      }
    });
    const left = await together.exchange('graph', found, async (leave) => {
      const { folder, rank, ranks } = together;
      const tasks = ownBlocks.map((block): CellTask => {
        const others = Array.from({ length: ranks }, (_, other) => other).filter((other) => other !== rank);
        const segments = others.map((other) => together.segmentOf(met, other, nameOf(block)));
        return { kind: 'merge', block, folder, others: segments };
      });
      await runAll('refine', tasks, () => 0);
      const short = await refine();
      for (const block of ownBlocks) {
        const ids = new Int32Array(block.count * k);
        for (let i = 0; i < block.count; i++) {
          const start = job.order[block.start + i] * graph.width + 1;
          ids.set(graph.ids.subarray(start, start + k), i * k);
        }
        await leave(nameOf(block), [bytesOf(ids)]);
      }
      await leave('short', short.map(bytesOf));
    });
    const short: Int32Array[] = [];
    for (const [rank, checks] of left.entries()) {
      for (const block of blocksOf(rank)) {
        const ids = new Int32Array(block.count * k);
        together.read(left, rank, nameOf(block), bytesOf(ids));
        for (let i = 0; i < block.count; i++) {
          const row = job.order[block.start + i];
          graph.ids[row * graph.width] = row;
          graph.ids.set(ids.subarray(i * k, (i + 1) * k), row * graph.width + 1);
        }
      }
      const lonely = new Int32Array((segmentIn(checks, 'short')?.length ?? 0) / 4);
      together.read(left, rank, 'short', bytesOf(lonely));
      short.push(lonely);
    }
    return short;
  }

  /**
   * Raises the lists of all ranks to what is known of them together, so that none takes in what another's have no place for. Each
   * says how near the candidates are that it has met (at first, in blocks that meet themselves, but those of its own blocks),
   * each finds of its own blocks the similarity that enough of all of them reach, and all take what is less near out of their lists.
   */
  async function raiseTogether(together: SearchShares, step: number): Promise<void> {
    const { folder, rank, ranks } = together;
    const others = Array.from({ length: ranks }, (_, other) => other).filter((other) => other !== rank);
    const leaveEach = (some: readonly CellBlock[], taskOf: (block: CellBlock) => CellTask) => async (leave: Leave) => {
      const found = await runAll<Int32Array>('compare', some.map(taskOf), stays);
      for (const [at, block] of some.entries()) await leave(nameOf(block), [bytesOf(found[at])]);
    };
    const notOwn = step === 0 ? [] : blocks.filter((block) => !ownBlocks.includes(block));
    const tellReached = leaveEach(notOwn, (block) => ({ kind: 'reach', block }));
    const met = step === 0 ? undefined : await together.exchange('reach', {}, tellReached, step);
    const tellLeast = leaveEach(ownBlocks, (block) => {
      const reached = met ? others.map((other) => together.segmentOf(met, other, nameOf(block))) : [];
      return { kind: 'least', block, folder, others: reached };
    });
    const left = await together.exchange('least', {}, tellLeast, step);
    const tasks = left.flatMap((_, of) =>
      blocksOf(of).map((block): CellTask => {
        return { kind: 'raise', block, folder, least: together.segmentOf(left, of, nameOf(block)) };
      }),
    );
    await runAll('compare', tasks, stays);
  }
  let compared = 0;
  const stays = () => compared * rowCount;
  const nameOf = (block: CellBlock) => `block${blocks.indexOf(block)}`;

  /** The blocks that a rank refines, in order. */
  function blocksOf(rank: number): CellBlock[] {
    if (shares === undefined) return blocks;
    const { start, count } = shares.partOf(rank, blocks.length);
    return blocks.slice(start, start + count);
  }

  try {
    const sample = inPortionsOf(await exactly('sample', sampleRows(rowCount, fittedRows + measuredRows)));
    // Every other portion is fitted to, so that both kinds are spread over the set.
    const fitted = sample.filter((_, portion) => portion % 2 === 0);
    const measured = sample.length > 1 ? sample.filter((_, portion) => portion % 2 !== 0) : sample;

    const inRanges = (kind: 'train' | 'assign', count: number, version: number): RowsTask[] =>
      ranges(count, kind === 'assign' ? rowsEach : rowsEach / 4).map((range) => ({ kind, range, version }));
    const toSketch = ranges(rowCount, rowsEach).map((range): RowsTask => ({ kind: 'sketch', range }));
    const scaled = new Int32Array(toSketch.length);
    const sketches = SharedRows.from(job.sketches);
    await inParts(
      'sketch',
      toSketch,
      { sketches: (some) => piecesOf(sketches, some), scaled: (_, some) => [bytesOf(partOf(scaled, some))] },
      { onResults: (results, start) => scaled.set(results as number[], start) },
    );
    placeCentroids(job);
    for (let round = 1; round <= trainingRounds; round++) {
      const cells = (some: Range) => [bytesOf(partOf(job.training.cells, some))];
      const stands = (share: number) => ((round - 1 + share) / trainingRounds) * rowCount;
      await inParts('cells', inRanges('train', trainingCount, round), { cells }, { stands, step: round });
      moveCentroids(job);
    }
    const version = trainingRounds + 1;
    await inParts('assign', inRanges('assign', rowCount, version), {
      cells: (some) => [bytesOf(partOf(job.cells, some))],
      nearness: (some) => [bytesOf(partOf(job.nearness, some))],
    });
    const segments = putInOrder(job);
    blocks = cutBlocks(segments, blockRows);
    ownBlocks = blocksOf(shares?.rank ?? 0);
    const threshold = fitThreshold(job, fitted, effort.miss);
    stop();
    const own = [...roundsOf(blocks.length, shares)];
    const pairs = Math.max(
      1,
      own.reduce((sum, round) => sum + weightOf(round), 0),
    );
    const lists = SharedRows.from(job.lists);
    const made = crc32(bytesOf(job.order), checksumOf(sketches));
    sketches.arrange(job.order);
    const restored = kept ? await kept.restore(lists, made) : 0;
    const raises = shares ? raiseRounds(blocks.length, shares) : [];
    let [before, rounds, from, raised] = [0, 0, 0, 0];
    for (const round of own) {
      rounds++;
      const start = before;
      before += weightOf(round);
      compared = before / pairs;
      if (rounds <= restored) from = compared * rowCount;
      else {
        const tasks = round.map(({ a, b }): CellTask => {
          return { kind: 'compare', a: blocks[a], b: blocks[b], segments, threshold };
        });
        const stands = (share: number) => ((start + share * weightOf(round)) / pairs) * rowCount;
        await runAll('compare', tasks, stands, Math.floor(from));
      }
      // Ranks that have fewer rounds raise their lists as often.
      while (shares && raised < raises.length && (rounds >= raises[raised] || rounds === own.length)) {
        await raiseTogether(shares, raised++);
      }
      if (rounds > restored) await kept?.keep(rounds, lists, rounds === own.length);
    }
    const short = await (shares ? refineTogether(shares, { rows: made, threshold }) : refine());
    // Rows that met fewer than k others are searched for exactly.
    const lonely = Int32Array.from(short.flatMap((ids) => [...ids]));
    const { ids } = lonely.length > 0 ? await exactly('refine', lonely) : { ids: lonely };
    for (let i = 0; i < lonely.length; i++) {
      graph.ids.set(ids.subarray(i * k, (i + 1) * k), lonely[i] * graph.width + 1);
    }
    const normalised = scaled.reduce((sum, count) => sum + count, 0);
    return { graph, recall: recallOf(graph, rows, measured), normalised };
  } finally {
    await pool.close();
  }
}

/** The most rounds in which blocks meet: `pairRounds` has one more than there are blocks, and no block but the last has fewer rows. Of `ranks`, each does a part. */
export function mostRounds(rowCount: number, { blockRows }: CellSizes, ranks = 1): number {
  return Math.ceil(Math.ceil(rowCount / blockRows) / ranks) + 1;
}

/** What a round takes, in pairs of blocks: one that meets itself has most near pairs, and lists that are still empty, and takes twice as long. */
function weightOf(round: readonly PairTask[]): number {
  return round.reduce((sum, { a, b }) => sum + (a === b ? 2 : 1), 0);
}

/** The rounds in which a rank compares blocks. In the first, its own meet themselves. */
function* roundsOf(blockCount: number, { rank, ranks }: Rank = { rank: 0, ranks: 1 }): Generator<PairTask[]> {
  const { start, count } = part(rank, blockCount, ranks);
  let number = 0;
  for (const round of pairRounds(blockCount)) {
    if (number === 0) yield round.slice(start, start + count);
    // Rounds of an even number of blocks have one pair more by turns.
    else if ((number + Math.floor((number - 1) / ranks)) % ranks === rank) yield round;
    number++;
  }
}

/** Rounds of a rank after which all raise their lists: most candidates are taken in early, while lists have far ones to lose. */
function raiseRounds(blockCount: number, { ranks }: Rank): number[] {
  return [...new Set([0, 1 / 8, 1 / 3].map((share) => 1 + Math.ceil((share * blockCount) / ranks)))];
}

type Rank = Pick<SearchShares, 'rank' | 'ranks'>;

/** Ranges of rows to search among: each a whole number of steps, and few enough that their lists are small. */
function searchRanges(rowCount: number): Range[] {
  return ranges(rowCount, rangeStep * Math.ceil(rowCount / (rangeStep * searchedRanges)));
}

/** Begins with training rows as centroids. */
function placeCentroids({ training, sketches: handle, cellCount, centroids }: CellJob): void {
  const sketches = SharedRows.from(handle);
  const chosen = spread(training.ids.length, cellCount);
  for (let c = 0; c < cellCount; c++) {
    const row = bytesOf(sketches.row(training.ids[chosen[c]]));
    for (let i = 0; i < row.length; i++) centroids[i * cellCount + c] = row[i] - wholeZero;
  }
}

/** Moves each centroid to the middle of its rows, as a unit vector; one without rows stays where it is. */
function moveCentroids({ training, sketches: handle, cellCount, centroids, sketch }: CellJob): void {
  const { length } = sketch;
  const sketches = SharedRows.from(handle);
  const sums = new Float64Array(cellCount * length);
  for (let row = 0; row < training.ids.length; row++) {
    const values = bytesOf(sketches.row(training.ids[row]));
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
function cutBlocks({ starts, cells }: Segments, blockRows: number): CellBlock[] {
  const blocks: CellBlock[] = [];
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
function fitThreshold(job: CellJob, exact: readonly Neighbours[], miss: number): number {
  const { cells, nearness, cellCount, centroids, sketch } = job;
  const sketches = SharedRows.from(job.sketches);
  const scoreOf = (row: number, cell: number) => {
    const values = bytesOf(sketches.row(row));
    let similarity = 0;
    for (let i = 0; i < sketch.length; i++) similarity += (values[i] - wholeZero) * centroids[i * cellCount + cell];
    return probeScore(similarity, nearness[row]);
  };
  const scores = exact.flatMap(({ queries, ids }) => {
    const k = ids.length / queries.length;
    return Array.from(ids, (id, pair) => {
      const query = queries[Math.floor(pair / k)];
      const [own, other] = [cells[query], cells[id]];
      return own === other ? Infinity : Math.max(scoreOf(query, other), scoreOf(id, own));
    });
  });
  const sorted = Float64Array.from(scores).sort();
  return sorted[Math.floor(miss * sorted.length)];
}

function ranges(count: number, size: number): Range[] {
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

function partOf<T extends Float32Array | Int32Array>(values: T, { start, count }: Range): T {
  return values.subarray(start, start + count) as T;
}

function bytesOf(row: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
}
