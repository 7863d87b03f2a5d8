/** The local memory of a tile. */
import type { TileCapacity, TileMemory } from './backend.js';
import type { TileLayout } from './stages.js';

interface Allocator {
  float32(length: number): Float32Array;
  int32(length: number): Int32Array;
}

/** Zeroed arrays in ordinary memory, or on buffers that `allocate` gives. */
export function ownBuffers(
  allocate: (bytes: number) => ArrayBufferLike = (bytes) => new ArrayBuffer(bytes),
): Allocator {
  return {
    float32: (length) => new Float32Array(allocate(4 * length)),
    int32: (length) => new Int32Array(allocate(4 * length)),
  };
}

/** Local memory for tiles of `batch` nodes: the widest stage decides. */
export function tileCapacity(batch: number, k1: number, k2: number): TileCapacity {
  const width = Math.max(k1, k2) + 1;
  return { nodes: batch, width, rows: batch * width, edges: batch * width };
}

/** Local memory for batches of a kNN search. */
export function rowCapacity(batch: number): TileCapacity {
  return { nodes: batch, width: 0, rows: 0, edges: 0 };
}

export function allocateTile<Tile extends TileMemory>(
  { arrays }: TileLayout<never, Tile>,
  memory: Allocator = ownBuffers(),
): Tile {
  const of = ([type, length]: readonly ['float32' | 'int32', number]) => memory[type](length);
  return Object.fromEntries(Object.keys(arrays).map((name) => [name, of(arrays[name as keyof Tile & string])])) as Tile;
}
