/**
 * One worker's half of the exact kNN search by bounds. Products of codes, which are whole numbers and cheap, bound every
 * cosine from above; each row keeps the L others of the greatest bounds, and cosines are computed of those alone. If the
 * k-th of them is greater than the least bound kept, no other row can belong to the k: the list is proven. Rows whose list is
 * not proven are searched for by their cosines with all rows.
 *
 * Blocks and tasks are those of `knn-blocks.ts`. n rows, d columns, codes of r columns, k neighbours, L candidates.
 */
import type { KnnGraph } from '../graph/knn-graph.js';
import { Arena } from '../kernels/arena.js';
import { WholeProducts, wholeZero } from '../kernels/gemm.js';
import { listedIds, listedSimilarities, loadKernels } from '../kernels/kernels.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { load, loadBytes, part, type Range, store, storeBytes } from './blocks.js';
import { Coder, codeLength } from './codes.js';
import { Refiner } from './refine.js';
import { createSampleSearch, type Neighbours } from './sample.js';

export interface BoundJob {
  /** Unit vectors [n × d]. */
  readonly rows: SharedRowsHandle;
  /** [n × r] bytes: codes, 64 for zero. */
  readonly codes: SharedRowsHandle;
  /** The same as signed bytes, each strip of a block turned: [r × columns]. */
  readonly turnedCodes: SharedRowsHandle;
  /** [n] in shared memory: see `Coder`; margins are errors until `setMargins`. */
  readonly steps: Float32Array;
  readonly margins: Float32Array;
  /** [n × 2L], see `offerTile`. */
  readonly lists: SharedRowsHandle;
  /** The graph being built, k + 1 wide. */
  readonly graph: KnnGraph;
  readonly blockCount: number;
}

export type BoundTask =
  | { readonly kind: 'code'; readonly block: number }
  /** Compare blocks a ≤ b. */
  | { readonly kind: 'compare'; readonly a: number; readonly b: number }
  /** Write the lists of a block into the graph. Returns rows whose lists are not proven. */
  | { readonly kind: 'refine'; readonly block: number }
  | { readonly kind: 'search'; readonly queries: Int32Array };

/** The greatest of a block. */
export interface CodedBlock {
  readonly norm: number;
  readonly error: number;
}

export type BoundResult = CodedBlock | Int32Array | Neighbours | undefined;

/** Rows and columns that are multiplied at once: their products stay in a second-level cache of 1 MiB. */
const tileRows = 256;
const stripColumns = 256;

/**
 * Turns the errors ‖e‖ of all rows into margins a, such that two rows' inner product is at most s t (p · q) + a + b,
 * even as float32 sums in any order round it.
 */
export function setMargins(margins: Float32Array, { norm, error }: CodedBlock, dim: number): void {
  const factor = norm + error / 2;
  const rounding = 0.5 * (1.01 * dim * 2 ** -24 * norm * norm + 1e-6);
  for (let i = 0; i < margins.length; i++) margins[i] = (margins[i] * factor + rounding) * (1 + 2 ** -22);
}

export async function createBoundSearch(job: BoundJob): Promise<(task: BoundTask) => Promise<BoundResult>> {
  const rows = SharedRows.from(job.rows);
  const codes = SharedRows.from(job.codes);
  const turnedCodes = SharedRows.from(job.turnedCodes);
  const lists = SharedRows.from(job.lists);
  const { graph, blockCount, steps, margins } = job;
  const { rowCount, dim } = rows;
  const r = codeLength(dim);
  const candidates = lists.dim / 2;
  const k = graph.width - 1;
  const capacity = Math.ceil(rowCount / blockCount);
  const tile = Math.min(tileRows, capacity);
  const arena = new Arena(capacity * (2 * r + 16 * candidates + 16) + 4 * (tile + 1) * stripColumns + 256);
  const kernels = loadKernels(arena);
  const products = await WholeProducts.create(r);
  const side = () => ({
    codes: arena.uint8(capacity * r),
    lists: arena.float32(capacity * 2 * candidates),
    steps: arena.float32(capacity),
    margins: arena.float32(capacity),
  });
  const [left, right] = [side(), side()];
  const turned = new Int8Array(right.codes.buffer, right.codes.byteOffset, right.codes.length);
  const sums = arena.int32(tile * stripColumns + 15);
  const bounds = new Float32Array(sums.buffer, sums.byteOffset, sums.length);
  const leastOfColumn = arena.float32(stripColumns + 15);
  let refiner: Refiner | undefined;
  let search: ReturnType<typeof createSampleSearch> | undefined;

  const blockAt = (index: number) => part(index, rowCount, blockCount);
  const strips = ({ count }: Range) => {
    const parts = Math.ceil(count / stripColumns);
    return Array.from({ length: parts }, (_, strip) => part(strip, count, parts));
  };

  function code(block: Range): CodedBlock {
    const coder = new Coder(dim);
    let [norm, error] = [0, 0];
    for (let i = 0; i < block.count; i++) {
      coder.run(rows.row(block.start + i), left.codes.subarray(i * r, (i + 1) * r));
      steps[block.start + i] = coder.step;
      margins[block.start + i] = coder.error;
      norm = Math.max(norm, coder.norm);
      error = Math.max(error, margins[block.start + i]);
    }
    for (const { start, count } of strips(block)) {
      kernels.turnRows(count, r, wholeZero, left.codes.subarray(start * r), turned.subarray(start * r));
    }
    storeBytes(left.codes, codes, block.start, block.count);
    storeBytes(right.codes, turnedCodes, block.start, block.count);
    return { norm, error };
  }

  async function compare(a: Range, b: Range): Promise<void> {
    const self = a.start === b.start;
    const other = self ? left : right;
    fill(left, a);
    if (!self) fill(right, b);
    loadBytes(codes, a.start, a.count, left.codes);
    loadBytes(turnedCodes, b.start, b.count, right.codes);
    const tiles = Math.ceil(a.count / tileRows);
    for (const { start: first, count: columns } of strips(b)) {
      for (let at = 0; at < tiles; at++) {
        const { start, count } = part(at, a.count, tiles);
        await products.run(count, columns, left.codes.subarray(start * r), turned.subarray(first * r), sums);
        kernels.upperBounds({
          rows: count,
          columns,
          sums,
          rowSteps: left.steps.subarray(start),
          rowMargins: left.margins.subarray(start),
          columnSteps: other.steps.subarray(first),
          columnMargins: other.margins.subarray(first),
        });
        if (self) hideSelf(start, count, first, columns);
        kernels.offerTile({
          rows: count,
          columns,
          similarities: bounds,
          k: candidates,
          firstRow: a.start + start,
          firstColumn: b.start + first,
          rowLists: left.lists.subarray(start * 2 * candidates),
          columnLists: self ? undefined : right.lists.subarray(first * 2 * candidates),
          leastOfColumn,
        });
      }
    }
    store(left.lists, lists, a);
    if (!self) store(right.lists, lists, b);
  }

  function fill(side: typeof left, block: Range): void {
    load(lists, block, side.lists);
    side.steps.set(steps.subarray(block.start, block.start + block.count));
    side.margins.set(margins.subarray(block.start, block.start + block.count));
  }

  /** A row of a tile does not meet itself. */
  function hideSelf(start: number, count: number, first: number, columns: number): void {
    const end = Math.min(start + count, first + columns);
    for (let i = Math.max(start, first); i < end; i++) bounds[(i - start) * columns + i - first] = Number.NaN;
  }

  function refine(block: Range): Int32Array {
    refiner ??= new Refiner(rows, graph, candidates);
    load(lists, block, left.lists);
    kernels.sortLists(block.count, candidates, left.lists);
    const listed = new Int32Array(block.count * candidates);
    listedIds(block.count, candidates, left.lists, listed);
    const upper = new Float32Array(block.count * candidates);
    listedSimilarities(block.count, candidates, left.lists, upper);
    const unproven: number[] = [];
    for (let first = 0; first < block.count; first += refiner.rowsAtOnce) {
      const count = Math.min(refiner.rowsAtOnce, block.count - first);
      const ids = Int32Array.from({ length: count }, (_, i) => block.start + first + i);
      const offset = first * candidates;
      refiner.candidates.set(listed.subarray(offset, offset + count * candidates));
      for (let i = 0; i < count; i++) {
        const start = i * candidates;
        const needed = countNeeded(ids[i], listed, upper, offset + start);
        refiner.candidates.fill(-1, start + needed, start + candidates);
      }
      refiner.write(ids);
      for (let i = 0; i < count; i++) {
        const leastBound = upper[offset + (i + 1) * candidates - 1];
        if (!(refiner.leastKept[i] > leastBound) && candidates < rowCount - 1) unproven.push(ids[i]);
      }
    }
    return Int32Array.from(unproven);
  }

  /** Counts the first candidates of a row whose upper bound reaches the lower bound of the k-th cosine. */
  function countNeeded(row: number, listed: Int32Array, upper: Float32Array, start: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (let at = start; at < start + k; at++) {
      least = Math.min(least, upper[at] - 2 * (margins[row] + margins[listed[at]]));
    }
    let count = k;
    while (count < candidates && upper[start + count] >= least) count++;
    return count;
  }

  return async (task) => {
    switch (task.kind) {
      case 'code':
        return code(blockAt(task.block));
      case 'compare':
        return void (await compare(blockAt(task.a), blockAt(task.b)));
      case 'refine':
        return refine(blockAt(task.block));
      case 'search':
        search ??= createSampleSearch({ rows: job.rows, k });
        return (await search)(task.queries);
    }
  };
}
