/** The local memory of a tile. */
import type { TileCapacity, TileMemory } from './backend.js';
import type { TileShape } from './stages.js';

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

export function allocateTile(
  { dim, paddedDim: p, heads }: TileShape,
  { nodes, rows, width, edges }: TileCapacity,
  memory: Allocator = ownBuffers(),
): TileMemory {
  const M = heads.length;
  return {
    x: memory.float32(nodes * dim),
    rows: memory.float32(rows * M * p),
    rowT: memory.float32(rows * M),
    s: memory.float32(nodes * M),
    lists: memory.int32(nodes * width),
    h: memory.float32(nodes * M * p),
    t: memory.float32(nodes * M),
    centres: memory.float32(nodes * p),
    left: memory.float32(nodes * p),
    right: memory.float32(nodes * p),
    pairs: memory.int32(2 * edges),
    scores: memory.float32(edges),
  };
}
