/** A tile's local memory in buffers of their own. */
import type { TileCapacity, TileMemory } from './backend.js';

/** What a tile's size depends on of the model. */
export interface TileShape {
  readonly dim: number;
  readonly paddedDim: number;
  readonly heads: { readonly length: number };
}

/** `allocate` gives zeroed bytes; by default ordinary memory. */
export function allocateTile(
  { dim, paddedDim: p, heads }: TileShape,
  { nodes, rows, width, edges }: TileCapacity,
  allocate: (bytes: number) => ArrayBufferLike = (bytes) => new ArrayBuffer(bytes),
): TileMemory {
  const M = heads.length;
  const floats = (length: number) => new Float32Array(allocate(4 * length));
  const ints = (length: number) => new Int32Array(allocate(4 * length));
  return {
    x: floats(nodes * dim),
    rows: floats(rows * M * p),
    rowT: floats(rows * M),
    s: floats(nodes * M),
    lists: ints(nodes * width),
    h: floats(nodes * M * p),
    t: floats(nodes * M),
    centres: floats(nodes * p),
    left: floats(nodes * p),
    right: floats(nodes * p),
    pairs: ints(2 * edges),
    scores: floats(edges),
  };
}
