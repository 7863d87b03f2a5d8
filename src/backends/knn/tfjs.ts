/** kNN on the TensorFlow.js API: tile by tile of columns; those that stay are uploaded once. */
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { KnnBackend, KnnColumns, TileCapacity } from '../backend.js';
import { loadTfjs } from '../tfjs-library.js';
import { allocateKnnTile, type ColumnTile, columnTiles, rowsOf, tiledBackend } from './column-tiles.js';

export async function createTfjs(model: KnnColumns, capacity: TileCapacity): Promise<KnnBackend> {
  const { tf, device, mostBytes } = await loadTfjs();
  const { dim } = model.columns;
  const tile = allocateKnnTile(model, capacity);
  const residentBytes = Math.min(model.residentBytes, mostBytes / 2);
  const tiles = columnTiles({ ...model, residentBytes }, capacity);
  const upload = (columns: ColumnTile) => tf.tensor2d(rowsOf(model, columns), [columns.count, dim]);
  const resident = new Map<ColumnTile, Tensor2D>();
  for (const columns of tiles) if (columns.stays) resident.set(columns, upload(columns));

  return tiledBackend(model, {
    name: 'tfjs',
    provider: device,
    tiles,
    tile,
    async nearest(columns, count) {
      const [similarities, places, sums] = tf.tidy(() => {
        const x = tf.tensor2d(tile.x.subarray(0, count * dim), [count, dim]);
        const products = tf.matMul(x, resident.get(columns) ?? upload(columns), false, true);
        const { values, indices } = tf.topk(products, columns.listed);
        return [values.dataSync<'float32'>(), indices.dataSync<'int32'>(), tf.sum(products, 1).dataSync<'float32'>()];
      });
      return { similarities, places: places as Int32Array, sums };
    },
    async release() {
      tf.dispose([...resident.values()]);
    },
  });
}
