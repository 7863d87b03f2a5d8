/**
 * The columns of a kNN search in tiles, and the lists of a batch that has met some of them: the common part of the back-ends
 * that compute a tile on a device and take its nearest columns from there. B rows a batch, d columns of features, L entries a list.
 */
import { SharedRows } from '../../memory/shared-rows.js';
import type { KnnBackend, KnnColumns, KnnTile, TileCapacity } from '../backend.js';
import type { BackendName } from '../names.js';
import { knnLayout } from '../stages.js';
import { allocateTile } from '../tile.js';

export interface ColumnTile {
  readonly start: number;
  readonly count: number;
  /** Entries that it gives each row: L, or all that it has. */
  readonly listed: number;
  /** Whether it stays on the device; otherwise its rows are uploaded for each batch. */
  readonly stays: boolean;
}

/** What a tile of columns has for each row of a batch. */
interface Nearest {
  /** Cosines, falling [B × listed]. */
  readonly similarities: Float32Array;
  /** Their places in the tile [B × listed]. */
  readonly places: Float32Array | Int32Array;
  /** The sum of the cosines with all columns [B]. */
  readonly sums: Float32Array;
}

/** Computes the nearest of one tile for the first `count` rows of `x`. */
type NearestOfTile = (tile: ColumnTile, count: number) => Promise<Nearest>;

/** Columns are selected by chunks of so many where a tile can be cut into them. */
export const chunkColumns = 64;
/** Places up to this are exact in float32. */
const mostColumns = 2 ** 24;

/** Tiles of whole chunks, and one of what is left. One that stays takes its rows, and room for two matrices of products with a batch. */
export function columnTiles(model: KnnColumns, { nodes }: TileCapacity): ColumnTile[] {
  const { rowCount, dim } = model.columns;
  const wanted = Math.min(mostColumns, model.tileBytes / (4 * Math.max(dim, nodes)));
  const most = wholeChunks(Math.max(chunkColumns, wanted));
  const tiles: ColumnTile[] = [];
  let bytes = 0;
  for (let start = 0, count = 0; start < rowCount; start += count) {
    const left = rowCount - start;
    count = left < chunkColumns ? left : Math.min(most, wholeChunks(left));
    bytes += 4 * count * (dim + 2 * nodes);
    tiles.push({ start, count, listed: Math.min(model.listed, count), stays: bytes <= model.residentBytes });
  }
  return tiles;
}

function wholeChunks(columns: number): number {
  return chunkColumns * Math.floor(columns / chunkColumns);
}

/** Rows of a tile side by side, in ordinary memory. */
export function rowsOf(model: KnnColumns, { start, count }: ColumnTile, into?: Float32Array): Float32Array {
  const { dim } = model.columns;
  const rows = into ?? new Float32Array(count * dim);
  SharedRows.from(model.columns).eachRun(start, count, (view, first) => rows.set(view, (first - start) * dim));
  return rows;
}

interface Device {
  readonly name: BackendName;
  readonly provider: string;
  readonly tiles: readonly ColumnTile[];
  readonly tile: KnnTile;
  readonly nearest: NearestOfTile;
  readonly release: () => Promise<void>;
}

export function allocateKnnTile(model: KnnColumns, capacity: TileCapacity): KnnTile {
  return allocateTile(knnLayout(model, capacity));
}

/** The back-end of a device that computes tile by tile. */
export function tiledBackend({ listed }: KnnColumns, { tiles, tile, nearest, ...device }: Device): KnnBackend {
  return {
    name: device.name,
    provider: device.provider,
    tile,
    async run(_, count) {
      tile.ids.fill(-1, 0, count * listed);
      tile.similarities.fill(Number.NEGATIVE_INFINITY, 0, count * listed);
      tile.sums.fill(0, 0, count);
      for (const columns of tiles) {
        const found = await nearest(columns, count);
        for (let i = 0; i < count; i++) {
          tile.sums[i] += found.sums[i];
          merge(tile, i, listed, columns, found);
        }
      }
    },
    release: device.release,
  };
}

/** Takes into a row's list what a tile has for it. */
function merge({ ids, similarities }: KnnTile, row: number, listed: number, tile: ColumnTile, found: Nearest): void {
  const first = row * listed;
  const last = first + listed - 1;
  for (let entry = row * tile.listed; entry < (row + 1) * tile.listed; entry++) {
    const similarity = found.similarities[entry];
    if (!(similarity > similarities[last])) return;
    const place = found.places[entry];
    if (!(place >= 0 && place < tile.count)) throw new Error(`the device names column ${place} of ${tile.count}`);
    let at = last;
    for (; at > first && similarities[at - 1] < similarity; at--) {
      ids[at] = ids[at - 1];
      similarities[at] = similarities[at - 1];
    }
    ids[at] = tile.start + place;
    similarities[at] = similarity;
  }
}
