/**
 * One worker's half of the approximate kNN search. Rows are grouped into C cells around centroids; a row is compared
 * with the cells that it probes, and with the rows that probe its own, by the inner products of sketches; the best of
 * these get their cosine computed.
 *
 * Rows stand in the order of their cells: a *position* is a place in that order. A cell is cut into *segments* of
 * positions, and segments are gathered into *blocks*, of which a task compares two. A pair of rows may come twice, once for
 * each that probes the other's cell; lists take it once.
 * n rows, d columns, r numbers a sketch, k neighbours, L candidates kept for each row.
 */
import type { KnnGraph } from '../graph/knn-graph.js';
import { Arena } from '../kernels/arena.js';
import { WholeProducts, wholeZero } from '../kernels/gemm.js';
import { type Kernels, listedIds, loadKernels } from '../kernels/kernels.js';
import type { RangeCheck } from '../memory/file-writes.js';
import { readSegment } from '../memory/segments.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { load, loadBytes, type Range, store } from './blocks.js';
import { mergeLists } from './merge-lists.js';
import { leastTogether, raiseLists, reached } from './raise-lists.js';
import { createRangeSearch, type RangeSearch } from './range-search.js';
import { Refiner } from './refine.js';
import { type Sketch, Sketcher } from './sketch.js';
import { openUnitRows, type UnitRowsHandle } from './unit-rows.js';
import { createWindowCosines, type WindowCosines, type WindowTask } from './window-cosines.js';

export interface CellJob {
  /** Unit vectors [n × d]. */
  readonly rows: UnitRowsHandle;
  readonly sketch: Sketch;
  readonly cellCount: number;
  /** Sketches of the centroids [r × C], Int8 in shared memory. */
  readonly centroids: Int8Array;
  /** Rows that centroids are learnt from, and their cells [m]. */
  readonly training: { readonly ids: Int32Array; readonly cells: Int32Array };
  /** Sketches of the rows [n × r bytes], 64 for zero: by row, and by position once blocks are compared. */
  readonly sketches: SharedRowsHandle;
  /** Cell of each row, and how similar it is to that cell's centroid [n]. */
  readonly cells: Int32Array;
  readonly nearness: Float32Array;
  /** Row at each position [n]. */
  readonly order: Int32Array;
  /** Greatest number of positions in a block. */
  readonly capacity: number;
  /** Candidates by position [n × 2L], see `offerPicked`. */
  readonly lists: SharedRowsHandle;
  /** The graph being built, k + 1 wide. */
  readonly graph: KnnGraph;
}

/** Segments in order: first position of each, and the end of the last; the cell of each. */
export interface Segments {
  readonly starts: Int32Array;
  readonly cells: Int32Array;
}

/** Positions [start, start + count), which are segments [firstSegment, endSegment). */
export interface CellBlock {
  readonly start: number;
  readonly count: number;
  readonly firstSegment: number;
  readonly endSegment: number;
}

/** Rows of a block (counted from its start) that probe each cell of another: those of cell first + c are rows[offsets[c] .. offsets[c + 1]). */
interface Probes {
  readonly firstCell: number;
  readonly offsets: Int32Array;
  readonly rows: Int32Array;
}

export type CellTask =
  /** The nearest of a range of rows to some of them. */
  | { readonly kind: 'sample'; readonly queries: Int32Array; readonly range: Range }
  /** Sketch rows. Returns how many of them had to be normalised. */
  | { readonly kind: 'sketch'; readonly range: Range }
  /** Find the cells of training rows; `version` of the centroids. */
  | { readonly kind: 'train'; readonly range: Range; readonly version: number }
  /** Find the cells of rows. */
  | { readonly kind: 'assign'; readonly range: Range; readonly version: number }
  | {
      readonly kind: 'compare';
      readonly a: CellBlock;
      readonly b: CellBlock;
      readonly segments: Segments;
      readonly threshold: number;
    }
  /** How near the candidates of a block are: see `raise-lists.ts`. */
  | { readonly kind: 'reach'; readonly block: CellBlock }
  /** The similarity that as many candidates of each row of a block reach as are kept, by those of this rank and of others. */
  | {
      readonly kind: 'least';
      readonly block: CellBlock;
      readonly folder: string;
      readonly others: readonly RangeCheck[];
    }
  /** Take out of the lists of a block what does not reach that. */
  | { readonly kind: 'raise'; readonly block: CellBlock; readonly folder: string; readonly least: RangeCheck }
  /** Take in the lists of a block that other ranks have found, from segments in a folder. */
  | {
      readonly kind: 'merge';
      readonly block: CellBlock;
      readonly folder: string;
      readonly others: readonly RangeCheck[];
    }
  /** Compute the cosines of a block's candidates and write the lists. Returns rows that had fewer than k. */
  | { readonly kind: 'refine'; readonly block: CellBlock }
  | WindowTask;

export type CellResult = Float32Array | Int32Array | number | undefined;

export const longestSegment = 256;
/** Rows and cells of a tile of a search for cells. */
const rowsAtOnce = 1024;
const cellsAtOnce = 256;
/** Rows that are searched for exactly in one pass over the others. */
export const queriesAtMost = 1024;
/** Rows and similarities of a tile: products of fewer rows cost more a pair, and a larger tile leaves the second-level cache. */
const pickedAtOnce = 2048;
const tilePairs = 2 ** 18;
/** The share of a row's similarity to its own centroid that is taken off its similarities to others. Chosen on generated sets. */
const ownShare = 0.4;

/** The score of a row for a cell, by its similarities to that cell and to its own: from the threshold of a search on, the row probes the cell. */
export function probeScore(similarity: number, own: number): number {
  return similarity - ownShare * own;
}

/** More than any sum of products in a sketch. */
const always = 2 ** 30;

/** The search for the cells of rows, on one thread. */
class CellFinder {
  private constructor(
    private readonly sketcher: Sketcher,
    private readonly products: WholeProducts,
    private readonly job: Pick<CellJob, 'sketch' | 'cellCount' | 'centroids'>,
  ) {
    const { sketch, cellCount } = job;
    const arena = new Arena(rowsAtOnce * (sketch.length + 4 * cellsAtOnce + 8));
    this.kernels = loadKernels(arena);
    this.x = new Float32Array(rowsAtOnce * sketch.dim);
    this.sketches = arena.uint8(rowsAtOnce * sketch.length);
    this.sketchWords = new Float32Array(this.sketches.buffer, this.sketches.byteOffset, this.sketches.length / 4);
    this.nearness = arena.int32(rowsAtOnce);
    this.cells = arena.int32(rowsAtOnce);
    this.sums = arena.int32(rowsAtOnce * cellsAtOnce);
    this.centroids = new Int8Array(sketch.length * cellCount);
  }

  /** Rows to sketch, at most `rowsAtOnce`. */
  readonly x: Float32Array;
  readonly sketches: Uint8Array;
  /** The same memory as 32-bit words. */
  readonly sketchWords: Float32Array;
  /** The cell of each row whose centroid is the most similar, of equals the first, and how similar it is. */
  readonly cells: Int32Array;
  readonly nearness: Int32Array;
  private readonly kernels: Kernels;
  private readonly sums: Int32Array;
  /** Strips of `cellsAtOnce` cells, each [r × cells]. */
  private readonly centroids: Int8Array;
  private version = -1;

  static async create(job: Pick<CellJob, 'sketch' | 'cellCount' | 'centroids'>): Promise<CellFinder> {
    return new CellFinder(await Sketcher.create(job.sketch), await WholeProducts.create(job.sketch.length), job);
  }

  sketch(count: number): Promise<void> {
    return this.sketcher.run(count, this.x, this.sketches);
  }

  /** Finds the cells of `sketches`, with the centroids taken again when `version` is a new one. */
  async find(count: number, version: number): Promise<void> {
    const { sketch, cellCount, centroids } = this.job;
    const { length } = sketch;
    if (version !== this.version) {
      for (let first = 0; first < cellCount; first += cellsAtOnce) {
        const columns = Math.min(cellsAtOnce, cellCount - first);
        for (let c = 0; c < length; c++) {
          const line = c * cellCount + first;
          this.centroids.set(centroids.subarray(line, line + columns), first * length + c * columns);
        }
      }
    }
    this.version = version;
    this.nearness.fill(-(2 ** 31));
    for (let first = 0; first < cellCount; first += cellsAtOnce) {
      const columns = Math.min(cellsAtOnce, cellCount - first);
      await this.products.run(count, columns, this.sketches, this.centroids.subarray(first * length), this.sums);
      const { sums, nearness: greatest, cells: places } = this;
      this.kernels.greatestSums({ rows: count, columns, sums, firstColumn: first, greatest, places });
    }
  }
}

/** Bytes that a thread allocates to compare two blocks. */
export function compareBytes(capacity: number, sketchLength: number, candidates: number): number {
  const ofSide = capacity * (2 * sketchLength + 8 * candidates + 4);
  return 2 * ofSide + pickedAtOnce * (sketchLength + 8) + 4 * (2 * tilePairs + 46);
}

/** Bytes that a thread allocates to find the cells of rows. */
export function finderBytes(dim: number, sketchLength: number, cellCount: number): number {
  return rowsAtOnce * (4 * dim + 5 * sketchLength + 4 * cellsAtOnce + 8) + 2 * sketchLength * cellCount;
}

export async function createCellSearch(job: CellJob): Promise<(task: CellTask) => Promise<CellResult>> {
  const rows = openUnitRows(job.rows);
  const sketches = SharedRows.from(job.sketches);
  const lists = SharedRows.from(job.lists);
  const { graph, cells, nearness, order, cellCount, capacity, training } = job;
  const r = job.sketch.length;
  const candidates = lists.dim / 2;
  const k = graph.width - 1;

  const arena = new Arena(compareBytes(capacity, r, candidates));
  const kernels = loadKernels(arena);
  const finder = await CellFinder.create(job);
  const products = await WholeProducts.create(r);
  const side = () => {
    const columns = arena.uint8(capacity * r);
    return {
      rows: arena.uint8(capacity * r),
      columns: new Int8Array(columns.buffer, columns.byteOffset, columns.length),
      lists: arena.float32(capacity * 2 * candidates),
      least: arena.float32(capacity + 15),
    };
  };
  const [left, right] = [side(), side()];
  type Side = typeof left;
  const picked = arena.int32(pickedAtOnce);
  const leastOfRows = arena.int32(pickedAtOnce);
  const pickedSketches = arena.uint8(pickedAtOnce * r);
  const similarities = arena.int32(tilePairs + 15);
  const reaching = arena.int32(tilePairs + 1);
  let refiner: Refiner | undefined;
  let rangeSearch: Promise<RangeSearch> | undefined;
  let windowCosines: WindowCosines | undefined;
  let pairs = new Uint32Array(2 ** 16);
  let nearCentroids = new Int8Array(0);

  function sketch({ start, count }: Range): Promise<number> {
    const before = rows.normalised;
    return inSteps(start, count, async (first, taken) => {
      rows.read(first, taken, finder.x);
      await finder.sketch(taken);
      sketches.eachRun(first, taken, (view, at) => bytesOf(view).set(rowsOf(finder.sketches, at - first, view)));
    }).then(() => rows.normalised - before);
  }

  function rowsOf(bytes: Uint8Array, first: number, view: Float32Array): Uint8Array {
    return bytes.subarray(first * r, first * r + view.byteLength);
  }

  function train({ start, count }: Range, version: number): Promise<void> {
    return inSteps(start, count, async (first, taken) => {
      sketches.gather(training.ids.subarray(first, first + taken), taken, finder.sketchWords);
      await finder.find(taken, version);
      training.cells.set(finder.cells.subarray(0, taken), first);
    });
  }

  function assign({ start, count }: Range, version: number): Promise<void> {
    return inSteps(start, count, async (first, taken) => {
      sketches.eachRun(first, taken, (view, at) => finder.sketches.set(bytesOf(view), (at - first) * r));
      await finder.find(taken, version);
      cells.set(finder.cells.subarray(0, taken), first);
      nearness.set(finder.nearness.subarray(0, taken), first);
    });
  }

  async function compare(a: CellBlock, b: CellBlock, segments: Segments, threshold: number): Promise<void> {
    const self = a.start === b.start;
    const other = self ? left : right;
    fill(left, a, segments);
    if (!self) fill(right, b, segments);
    await offerSegments(a, left, b, other, segments, threshold);
    if (!self) await offerSegments(b, right, a, left, segments, threshold);
    store(left.lists, lists, a);
    if (!self) store(right.lists, lists, b);
  }

  /** Sketches of a block row after row, and each segment on its own as [r × rows] with 0 for zero. */
  function fill(side: Side, block: CellBlock, { starts }: Segments): void {
    loadBytes(sketches, block.start, block.count, side.rows);
    for (let s = block.firstSegment; s < block.endSegment; s++) {
      const first = (starts[s] - block.start) * r;
      const length = starts[s + 1] - starts[s];
      kernels.turnRows(length, r, wholeZero, side.rows.subarray(first), side.columns.subarray(first));
    }
    load(lists, block, side.lists);
    kernels.leastKept(block.count, candidates, side.lists, side.least);
  }

  /** Finds the rows of a block that probe the cells of another. */
  async function probe(
    from: CellBlock,
    side: Side,
    to: CellBlock,
    { cells: cellOf }: Segments,
    threshold: number,
  ): Promise<Probes> {
    const firstCell = cellOf[to.firstSegment];
    const width = cellOf[to.endSegment - 1] + 1 - firstCell;
    if (nearCentroids.length < r * width) nearCentroids = new Int8Array(r * width);
    for (let c = 0; c < r; c++) {
      const line = c * cellCount + firstCell;
      nearCentroids.set(job.centroids.subarray(line, line + width), c * width);
    }
    const most = Math.min(pickedAtOnce, Math.max(1, Math.floor(tilePairs / width)));
    const offsets = new Int32Array(width + 1);
    let found = 0;
    for (let first = 0; first < from.count; first += most) {
      const taken = Math.min(most, from.count - first);
      await products.run(taken, width, side.rows.subarray(first * r), nearCentroids, similarities);
      for (let i = 0; i < taken; i++) {
        const row = order[from.start + first + i];
        const own = cells[row] - firstCell;
        if (own >= 0 && own < width) similarities[i * width + own] = always;
        leastOfRows[i] = Math.min(always, Math.ceil(threshold + ownShare * nearness[row]));
      }
      kernels.reachingSums({
        rows: taken,
        columns: width,
        sums: similarities,
        firstRow: first,
        least: leastOfRows,
        pairs: reaching,
      });
      const count = reaching[0];
      if (pairs.length < found + count) pairs = longer(pairs, 2 * (found + count));
      for (let p = 1; p <= count; p++) {
        pairs[found++] = reaching[p];
        offsets[(reaching[p] >>> 16) + 1]++;
      }
    }
    for (let c = 0; c < width; c++) offsets[c + 1] += offsets[c];
    const next = offsets.slice(0, width);
    const rows = new Int32Array(found);
    for (let p = 0; p < found; p++) rows[next[pairs[p] >>> 16]++] = pairs[p] & 65535;
    return { firstCell, offsets, rows };
  }

  /** Compares each segment of one block with the rows of the other that probe its cell. */
  async function offerSegments(
    to: CellBlock,
    columns: Side,
    from: CellBlock,
    side: Side,
    segments: Segments,
    threshold: number,
  ): Promise<void> {
    const { starts, cells: cellOf } = segments;
    const { firstCell, offsets, rows: probing } = await probe(from, side, to, segments, threshold);
    for (let s = to.firstSegment; s < to.endSegment; s++) {
      const cell = cellOf[s] - firstCell;
      const end = offsets[cell + 1];
      const length = starts[s + 1] - starts[s];
      const first = starts[s] - to.start;
      const most = Math.min(pickedAtOnce, Math.floor(tilePairs / length));
      for (let at = offsets[cell]; at < end; at += most) {
        const count = Math.min(most, end - at);
        picked.set(probing.subarray(at, at + count));
        kernels.pickRows(count, r, picked, side.rows, pickedSketches);
        await products.run(count, length, pickedSketches, columns.columns.subarray(first * r), similarities);
        kernels.offerPicked({
          rows: count,
          columns: length,
          similarities,
          k: candidates,
          picked,
          firstRow: from.start,
          firstColumn: starts[s],
          rowLists: side.lists,
          rowLeast: side.least,
          columnLists: columns.lists.subarray(first * 2 * candidates),
          columnLeast: columns.least.subarray(first),
        });
      }
    }
  }

  function reach(block: CellBlock): Int32Array {
    load(lists, block, left.lists);
    kernels.sortLists(block.count, candidates, left.lists);
    return reached(block.count, candidates, left.lists);
  }

  function least(block: CellBlock, folder: string, others: readonly RangeCheck[]): Int32Array {
    const own = reach(block);
    const found = others.map((check) => {
      const theirs = new Int32Array(own.length);
      readSegment(folder, check, bytesOf(theirs));
      return theirs;
    });
    return leastTogether([own, ...found]);
  }

  function raise(block: CellBlock, folder: string, check: RangeCheck): void {
    const wanted = new Int32Array(block.count);
    readSegment(folder, check, bytesOf(wanted));
    lists.eachRun(block.start, block.count, (view, at) =>
      raiseLists(candidates, view, wanted.subarray(at - block.start)),
    );
  }

  function merge(block: CellBlock, folder: string, others: readonly RangeCheck[]): void {
    load(lists, block, left.lists);
    kernels.sortLists(block.count, candidates, left.lists);
    const found = right.lists.subarray(0, block.count * 2 * candidates);
    for (const check of others) {
      readSegment(folder, check, bytesOf(found));
      kernels.sortLists(block.count, candidates, found);
      mergeLists(block.count, candidates, left.lists, found);
    }
    store(left.lists, lists, block);
  }

  function refine(block: CellBlock): Int32Array {
    refiner ??= new Refiner(rows, graph, candidates);
    load(lists, block, left.lists);
    kernels.sortLists(block.count, candidates, left.lists);
    const positions = new Int32Array(block.count * candidates);
    listedIds(block.count, candidates, left.lists, positions);
    const short: number[] = [];
    for (let first = 0; first < block.count; first += refiner.rowsAtOnce) {
      const count = Math.min(refiner.rowsAtOnce, block.count - first);
      const offset = first * candidates;
      for (let at = 0; at < count * candidates; at++) {
        const position = positions[offset + at];
        refiner.candidates[at] = position < 0 ? -1 : order[position];
      }
      short.push(...refiner.write(order.subarray(block.start + first, block.start + first + count)));
    }
    return Int32Array.from(short);
  }

  return async (task) => {
    switch (task.kind) {
      case 'sample':
        rangeSearch ??= createRangeSearch({ rows: job.rows, k }, queriesAtMost);
        return (await rangeSearch).run(task.queries, task.range);
      case 'sketch':
        return sketch(task.range);
      case 'train':
        return void (await train(task.range, task.version));
      case 'assign':
        return void (await assign(task.range, task.version));
      case 'compare':
        return void (await compare(task.a, task.b, task.segments, task.threshold));
      case 'reach':
        return reach(task.block);
      case 'least':
        return least(task.block, task.folder, task.others);
      case 'raise':
        return void raise(task.block, task.folder, task.least);
      case 'merge':
        return void merge(task.block, task.folder, task.others);
      case 'refine':
        return refine(task.block);
      default:
        windowCosines ??= createWindowCosines({ rows, lists, order, graph, kernels, local: left.lists });
        return windowCosines(task);
    }
  };
}

/** Calls `visit` for `rowsAtOnce` rows at a time. */
async function inSteps(
  start: number,
  count: number,
  visit: (first: number, taken: number) => Promise<void>,
): Promise<void> {
  for (let first = start; first < start + count; first += rowsAtOnce) {
    await visit(first, Math.min(rowsAtOnce, start + count - first));
  }
}

function bytesOf(view: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function longer(values: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(length);
  copy.set(values);
  return copy;
}
