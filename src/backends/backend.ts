/**
 * The contract of back-ends: the arithmetic of one tile of nodes, or of edges. A head fills the tile's local memory, asks for a
 * stage by its name, and takes the results from the same memory. A back-end knows nothing of threads, shards or files; which
 * stages a head has, and what each reads and writes, is a table (`stages.ts`).
 *
 * Shapes: B nodes a tile, R local rows, E edges, w list width, d features, p = d padded to a multiple of 4, M heads.
 */
import type { SimdLevel } from '../kernels/kernels.js';
import type { SharedRowsHandle } from '../memory/shared-rows.js';
import type { FactoredModel } from '../model/factored.js';
import type { RoundNetworks } from '../model/round-network.js';
import type { BackendName, OnnxProvider } from './names.js';
import type { ConcatStage, NetworkStage } from './stages.js';

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

export type TileArray = Float32Array | Int32Array;

/** The local memory of a tile: arrays by name. */
export type TileMemory = Readonly<Record<string, TileArray>>;

export type ConcatTile = {
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
};

export type PairwiseTile = {
  /** Raw features of edges [E × F], as many columns as the round has: in of `network`. */
  readonly features: Float32Array;
  /** [E]: out of `network`. */
  readonly logits: Float32Array;
};

/** L: entries of a list. */
export type KnnTile = {
  /** Unit vectors [B × d]: in of `nearest`. */
  readonly x: Float32Array;
  /** Ids of columns and their cosines, falling [B × L]: out of `nearest`. */
  readonly ids: Int32Array;
  readonly similarities: Float32Array;
  /** The sum of the cosines with all columns, which is finite where all of them are [B]: out of `nearest`. */
  readonly sums: Float32Array;
};

export interface Backend<Stage extends string = string, Tile extends TileMemory = TileMemory> {
  readonly name: BackendName;
  readonly simd?: SimdLevel;
  /** The device or provider that it computes on, if it has a choice. */
  readonly provider?: string;
  readonly tile: Tile;
  /** Computes a stage of the first `count` nodes or edges of the tile. */
  run(stage: Stage, count: number): Promise<void>;
  release(): Promise<void>;
}

/**
 *   project     h = W x + b, s = a_c · h, t = a_n · h
 *   aggregate   z = attention over the lists; h = W z + b, t = a_n · h
 *   embed       c = attention over the lists
 *   split       left = A c, right = B c + b1
 *   score       probability that the ends of an edge are one identity
 */
export type ConcatBackend = Backend<ConcatStage, ConcatTile>;

/**
 *   network     of round r: the logit of each edge, from its features
 */
export type PairwiseBackend = Backend<NetworkStage, PairwiseTile>;

/**
 *   nearest     the columns of the greatest cosine
 */
export type KnnBackend = Backend<'nearest', KnnTile>;

/** The columns of an exact kNN search, which are to it what weights are to a head. */
export interface KnnColumns {
  /** Unit vectors [n × d]. */
  readonly columns: SharedRowsHandle;
  /** L, at most n. */
  readonly listed: number;
  /** Columns are multiplied in tiles; neither a tile nor its products with a batch take more bytes. */
  readonly tileBytes: number;
  /** Bytes of a device's memory that tiles may take which stay there; others are uploaded for each batch. */
  readonly residentBytes: number;
}

/** The weights that a head's stages compute with, or the columns of a kNN search. */
export type BackendModel = FactoredModel | RoundNetworks | KnnColumns;
/** The contract of a back-end with such weights. */
export type BackendOf<Model extends BackendModel> = Model extends FactoredModel
  ? ConcatBackend
  : Model extends KnnColumns
    ? KnnBackend
    : PairwiseBackend;

export interface BackendOptions {
  readonly simd?: SimdLevel | undefined;
  /** The execution provider of `onnx`; default `cpu`. */
  readonly provider?: OnnxProvider | undefined;
  /** Number of the GPU, where a provider has several; default 0. */
  readonly device?: number | undefined;
}

/** Throws BACKEND_UNAVAILABLE when it cannot start here, BAD_USAGE when the tile does not fit. */
export type BackendFactory<Model extends BackendModel> = (
  model: Model,
  capacity: TileCapacity,
  options: BackendOptions,
) => Promise<BackendOf<Model>>;
