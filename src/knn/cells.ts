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
import { listedIds, loadKernels } from '../kernels/kernels.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { load, loadBytes, store, storeBytes } from './blocks.js';
import { Refiner } from './refine.js';
import { createSampleSearch, type Neighbours } from './sample.js';
import { type Sketch, Sketcher } from './sketch.js';

export interface CellJob {
  /** Unit vectors [n × d]. */
  readonly rows: SharedRowsHandle;
  readonly sketch: Sketch;
  readonly cellCount: number;
  /** Sketches of the centroids [r × C], Int8 in shared memory. */
  readonly centroids: Int8Array;
  /** Rows that centroids are learnt from, their sketches [m × r bytes] and cells [m]. */
  readonly training: { readonly ids: Int32Array; readonly sketches: SharedRowsHandle; readonly cells: Int32Array };
  /** Cell of each row [n], and row at each position [n]. */
  readonly cells: Int32Array;
  readonly order: Int32Array;
  /** Sketches by position [n × r bytes]: row after row, 64 for zero; and each segment on its own as [r × rows], 0 for zero. */
  readonly sketchRows: SharedRowsHandle;
  readonly sketchColumns: SharedRowsHandle;
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
export interface Block {
  readonly start: number;
  readonly count: number;
  readonly firstSegment: number;
  readonly endSegment: number;
}

/** The probes of one block: rows[offsets[c] .. offsets[c + 1]) are the rows, counted from its start, that probe cell c. */
export interface Probes {
  readonly offsets: Int32Array;
  readonly rows: Uint16Array;
}

interface ProbedBlock extends Block {
  readonly probes: Probes;
}

export type CellTask =
  | { readonly kind: 'sample'; readonly queries: Int32Array }
  /** Sketch rows of the training set. */
  | { readonly kind: 'sketch'; readonly start: number; readonly count: number }
  /** Find their cells; `version` of the centroids. */
  | { readonly kind: 'train'; readonly start: number; readonly count: number; readonly version: number }
  /** Find the cells of rows. */
  | { readonly kind: 'assign'; readonly start: number; readonly count: number; readonly version: number }
  /** Sketch a block of positions, and say which rows of it probe which cells. */
  | {
      readonly kind: 'probe';
      readonly block: Block;
      readonly segments: Segments;
      readonly threshold: number;
      readonly version: number;
    }
  | { readonly kind: 'compare'; readonly a: ProbedBlock; readonly b: ProbedBlock; readonly segments: Segments }
  /** Compute the cosines of a block's candidates and write the lists. Returns rows that had fewer than k. */
  | { readonly kind: 'refine'; readonly block: Block };

export type CellResult = Neighbours | Probes | Int32Array | undefined;

export const longestSegment = 256;
export const rowsAtOnce = 128;
/** Rows and similarities of a tile: products of fewer rows cost more a pair, and a larger tile leaves the second-level cache. */
const pickedAtOnce = 2048;
const tilePairs = 2 ** 18;
/** The share of a row's similarity to its own centroid that is taken off its similarities to others. Chosen on generated sets. */
const ownShare = 0.6;

/** Whether a row of this similarity to a cell, and to its own one, probes the cell: not below the threshold of a search. */
export function probeScore(similarity: number, own: number): number {
  return similarity - ownShare * own;
}

/** Similarities of rows to every centroid, on one thread. */
export class CellFinder {
  private constructor(
    private readonly sketcher: Sketcher,
    private readonly products: WholeProducts,
    private readonly job: Pick<CellJob, 'sketch' | 'cellCount' | 'centroids'>,
  ) {
    const { sketch, cellCount } = job;
    this.x = new Float32Array(rowsAtOnce * sketch.dim);
    this.sketches = new Uint8Array(rowsAtOnce * sketch.length);
    this.similarities = new Float32Array(rowsAtOnce * cellCount);
    this.centroids = new Int8Array(sketch.length * cellCount);
  }

  /** Rows to sketch, at most `rowsAtOnce`. */
  readonly x: Float32Array;
  readonly sketches: Uint8Array;
  /** [rows × C]. */
  readonly similarities: Float32Array;
  private readonly centroids: Int8Array;
  private version = -1;

  static async create(job: Pick<CellJob, 'sketch' | 'cellCount' | 'centroids'>): Promise<CellFinder> {
    return new CellFinder(await Sketcher.create(job.sketch), await WholeProducts.create(job.sketch.length), job);
  }

  sketch(count: number): Promise<void> {
    return this.sketcher.run(count, this.x, this.sketches);
  }

  /** Compares `sketches` with the centroids, taken again when `version` is a new one. */
  async compare(count: number, version: number): Promise<void> {
    if (version !== this.version) this.centroids.set(this.job.centroids);
    this.version = version;
    await this.products.run(count, this.job.cellCount, this.sketches, this.centroids, this.similarities);
  }

  async release(): Promise<void> {
    await this.sketcher.release();
    await this.products.release();
  }

  /** The most similar cell of a row; of equals the first. */
  nearest(i: number): number {
    const { cellCount } = this.job;
    let best = 0;
    let most = Number.NEGATIVE_INFINITY;
    for (let c = 0, at = i * cellCount; c < cellCount; c++, at++) {
      if (this.similarities[at] > most) {
        most = this.similarities[at];
        best = c;
      }
    }
    return best;
  }
}

export async function createCellSearch(job: CellJob): Promise<(task: CellTask) => Promise<CellResult>> {
  const rows = SharedRows.from(job.rows);
  const training = SharedRows.from(job.training.sketches);
  const sketchRows = SharedRows.from(job.sketchRows);
  const sketchColumns = SharedRows.from(job.sketchColumns);
  const lists = SharedRows.from(job.lists);
  const { graph, cells, order, cellCount, capacity } = job;
  const { dim } = rows;
  const r = job.sketch.length;
  const candidates = lists.dim / 2;
  const k = graph.width - 1;

  const arena = new Arena(2 * capacity * (2 * r + 8 * candidates + 4) + pickedAtOnce * (r + 4) + 4 * (tilePairs + 45));
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
  const pickedSketches = arena.uint8(pickedAtOnce * r);
  const similarities = arena.float32(tilePairs + 15);
  let refiner: Refiner | undefined;
  let sampleSearch: ReturnType<typeof createSampleSearch> | undefined;
  let pairs = new Uint32Array(2 ** 16);

  async function sketchTraining(start: number, count: number): Promise<void> {
    for (let first = start; first < start + count; first += rowsAtOnce) {
      const taken = Math.min(rowsAtOnce, start + count - first);
      rows.gather(job.training.ids.subarray(first, first + taken), taken, finder.x);
      await finder.sketch(taken);
      storeBytes(finder.sketches, training, first, taken);
    }
  }

  async function train(start: number, count: number, version: number): Promise<void> {
    for (let first = start; first < start + count; first += rowsAtOnce) {
      const taken = Math.min(rowsAtOnce, start + count - first);
      loadBytes(training, first, taken, finder.sketches);
      await finder.compare(taken, version);
      for (let i = 0; i < taken; i++) job.training.cells[first + i] = finder.nearest(i);
    }
  }

  async function assign(start: number, count: number, version: number): Promise<void> {
    for (let first = start; first < start + count; first += rowsAtOnce) {
      const taken = Math.min(rowsAtOnce, start + count - first);
      rows.eachRun(first, taken, (view, at) => finder.x.set(view, (at - first) * dim));
      await finder.sketch(taken);
      await finder.compare(taken, version);
      for (let i = 0; i < taken; i++) cells[first + i] = finder.nearest(i);
    }
  }

  async function probe(block: Block, { starts }: Segments, threshold: number, version: number): Promise<Probes> {
    let found = 0;
    for (let first = 0; first < block.count; first += rowsAtOnce) {
      const taken = Math.min(rowsAtOnce, block.count - first);
      const ids = order.subarray(block.start + first, block.start + first + taken);
      rows.gather(ids, taken, finder.x);
      await finder.sketch(taken);
      left.rows.set(finder.sketches.subarray(0, taken * r), first * r);
      await finder.compare(taken, version);
      if (pairs.length < found + taken * cellCount) pairs = longer(pairs, 2 * (found + taken * cellCount));
      for (let i = 0; i < taken; i++) {
        const own = cells[ids[i]];
        const line = i * cellCount;
        const least = threshold + ownShare * finder.similarities[line + own];
        for (let c = 0; c < cellCount; c++) {
          if (finder.similarities[line + c] >= least || c === own) pairs[found++] = c * 65536 + first + i;
        }
      }
    }
    for (let s = block.firstSegment; s < block.endSegment; s++) {
      const from = starts[s] - block.start;
      const length = starts[s + 1] - starts[s];
      for (let j = 0; j < length; j++) {
        for (let c = 0; c < r; c++) left.columns[from * r + c * length + j] = left.rows[(from + j) * r + c] - wholeZero;
      }
    }
    storeBytes(left.rows, sketchRows, block.start, block.count);
    storeBytes(new Uint8Array(left.columns.buffer, left.columns.byteOffset), sketchColumns, block.start, block.count);
    return byCell(pairs.subarray(0, found), cellCount);
  }

  async function compare(a: ProbedBlock, b: ProbedBlock, segments: Segments): Promise<void> {
    const self = a.start === b.start;
    const other = self ? left : right;
    fill(left, a);
    if (!self) fill(right, b);
    await offerSegments(a, left, b, other, segments);
    if (!self) await offerSegments(b, right, a, left, segments);
    store(left.lists, lists, a);
    if (!self) store(right.lists, lists, b);
  }

  function fill(side: Side, block: Block): void {
    loadBytes(sketchRows, block.start, block.count, side.rows);
    const { buffer, byteOffset, length } = side.columns;
    loadBytes(sketchColumns, block.start, block.count, new Uint8Array(buffer, byteOffset, length));
    load(lists, block, side.lists);
    kernels.leastKept(block.count, candidates, side.lists, side.least);
  }

  /** Compares each segment of one block with the rows of the other that probe its cell. */
  async function offerSegments(
    to: ProbedBlock,
    columns: Side,
    from: ProbedBlock,
    side: Side,
    { starts, cells: cellOf }: Segments,
  ): Promise<void> {
    const { offsets, rows: probing } = from.probes;
    for (let s = to.firstSegment; s < to.endSegment; s++) {
      const end = offsets[cellOf[s] + 1];
      const length = starts[s + 1] - starts[s];
      const first = starts[s] - to.start;
      const most = Math.min(pickedAtOnce, Math.floor(tilePairs / length));
      for (let at = offsets[cellOf[s]]; at < end; at += most) {
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

  function refine(block: Block): Int32Array {
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
        sampleSearch ??= createSampleSearch({ rows: job.rows, k });
        return (await sampleSearch)(task.queries);
      case 'sketch':
        return void (await sketchTraining(task.start, task.count));
      case 'train':
        return void (await train(task.start, task.count, task.version));
      case 'assign':
        return void (await assign(task.start, task.count, task.version));
      case 'probe':
        return probe(task.block, task.segments, task.threshold, task.version);
      case 'compare':
        return void (await compare(task.a, task.b, task.segments));
      case 'refine':
        return refine(task.block);
    }
  };
}

/** Groups pairs cell · 2¹⁶ + row by cell; rows of a cell stay in order. */
function byCell(pairs: Uint32Array, cellCount: number): Probes {
  const offsets = new Int32Array(new SharedArrayBuffer(4 * (cellCount + 1)));
  for (const pair of pairs) offsets[(pair >>> 16) + 1]++;
  for (let c = 0; c < cellCount; c++) offsets[c + 1] += offsets[c];
  const next = offsets.slice(0, cellCount);
  const rows = new Uint16Array(new SharedArrayBuffer(2 * pairs.length));
  for (const pair of pairs) rows[next[pair >>> 16]++] = pair & 65535;
  return { offsets, rows };
}

function longer(values: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(length);
  copy.set(values);
  return copy;
}
