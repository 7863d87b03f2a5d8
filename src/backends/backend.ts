/**
 * What a back-end does: the arithmetic of one tile of nodes. The engine fills the tile's local memory (owned rows, the
 * halo rows they need, lists of local row numbers), asks for a stage, and takes the results from the same memory.
 * A back-end knows nothing of threads, shards or files.
 *
 * Shapes: B nodes a tile, R local rows, E edges, w list width, d features, p = d padded to a multiple of 4, M heads.
 */
import { NaanError } from '../errors.js';
import type { SimdLevel } from '../kernels/kernels.js';
import type { FactoredModel } from '../model/factored.js';
import type { OnnxProvider } from './onnx-providers.js';

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

export interface Backend {
  readonly name: BackendName;
  readonly simd?: SimdLevel;
  /** Where it computes, if it has a choice. */
  readonly provider?: string;
  readonly tile: TileMemory;
  /** h = W x + b, s = a_c · h, t = a_n · h of the first `count` nodes. */
  project(count: number): Promise<void>;
  /** z = attention over the lists; h = W z + b, t = a_n · h. */
  aggregate(count: number): Promise<void>;
  /** c = attention over the lists. */
  embed(count: number): Promise<void>;
  /** left = A c, right = B c + b1. */
  split(count: number): Promise<void>;
  /** Probability that the ends of an edge are one identity. */
  score(edgeCount: number): Promise<void>;
  release(): Promise<void>;
}

export interface BackendOptions {
  readonly simd?: SimdLevel | undefined;
  /** Of `onnx`; default `cpu`. */
  readonly provider?: OnnxProvider | undefined;
  /** Number of the GPU, where a provider has several; default 0. */
  readonly device?: number | undefined;
}

/** Throws BACKEND_UNAVAILABLE when it cannot start here. */
type BackendFactory = (model: FactoredModel, capacity: TileCapacity, options: BackendOptions) => Promise<Backend>;

const loaders = {
  native: async () => (await import('./native.js')).createNative,
  onnx: async () => (await import('./onnx.js')).createOnnx,
  reference: async () => (await import('./reference.js')).createReference,
  tfjs: async () => (await import('./tfjs.js')).createTfjs,
} satisfies Record<string, () => Promise<BackendFactory>>;

export type BackendName = keyof typeof loaders;

/** What `auto` tries, in order. The reference is never taken by default: a slow run must be asked for. */
const automatic: readonly BackendName[] = ['native'];

/**
 * Starts the named back-end, or with `auto` the first that can start.
 * Throws BACKEND_UNAVAILABLE with every reason when none can, BAD_USAGE when the tile asked for does not fit.
 */
export async function startBackend(
  name: BackendName | 'auto',
  model: FactoredModel,
  capacity: TileCapacity,
  options: BackendOptions = {},
): Promise<Backend> {
  const reasons: string[] = [];
  for (const candidate of name === 'auto' ? automatic : [name]) {
    try {
      const create: BackendFactory = await loaders[candidate]();
      return await create(model, capacity, options);
    } catch (error) {
      if (error instanceof NaanError && (name !== 'auto' || error.code === 'BAD_USAGE')) throw error;
      reasons.push(`${candidate}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new NaanError('BACKEND_UNAVAILABLE', `no back-end could start (${reasons.join('; ')})`);
}
