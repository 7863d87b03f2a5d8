/**
 * The arrays of a training step: one WebAssembly memory that every thread sees and the kernels work in.
 * A fixed part (parameters, moments, gradients) comes first; behind it the arrays of the current block, laid out anew for
 * each block. Only pages that are written to take up memory.
 *
 * P parameters (padded), C chunks; of the block: B nodes, A attention lists, R unified rows, E attention entries,
 * Q pairs; d padded to p, M heads, w = M·p.
 *
 *   array         floats       project  aggregate  embed      score   embedBackward  aggregateBackward  projectBackward
 *   rows          R × w        h        W z + b                                      ∂(W z + b)         ∂h
 *   activations   (A + 2) × w           z by head  c by head          ∂ before ReLU  ∂ before ReLU
 *   left          B × p                            A c
 *   right         B × p                            B c + b1           ∂right
 *   leftGradient  B × p                                       ∂left
 */
import { paddedDim } from '../../memory/shared-arrays.js';
import type { Closure } from './closure.js';
import { type Architecture, parameterCount, parameterRow } from './parameters.js';

const pageBytes = 65536;
const alignment = 64;
const maxPages = 65536;

/** A stage's work is cut into at most so many chunks, each with a gradient of its own that are then added in order. */
export const maxChunks = 16;
/** Rows of a GEMM at most. */
export const tileRows = 512;

type Lengths = Readonly<Record<string, number>>;
type Views<I extends Lengths, F extends Lengths> = { readonly [K in keyof I]: Int32Array } & {
  readonly [K in keyof F]: Float32Array;
};

export interface StepSizes {
  readonly blockCount: number;
  readonly oneHopStart: number;
  readonly oneHopCount: number;
  readonly rowCount: number;
  readonly entries: number;
  readonly rowEntries: number;
  readonly pairs: number;
  readonly dropout: boolean;
}

export function sizesOf(closure: Closure, dropout: boolean): StepSizes {
  const { blockCount, oneHopStart, oneHopCount, rowCount } = closure;
  const entries = closure.attention.index.length;
  const rowEntries = closure.byRow.index.length;
  return {
    blockCount,
    oneHopStart,
    oneHopCount,
    rowCount,
    entries,
    rowEntries,
    pairs: closure.targets.length,
    dropout,
  };
}

/** The numbers that decide the size of the fixed part. */
export interface FixedSizes {
  readonly architecture: Architecture;
  readonly threads: number;
}

function fixedInts({ threads }: FixedSizes) {
  return {
    /** 0, 1, 2 … */
    range: Math.max(tileRows, maxChunks) + 1,
    /** By thread: one list, from 0 to how many entries it has. */
    bounds: 2 * threads,
  };
}

function fixedFloats({ architecture, threads }: FixedSizes) {
  const p = paddedDim(architecture.dim);
  const { heads: M } = architecture;
  const P = parameterCount(architecture);
  return {
    parameters: P,
    gradient: P,
    firstMoments: P,
    secondMoments: P,
    chunkGradients: maxChunks * P,
    ones: Math.max(tileRows, maxChunks),
    /** g by head. Of the concat head: w and w · slope. */
    outputBias: M * p,
    positive: p,
    negative: p,
    /** By thread: a tile of gradients, a sum of rows, two sums of the concat head. */
    tile: threads * tileRows * p,
    rowSum: threads * M * p,
    headSums: threads * 2 * p,
    /** Squared norms of runs of the gradient. */
    norms: P / parameterRow,
  };
}

function stepInts({ blockCount: B, oneHopCount, rowCount, entries, rowEntries, pairs: Q }: StepSizes) {
  return {
    nodes: rowCount,
    attentionOffsets: oneHopCount + B + 1,
    attentionIndex: entries,
    rowOffsets: rowCount + oneHopCount + 1,
    rowLists: rowEntries,
    rowPlaces: rowEntries,
    leftOffsets: B + 1,
    leftIndex: Q,
    pairs: 2 * Q,
    rightOffsets: B + 1,
    rightIndex: Q,
    rightPlaces: Q,
    targets: Q,
  };
}

function stepFloats(architecture: Architecture, sizes: StepSizes) {
  const { blockCount: B, oneHopCount, rowCount, entries: E, rowEntries, pairs: Q } = sizes;
  const p = paddedDim(architecture.dim);
  const { heads: M } = architecture;
  const R = rowCount + oneHopCount;
  const A = oneHopCount + B;
  return {
    rows: R * M * p,
    /** By attention list and head; then a_n and a_c of all heads, as rows that gradients gather. */
    activations: (A + 2) * M * p,
    left: B * p,
    right: B * p,
    leftGradient: B * p,
    /** s by H row, t by unified row. */
    centre: rowCount * M,
    neighbour: R * M,
    /** By head and entry: p, p after dropout, ∂x. */
    weights: M * E,
    kept: sizes.dropout ? M * E : 0,
    slopes: M * E,
    /** ∂s by attention list, ∂s and ∂t by row for one head at a time. */
    listSlopes: A * M,
    centreSlopes: rowCount,
    neighbourSlopes: R,
    /** Weights in the order of the lists by row, for one head at a time. */
    rowWeights: rowEntries,
    gaps: Q,
    deltas: Q,
    rightDeltas: Q,
  };
}

export type FixedViews = Views<ReturnType<typeof fixedInts>, ReturnType<typeof fixedFloats>>;
export type StepViews = Views<ReturnType<typeof stepInts>, ReturnType<typeof stepFloats>>;

/** A memory that holds the fixed part. Throws RangeError when the machine refuses it. */
export function allocateStepMemory(fixed: FixedSizes): WebAssembly.Memory {
  const initial = Math.ceil(fixedEnd(fixed) / pageBytes);
  const memory = new WebAssembly.Memory({ initial, maximum: maxPages, shared: true });
  const { range, ones } = fixedViews(memory, fixed);
  for (let i = 0; i < range.length; i++) range[i] = i;
  ones.fill(1);
  return memory;
}

export function fixedViews(memory: WebAssembly.Memory, fixed: FixedSizes): FixedViews {
  return cut(memory, alignment, fixedInts(fixed), fixedFloats(fixed));
}

export function stepViews(memory: WebAssembly.Memory, fixed: FixedSizes, sizes: StepSizes): StepViews {
  // A thread that started while another one made room may hold the memory as it was before: growing by nothing shows it all.
  if (memory.buffer.byteLength < stepBytes(fixed, sizes)) memory.grow(0);
  return cut(memory, fixedEnd(fixed), stepInts(sizes), stepFloats(fixed.architecture, sizes));
}

/** Bytes that the fixed part and a step of these sizes need together. */
export function stepBytes(fixed: FixedSizes, sizes: StepSizes): number {
  return end(fixedEnd(fixed), stepInts(sizes), stepFloats(fixed.architecture, sizes));
}

/** Bytes of the lists of a step alone. */
export function listBytes(sizes: StepSizes): number {
  return end(0, stepInts(sizes));
}

/** Makes room for a step. Views cut earlier stay valid. Returns false when it cannot be had. */
export function reserve(memory: WebAssembly.Memory, bytes: number): boolean {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / pageBytes);
  if (missing <= 0) return true;
  if (bytes > maxPages * pageBytes) return false;
  try {
    memory.grow(missing);
    return true;
  } catch {
    return false;
  }
}

function fixedEnd(fixed: FixedSizes): number {
  return end(alignment, fixedInts(fixed), fixedFloats(fixed));
}

function end(start: number, ...parts: Lengths[]): number {
  const lengths = parts.flatMap((part) => Object.values(part));
  return lengths.reduce((at, length) => at + aligned(4 * length), start);
}

function cut<I extends Lengths, F extends Lengths>(
  { buffer }: WebAssembly.Memory,
  start: number,
  ints: I,
  floats: F,
): Views<I, F> {
  const views: Record<string, Int32Array | Float32Array> = {};
  let at = start;
  for (const [name, length] of Object.entries(ints)) {
    views[name] = new Int32Array(buffer, at, length);
    at += aligned(4 * length);
  }
  for (const [name, length] of Object.entries(floats)) {
    views[name] = new Float32Array(buffer, at, length);
    at += aligned(4 * length);
  }
  return views as Views<I, F>;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}
