/**
 * The kernels, in WebAssembly SIMD or as scalar twins, behind one interface. Views passed in must come from the arena
 * that the kernels were made for (the scalar twins take any).
 */
import { readFileSync } from 'node:fs';
import { NaanError } from '../errors.js';
import type { Arena } from './arena.js';
import * as scalar from './scalar.js';

/** One attention head over short lists of local rows; see assembly/attend.ts. B nodes, w list width, R rows, d columns. */
export interface AttendInput {
  readonly count: number;
  readonly width: number;
  readonly dim: number;
  /** [B × w] local rows, then −1. */
  readonly lists: Int32Array;
  /** [R × rowStride], read from `column`. */
  readonly rows: Float32Array;
  readonly rowStride: number;
  readonly column: number;
  /** s [B × scalarStride] and t [R × scalarStride], read at `head`. */
  readonly centre: Float32Array;
  readonly neighbour: Float32Array;
  readonly scalarStride: number;
  readonly head: number;
  readonly attentionBias: number;
  readonly alpha: number;
  /** g [d]. */
  readonly outputBias: Float32Array;
  readonly scale: number;
  readonly accumulate: boolean;
  /** [B × d]. */
  readonly out: Float32Array;
  /** [w] scratch. */
  readonly weights: Float32Array;
}

/** Logit gaps of candidate edges; see assembly/pair-scores.ts. */
export interface PairScoresInput {
  readonly edgeCount: number;
  readonly dim: number;
  /** [E × 2] left row, right row. */
  readonly pairs: Int32Array;
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** w and w · slope [d]. */
  readonly positive: Float32Array;
  readonly negative: Float32Array;
  readonly bias: number;
  /** [E] out. */
  readonly gaps: Float32Array;
}

/** Dot product of each row with one vector; see assembly/rows.ts. */
export interface RowDotsInput {
  readonly count: number;
  readonly dim: number;
  /** [n × stride], read from `column`. */
  readonly rows: Float32Array;
  readonly stride: number;
  readonly column: number;
  readonly vector: Float32Array;
  /** [n × outStride], written at `outColumn`. */
  readonly out: Float32Array;
  readonly outStride: number;
  readonly outColumn: number;
}

/** Cosines of the first row of each list with all of it; see assembly/list-dots.ts. B lists, w list width, R rows. */
export interface ListDotsInput {
  readonly count: number;
  readonly width: number;
  readonly dim: number;
  /** [B × w] local rows, then −1; the first is the node itself. */
  readonly lists: Int32Array;
  /** [R × d]. */
  readonly rows: Float32Array;
  /** [B × w]. */
  readonly out: Float32Array;
}

/** A tile of similarities for the lists of its rows and columns; see assembly/top-k.ts. m rows, n columns. */
export interface OfferTileInput {
  readonly rows: number;
  readonly columns: number;
  /** [m × n], NaN where a row meets itself; 15 floats after it may be read. */
  readonly similarities: Float32Array;
  readonly k: number;
  /** Ids of row 0 and of column 0; the others follow. */
  readonly firstRow: number;
  readonly firstColumn: number;
  /** [m × 2k]: two words a neighbour, read by `listedIds`; zeros when empty. */
  readonly rowLists: Float32Array;
  /** [n × 2k]; without them the tile serves its rows only. */
  readonly columnLists?: Float32Array | undefined;
  /** [n + 15] scratch. */
  readonly leastOfColumn: Float32Array;
}

/** A tile of similarities of which few reach the least of their column; see assembly/top-k.ts. m rows, n columns. */
export interface ReachingInput {
  readonly rows: number;
  readonly columns: number;
  /** [m × n]; 15 floats after it may be read. */
  readonly similarities: Float32Array;
  /** [n + 15]. */
  readonly leastOfColumn: Float32Array;
  /** Out: how many there are, then the place of each in the tile, rising [1 + m × n]. */
  readonly places: Int32Array;
}

/** A tile of sums of whole numbers for rows picked from a block of lists; see assembly/top-k.ts. m rows, n columns. */
export interface OfferPickedInput {
  readonly rows: number;
  readonly columns: number;
  /** [m × n], of less than 24 bits; 15 after it may be read. */
  readonly similarities: Int32Array;
  readonly k: number;
  /** Lists of the rows [m]. */
  readonly picked: Int32Array;
  /** Ids of the first of `rowLists` and of column 0. */
  readonly firstRow: number;
  readonly firstColumn: number;
  readonly rowLists: Float32Array;
  /** The least similarity that each of these lists keeps, as `leastKept` returns it; kept up to date. */
  readonly rowLeast: Float32Array;
  /** [n × 2k]. */
  readonly columnLists: Float32Array;
  /** [n], and 15 floats after it may be read. */
  readonly columnLeast: Float32Array;
}

/** Products of codes that become upper bounds; see assembly/bounds.ts. m rows, n columns. */
export interface UpperBoundsInput {
  readonly rows: number;
  readonly columns: number;
  /** [m × n] in, and out as float32 in the same memory. */
  readonly sums: Int32Array;
  /** [m]. */
  readonly rowSteps: Float32Array;
  readonly rowMargins: Float32Array;
  /** [n]. */
  readonly columnSteps: Float32Array;
  readonly columnMargins: Float32Array;
}

/** Sums of whole numbers whose greatest are wanted; see assembly/whole.ts. m rows, n columns. */
export interface GreatestSumsInput {
  readonly rows: number;
  readonly columns: number;
  /** [m × n]. */
  readonly sums: Int32Array;
  /** Number of column 0. */
  readonly firstColumn: number;
  /** Greatest sum of each row, and its column, of the columns before; those of these too afterwards [m]. */
  readonly greatest: Int32Array;
  readonly places: Int32Array;
}

/** Sums of whole numbers of which few reach the least of their row; see assembly/whole.ts. m rows, n columns. */
export interface ReachingSumsInput {
  readonly rows: number;
  readonly columns: number;
  /** [m × n]. */
  readonly sums: Int32Array;
  /** Number of row 0. */
  readonly firstRow: number;
  /** [m]. */
  readonly least: Int32Array;
  /** Out: how many there are, then the column of each · 65,536 + its row [1 + m × n]. */
  readonly pairs: Int32Array;
}

export interface Kernels {
  readonly simd: SimdLevel;
  attend(input: AttendInput): void;
  pairScores(input: PairScoresInput): void;
  rowDots(input: RowDotsInput): void;
  /** Squared norm of each row: rows [n × d] → out [n]. */
  rowNorms(count: number, dim: number, rows: Float32Array, out: Float32Array): void;
  listDots(input: ListDotsInput): void;
  offerTile(input: OfferTileInput): void;
  /** The least similarity in each list [count × 2k] → out [count]; −Infinity where a place is empty. */
  leastKept(count: number, k: number, lists: Float32Array, out: Float32Array): void;
  reaching(input: ReachingInput): void;
  offerPicked(input: OfferPickedInput): void;
  upperBounds(input: UpperBoundsInput): void;
  greatestSums(input: GreatestSumsInput): void;
  reachingSums(input: ReachingSumsInput): void;
  /** rows [count × r], `zero` for zero, r a multiple of 16 → columns [r × count]. */
  turnRows(count: number, rowBytes: number, zero: number, rows: Uint8Array, columns: Int8Array): void;
  /** Copies rows picked[0..count) of rows [· × rowBytes] to out; rowBytes is a multiple of 16. */
  pickRows(count: number, rowBytes: number, picked: Int32Array, rows: Uint8Array, out: Uint8Array): void;
  /** Puts lists [count × 2k] in order once all tiles were offered. */
  sortLists(count: number, k: number, lists: Float32Array): void;
}

/** Ids in lists that `sortLists` has put in order: lists [count × 2k] → out [count × k]. */
export function listedIds(count: number, k: number, lists: Float32Array, out: Int32Array): void {
  const words = new Int32Array(lists.buffer, lists.byteOffset, 2 * count * k);
  for (let i = 0; i < count * k; i++) out[i] = ~words[2 * i];
}

/** Similarities in such lists: → out [count × k], −Infinity of an empty place. */
export function listedSimilarities(count: number, k: number, lists: Float32Array, out: Float32Array): void {
  const words = new Int32Array(lists.buffer, lists.byteOffset, 2 * count * k);
  const bits = new Int32Array(out.buffer, out.byteOffset, count * k);
  for (let i = 0; i < count * k; i++) {
    const ordered = words[2 * i + 1];
    if (ordered === 0) out[i] = Number.NEGATIVE_INFINITY;
    else bits[i] = ordered < 0 ? ordered ^ 0x80000000 : ~ordered;
  }
}

/** The modules that assembly/build.sh compiles. */
type KernelModule = 'kernels' | 'training';

export type SimdLevel = 'relaxed' | 'simd' | 'scalar';

type WasmExports = Record<Exclude<keyof Kernels, 'simd'>, (...args: number[]) => void>;

export function bestSimdLevel(): SimdLevel {
  if (WebAssembly.validate(moduleBytes('kernels', 'relaxed'))) return 'relaxed';
  return WebAssembly.validate(moduleBytes('kernels', 'simd')) ? 'simd' : 'scalar';
}

/** Kernels over an arena. `level` forces one; the best this engine runs is the default. */
export function loadKernels(arena: Arena, level: SimdLevel = bestSimdLevel()): Kernels {
  if (level === 'scalar') return { simd: 'scalar', ...scalar, sortLists() {} }; // its lists are in order all the time
  return wrap(level, instantiate('kernels', level, arena.memory) as WasmExports);
}

/** The exports of one kernel module over a memory, which must be shared exactly when the module is for shared memory. */
export function instantiate(
  name: KernelModule,
  level: 'relaxed' | 'simd',
  memory: WebAssembly.Memory,
): Record<string, (...args: number[]) => void> {
  const bytes = moduleBytes(name, level);
  if (!WebAssembly.validate(bytes)) {
    throw new NaanError('BACKEND_UNAVAILABLE', `SIMD level '${level}' does not run on Node ${process.version}`);
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return exports as Record<string, (...args: number[]) => void>;
}

function wrap(simd: SimdLevel, wasm: WasmExports): Kernels {
  return {
    simd,
    attend(i) {
      wasm.attend(
        i.count,
        i.width,
        i.dim,
        i.lists.byteOffset,
        i.rows.byteOffset + i.column * 4,
        i.rowStride,
        i.centre.byteOffset + i.head * 4,
        i.neighbour.byteOffset + i.head * 4,
        i.scalarStride,
        i.attentionBias,
        i.alpha,
        i.outputBias.byteOffset,
        i.scale,
        Number(i.accumulate),
        i.out.byteOffset,
        i.weights.byteOffset,
      );
    },
    pairScores(i) {
      wasm.pairScores(
        i.edgeCount,
        i.dim,
        i.pairs.byteOffset,
        i.left.byteOffset,
        i.right.byteOffset,
        i.positive.byteOffset,
        i.negative.byteOffset,
        i.bias,
        i.gaps.byteOffset,
      );
    },
    rowDots(i) {
      wasm.rowDots(
        i.count,
        i.dim,
        i.rows.byteOffset + i.column * 4,
        i.stride,
        i.vector.byteOffset,
        i.out.byteOffset + i.outColumn * 4,
        i.outStride,
      );
    },
    rowNorms(count, dim, rows, out) {
      wasm.rowNorms(count, dim, rows.byteOffset, out.byteOffset);
    },
    listDots(i) {
      wasm.listDots(i.count, i.width, i.dim, i.lists.byteOffset, i.rows.byteOffset, i.out.byteOffset);
    },
    offerTile(i) {
      wasm.offerTile(
        i.rows,
        i.columns,
        i.similarities.byteOffset,
        i.k,
        i.firstRow,
        i.firstColumn,
        i.rowLists.byteOffset,
        i.columnLists?.byteOffset ?? 0,
        i.leastOfColumn.byteOffset,
      );
    },
    reaching(i) {
      const { rows, columns, similarities, leastOfColumn, places } = i;
      wasm.reaching(rows, columns, similarities.byteOffset, leastOfColumn.byteOffset, places.byteOffset);
    },
    leastKept(count, k, lists, out) {
      wasm.leastKept(count, k, lists.byteOffset, out.byteOffset);
    },
    offerPicked(i) {
      wasm.offerPicked(
        i.rows,
        i.columns,
        i.similarities.byteOffset,
        i.k,
        i.picked.byteOffset,
        i.firstRow,
        i.firstColumn,
        i.rowLists.byteOffset,
        i.rowLeast.byteOffset,
        i.columnLists.byteOffset,
        i.columnLeast.byteOffset,
      );
    },
    upperBounds(i) {
      wasm.upperBounds(
        i.rows,
        i.columns,
        i.sums.byteOffset,
        i.rowSteps.byteOffset,
        i.rowMargins.byteOffset,
        i.columnSteps.byteOffset,
        i.columnMargins.byteOffset,
      );
    },
    greatestSums({ rows, columns, sums, firstColumn, greatest, places }) {
      wasm.greatestSums(rows, columns, sums.byteOffset, firstColumn, greatest.byteOffset, places.byteOffset);
    },
    reachingSums({ rows, columns, sums, firstRow, least, pairs }) {
      wasm.reachingSums(rows, columns, sums.byteOffset, firstRow, least.byteOffset, pairs.byteOffset);
    },
    turnRows(count, rowBytes, zero, rows, columns) {
      wasm.turnRows(count, rowBytes, zero, rows.byteOffset, columns.byteOffset);
    },
    pickRows(count, rowBytes, picked, rows, out) {
      wasm.pickRows(count, rowBytes, picked.byteOffset, rows.byteOffset, out.byteOffset);
    },
    sortLists(count, k, lists) {
      wasm.sortLists(count, k, lists.byteOffset);
    },
  };
}

function moduleBytes(name: KernelModule, level: 'relaxed' | 'simd'): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`./${name}-${level}.wasm`, import.meta.url)));
}
