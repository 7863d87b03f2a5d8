/**
 * What a back-end does: the arithmetic of one tile of nodes. The engine fills the tile's local memory (owned rows, the
 * halo rows they need, lists of local row numbers), asks for a stage, and takes the results from the same memory.
 * A back-end knows nothing of threads, shards or files.
 *
 * Shapes: B nodes a tile, R local rows, E edges, w list width, d features, p = d padded to a multiple of 4, M heads.
 */
import type { SimdLevel } from '../kernels/kernels.js';
import type { FactoredModel } from '../model/factored.js';
import type { BackendName, OnnxProvider } from './names.js';
import type { TileStage } from './stages.js';

export interface TileCapacity {
  /** B. */
  readonly nodes: number;
  /** R. */
  readonly rows: number;
  /** w: entries of the longest list, the node itself included. */
  readonly width: number;
  /** E. */
  readonly edges: number;
}

export interface TileMemory {
  /** Raw features [B × d]: in of `project`. */
  readonly x: Float32Array;
  /** Local rows [R × M·p] and their t [R × M]: in of `aggregate` and `embed`. */
  readonly rows: Float32Array;
  readonly rowT: Float32Array;
  /** s of the owned nodes [B × M]: out of `project`, in of `aggregate` and `embed`. */
  readonly s: Float32Array;
  /** Local rows of each list, then −1 [B × w]: in of `aggregate` and `embed`. */
  readonly lists: Int32Array;
  /** h [B × M·p] and t [B × M]: out of `project` (from x) and of `aggregate` (from z). */
  readonly h: Float32Array;
  readonly t: Float32Array;
  /** c [B × p]: out of `embed`, in of `split`. */
  readonly centres: Float32Array;
  /** A c and B c + b1 [B × p]: out of `split`; `left` is also the owned rows, in of `score`. */
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** Local row in `left`, local row in `rows` (here [R × p]) of each edge [E × 2]: in of `score`. */
  readonly pairs: Int32Array;
  /** [E]: out of `score`. */
  readonly scores: Float32Array;
}

/**
 * Each stage computes the first `count` nodes, or edges for `score`; `stageLayouts` says what it reads and writes.
 *   project     h = W x + b, s = a_c · h, t = a_n · h
 *   aggregate   z = attention over the lists; h = W z + b, t = a_n · h
 *   embed       c = attention over the lists
 *   split       left = A c, right = B c + b1
 *   score       probability that the ends of an edge are one identity
 */
export interface Backend extends Record<TileStage, (count: number) => Promise<void>> {
  readonly name: BackendName;
  readonly simd?: SimdLevel;
  /** Where it computes, if it has a choice. */
  readonly provider?: string;
  readonly tile: TileMemory;
  release(): Promise<void>;
}

export interface BackendOptions {
  readonly simd?: SimdLevel | undefined;
  /** The execution provider of `onnx`; default `cpu`. */
  readonly provider?: OnnxProvider | undefined;
  /** Number of the GPU, where a provider has several; default 0. */
  readonly device?: number | undefined;
}

/** Throws BACKEND_UNAVAILABLE when it cannot start here, BAD_USAGE when the tile does not fit. */
export type BackendFactory = (
  model: FactoredModel,
  capacity: TileCapacity,
  options: BackendOptions,
) => Promise<Backend>;
