/**
 * The nearest of a range of rows to some queries, so that all queries are searched for in one pass over the rows, by several threads,
 * whether the rows are in memory or in a file.
 */
import { Arena } from '../kernels/arena.js';
import { InnerProducts } from '../kernels/gemm.js';
import { type Kernels, listedIds, loadKernels } from '../kernels/kernels.js';
import type { Range } from './blocks.js';
import { type Neighbours, queriesAtOnce } from './sample.js';
import { openUnitRows, type UnitRowsHandle } from './unit-rows.js';

/** Rows that are compared with the queries at once; see `RangeSearch`. */
export const rangeStep = 1024;

/** A search for some rows among a range of rows, on the calling thread. */
export interface RangeSearch {
  readonly rowCount: number;
  /**
   * The best k of the range for each query: lists in order as `sortLists` leaves them [queries × 2k]. A range begins at a
   * multiple of `rangeStep`, so that the same products are made however a set is cut into ranges.
   */
  run(queries: Int32Array, range: Range): Promise<Float32Array>;
  close(): void;
}

/** Searches for up to `maxQueries` rows at once; each row of the range is read once for all of them. */
export async function createRangeSearch(
  { rows: handle, k }: { readonly rows: UnitRowsHandle; readonly k: number },
  maxQueries: number,
): Promise<RangeSearch> {
  const rows = openUnitRows(handle);
  const { dim, rowCount } = rows;
  const tile = Math.min(rangeStep, rowCount);
  const arena = new Arena(4 * (tile * dim + maxQueries * (dim + 2 * k) + queriesAtOnce * tile + tile + 30));
  const kernels: Kernels = loadKernels(arena);
  const products = await InnerProducts.create(dim);
  const x = arena.float32(maxQueries * dim);
  const others = arena.float32(tile * dim);
  const lists = arena.float32(maxQueries * 2 * k);
  const similarities = arena.float32(queriesAtOnce * tile + 15);
  const leastOfColumn = arena.float32(tile + 15);

  async function run(queries: Int32Array, range: Range): Promise<Float32Array> {
    rows.gather(queries, queries.length, x);
    lists.fill(0);
    for (let start = range.start; start < range.start + range.count; start += tile) {
      const columns = Math.min(tile, range.start + range.count - start);
      rows.read(start, columns, others);
      for (let query = 0; query < queries.length; query += queriesAtOnce) {
        const count = Math.min(queriesAtOnce, queries.length - query);
        await products.run(count, columns, x.subarray(query * dim), others, similarities);
        for (let i = 0; i < count; i++) {
          const self = queries[query + i] - start;
          if (self >= 0 && self < columns) similarities[i * columns + self] = Number.NaN;
        }
        kernels.offerTile({
          rows: count,
          columns,
          similarities,
          k,
          firstRow: 0,
          firstColumn: start,
          rowLists: lists.subarray(query * 2 * k),
          leastOfColumn,
        });
      }
    }
    kernels.sortLists(queries.length, k, lists);
    return lists.slice(0, queries.length * 2 * k);
  }
  return { rowCount, run, close: () => rows.close() };
}

/** The best k of all ranges from lists of each [queries × 2k], as of one search among all rows. */
export function mergeRanges(queries: Int32Array, k: number, parts: readonly Float32Array[]): Neighbours {
  const words = parts.map((lists) => new Uint32Array(lists.buffer, lists.byteOffset, lists.length));
  const merged = new Uint32Array(queries.length * 2 * k);
  const at = new Int32Array(parts.length);
  for (let i = 0; i < queries.length; i++) {
    at.fill(0);
    for (let c = 0; c < k; c++) {
      let [best, high, low] = [-1, 0, 0];
      for (let p = 0; p < parts.length; p++) {
        if (at[p] === k) continue;
        const place = 2 * (i * k + at[p]);
        const [inverseId, similarity] = [words[p][place], words[p][place + 1]];
        if (similarity > high || (similarity === high && inverseId > low)) {
          [best, high, low] = [p, similarity, inverseId];
        }
      }
      if (best < 0) break;
      at[best]++;
      merged[2 * (i * k + c)] = low;
      merged[2 * (i * k + c) + 1] = high;
    }
  }
  return { queries, ids: idsOf(new Float32Array(merged.buffer), k) };
}

function idsOf(lists: Float32Array, k: number): Int32Array {
  const ids = new Int32Array(lists.length / 2);
  listedIds(ids.length / k, k, lists, ids);
  return ids;
}
