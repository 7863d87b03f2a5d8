/** The oracle: plain loops over float64 sums. */
import { dot } from '../../kernels/scalar.js';
import { SharedRows } from '../../memory/shared-rows.js';
import type { BackendOptions, KnnBackend, KnnColumns, TileCapacity } from '../backend.js';
import { allocateKnnTile } from './column-tiles.js';

export async function createReference(
  model: KnnColumns,
  capacity: TileCapacity,
  _options: BackendOptions,
): Promise<KnnBackend> {
  const rows = SharedRows.from(model.columns);
  const { rowCount, dim } = rows;
  const { listed } = model;
  const tile = allocateKnnTile(model, capacity);
  return {
    name: 'reference',
    tile,
    async run(_, count) {
      for (let i = 0; i < count; i++) {
        const x = tile.x.subarray(i * dim, (i + 1) * dim);
        const cosines = Float64Array.from({ length: rowCount }, (_, id) => dot(x, rows.row(id)));
        const nearest = [...cosines.keys()].sort((a, b) => cosines[b] - cosines[a] || a - b).slice(0, listed);
        tile.ids.set(nearest, i * listed);
        tile.similarities.set(
          nearest.map((id) => cosines[id]),
          i * listed,
        );
        tile.sums[i] = cosines.reduce((sum, cosine) => sum + cosine, 0);
      }
    },
    async release() {},
  };
}
