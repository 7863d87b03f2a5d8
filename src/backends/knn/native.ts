/** kNN on the calling thread: products by ONNX Runtime, lists by WebAssembly SIMD, all in one arena. */
import { Arena } from '../../kernels/arena.js';
import { InnerProducts } from '../../kernels/gemm.js';
import { listedIds, listedSimilarities, loadKernels } from '../../kernels/kernels.js';
import { SharedRows } from '../../memory/shared-rows.js';
import type { BackendOptions, KnnBackend, KnnColumns, TileCapacity } from '../backend.js';
import { knnLayout } from '../stages.js';
import { allocateTile } from '../tile.js';

/** Columns that are multiplied at once: their similarities to a batch stay in a second-level cache of 1 MiB. */
const stripColumns = 256;

export async function createNative(
  model: KnnColumns,
  capacity: TileCapacity,
  { simd }: BackendOptions,
): Promise<KnnBackend> {
  const rows = SharedRows.from(model.columns);
  const { rowCount, dim } = rows;
  const { nodes } = capacity;
  const k = model.listed;
  const arena = new Arena(4 * ((nodes + stripColumns) * (dim + 1) + nodes * (4 * k + stripColumns) + 64));
  const kernels = loadKernels(arena, simd);
  const products = await InnerProducts.create(dim);
  const tile = allocateTile(knnLayout(model, capacity), arena);
  const columns = arena.float32(stripColumns * dim);
  const rowLists = arena.float32(nodes * 2 * k);
  const similarities = arena.float32(nodes * stripColumns + 15);
  const leastOfColumn = arena.float32(stripColumns + 15);
  return {
    name: 'native',
    simd: kernels.simd,
    tile,
    async run(_, count) {
      rowLists.fill(0);
      tile.sums.fill(0);
      for (let start = 0; start < rowCount; start += stripColumns) {
        const strip = Math.min(stripColumns, rowCount - start);
        rows.eachRun(start, strip, (view, first) => columns.set(view, (first - start) * dim));
        await products.run(count, strip, tile.x, columns, similarities);
        const here = { similarities, leastOfColumn, firstRow: 0, firstColumn: start };
        kernels.offerTile({ ...here, rows: count, columns: strip, k, rowLists });
      }
      kernels.sortLists(count, k, rowLists);
      listedIds(count, k, rowLists, tile.ids);
      listedSimilarities(count, k, rowLists, tile.similarities);
    },
    async release() {},
  };
}
