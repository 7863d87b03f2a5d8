/**
 * One worker's half of the exact kNN search. The n rows are cut into P blocks of almost equal size; a task compares two
 * blocks, or a block with itself, and offers each similarity to both of its rows. n rows, d columns, k neighbours.
 *
 * The lists of all rows lie in shared memory. A task takes its two blocks of lists into local memory and puts them back at
 * its end: tasks that run at once must not share a block, and one that failed half-way has changed nothing.
 */

import type { KnnGraph } from '../graph/knn-graph.js';
import { Arena } from '../kernels/arena.js';
import { InnerProducts } from '../kernels/gemm.js';
import { listedIds, loadKernels } from '../kernels/kernels.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';

export interface KnnJob {
  /** Unit vectors [n × d]. */
  readonly rows: SharedRowsHandle;
  /** [n × 2k], see `offerTile`. */
  readonly lists: SharedRowsHandle;
  /** The graph being built, k + 1 wide. */
  readonly graph: KnnGraph;
  readonly blockCount: number;
}

/** Compare blocks a ≤ b, or write the finished lists of a block into the graph. */
export type KnnTask = PairTask | { readonly kind: 'finish'; readonly block: number };

export interface PairTask {
  readonly kind: 'compare';
  readonly a: number;
  readonly b: number;
}

const largestBlock = 1024;
/**
 * Where there are several blocks, each has half as many rows or more. Products of up to 64 columns are summed in another order: so the cosine
 * of two rows is the same to the bit in any larger set.
 */
const smallestBlock = 192;
const wantedBlocks = 24;
/** Columns of a block that are multiplied at once: their similarities to 1024 rows stay in a second-level cache of 1 MiB. */
const stripColumns = 192;

/**
 * Blocks of at most `most` rows. Depends on n alone, so that the grid of tiles, and with it every bit of the result, is the
 * same for any threads.
 */
export function blockCountFor(rowCount: number, most: number = largestBlock): number {
  const size = Math.max(smallestBlock, Math.min(most, rowCount / wantedBlocks));
  return Math.ceil(rowCount / size);
}

/**
 * Rounds of pairs a ≤ b of blocks: every pair once, and no block twice in a round. Blocks meet themselves first, since where
 * near rows lie together their lists then have little left to take; after that a + b ≡ round, modulo P.
 */
export function* pairRounds(blockCount: number): Generator<PairTask[]> {
  yield Array.from({ length: blockCount }, (_, block) => ({ kind: 'compare', a: block, b: block }));
  for (let round = 0; round < blockCount; round++) {
    const tasks: PairTask[] = [];
    for (let a = 0; a < blockCount; a++) {
      const b = (round - a + blockCount) % blockCount;
      if (a < b) tasks.push({ kind: 'compare', a, b });
    }
    yield tasks;
  }
}

export interface Range {
  readonly start: number;
  readonly count: number;
}

/** Part `index` of 0..count − 1 cut into `parts` of almost equal size. */
export function part(index: number, count: number, parts: number): Range {
  const start = Math.floor((index * count) / parts);
  return { start, count: Math.floor(((index + 1) * count) / parts) - start };
}

export async function createBlockSearch(job: KnnJob): Promise<(task: KnnTask) => Promise<void>> {
  const rows = SharedRows.from(job.rows);
  const lists = SharedRows.from(job.lists);
  const { graph, blockCount } = job;
  const { rowCount, dim } = rows;
  const k = lists.dim / 2;
  const capacity = Math.ceil(rowCount / blockCount);
  const arena = new Arena(4 * (2 * capacity * (dim + 2 * k) + (capacity + 1) * stripColumns + 30));
  const kernels = loadKernels(arena);
  const products = await InnerProducts.create(dim);
  const side = () => ({ rows: arena.float32(capacity * dim), lists: arena.float32(capacity * 2 * k) });
  const [left, right] = [side(), side()];
  const similarities = arena.float32(capacity * stripColumns + 15);
  const leastOfColumn = arena.float32(stripColumns + 15);
  const ids = new Int32Array(capacity * k);

  const blockAt = (index: number) => part(index, rowCount, blockCount);

  async function compare(a: Range, b: Range): Promise<void> {
    const self = a.start === b.start;
    const other = self ? left : right;
    load(rows, a, left.rows);
    load(lists, a, left.lists);
    if (!self) {
      load(rows, b, right.rows);
      load(lists, b, right.lists);
    }
    const strips = Math.ceil(b.count / stripColumns);
    for (let strip = 0; strip < strips; strip++) {
      const { start: first, count: columns } = part(strip, b.count, strips);
      await products.run(a.count, columns, left.rows, other.rows.subarray(first * dim), similarities);
      if (self) for (let j = 0; j < columns; j++) similarities[(first + j) * columns + j] = Number.NaN;
      kernels.offerTile({
        rows: a.count,
        columns,
        similarities,
        k,
        firstRow: a.start,
        firstColumn: b.start + first,
        rowLists: left.lists,
        columnLists: self ? undefined : right.lists.subarray(first * 2 * k),
        leastOfColumn,
      });
    }
    store(left.lists, lists, a);
    if (!self) store(right.lists, lists, b);
  }

  function finish(block: Range): void {
    load(lists, block, left.lists);
    kernels.sortLists(block.count, k, left.lists);
    listedIds(block.count, k, left.lists, ids);
    for (let i = 0; i < block.count; i++) {
      const start = (block.start + i) * graph.width;
      graph.ids[start] = block.start + i;
      graph.ids.set(ids.subarray(i * k, (i + 1) * k), start + 1);
    }
  }

  return async (task) => {
    if (task.kind === 'compare') await compare(blockAt(task.a), blockAt(task.b));
    else finish(blockAt(task.block));
  };
}

export function load(from: SharedRows, { start, count }: Range, to: Float32Array): void {
  from.eachRun(start, count, (view, first) => bytesOf(view).copy(bytesOf(to), (first - start) * from.dim * 4));
}

export function store(from: Float32Array, to: SharedRows, { start, count }: Range): void {
  to.eachRun(start, count, (view, first) => bytesOf(from).copy(bytesOf(view), 0, (first - start) * to.dim * 4));
}

function bytesOf(view: Float32Array): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** The same for rows that are bytes: four of them a value. */
export function loadBytes(from: SharedRows, start: number, count: number, to: Uint8Array): void {
  const stride = from.dim * 4;
  from.eachRun(start, count, ({ buffer, byteOffset, byteLength }, first) => {
    to.set(new Uint8Array(buffer, byteOffset, byteLength), (first - start) * stride);
  });
}

export function storeBytes(from: Uint8Array, to: SharedRows, start: number, count: number): void {
  const stride = to.dim * 4;
  to.eachRun(start, count, ({ buffer, byteOffset, byteLength }, first) => {
    const at = (first - start) * stride;
    new Uint8Array(buffer, byteOffset, byteLength).set(from.subarray(at, at + byteLength));
  });
}
