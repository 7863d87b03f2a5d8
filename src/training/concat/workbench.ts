/** The arrays and kernels that the parts of a training step work with on one thread. */

import type { Products } from '../../kernels/gemm.js';
import type { TrainingKernels } from '../../kernels/training-kernels.js';
import { paddedDim } from '../../memory/shared-arrays.js';
import { type Architecture, Parameters } from './parameters.js';
import {
  type FixedSizes,
  type FixedViews,
  fixedViews,
  type StepSizes,
  type StepViews,
  stepViews,
  tileRows,
} from './step-memory.js';

/** One step, or one evaluation when `update` is absent: plain data, the same on every thread. */
export interface StepTask {
  readonly sizes: StepSizes;
  /** Counts from 1. */
  readonly step: number;
  /** Share of attention entries that are dropped. */
  readonly dropoutRate: number;
  /** Weights of the loss of a pair of two identities and of a pair of one; over all pairs they add up to 1. */
  readonly pairWeights: readonly [negative: number, positive: number];
  readonly update?: UpdateSettings;
}

export interface UpdateSettings {
  readonly learningRate: number;
  /** L2: the parameter times this is added to the clipped gradient. */
  readonly weightDecay: number;
  /** Largest norm of the whole gradient; Infinity for none. */
  readonly clip: number;
}

export class Workbench {
  readonly architecture: Architecture;
  /** d padded to p; floats of a row of all M heads, w = M·p. */
  readonly p: number;
  readonly heads: number;
  readonly w: number;
  readonly fixed: FixedViews;
  readonly parameters: Parameters;
  /** Tiles of at most `tileRows` rows in this thread's own memory, where GEMMs find operands and leave results. */
  readonly narrow: Float32Array;
  readonly wide: Float32Array;
  /** The same for kernels: a tile of gradients [tileRows × p], two sums [2 × p]. */
  readonly tile: Float32Array;
  readonly headSums: Float32Array;
  task!: StepTask;
  views!: StepViews;
  private readonly bounds: Int32Array;
  private readonly sum: Float32Array;

  constructor(
    readonly memory: WebAssembly.Memory,
    readonly sizes: FixedSizes,
    thread: number,
    readonly kernels: TrainingKernels,
    readonly products: Products,
  ) {
    const { architecture } = sizes;
    const p = paddedDim(architecture.dim);
    const w = architecture.heads * p;
    this.architecture = architecture;
    this.p = p;
    this.heads = architecture.heads;
    this.w = w;
    this.fixed = fixedViews(memory, sizes);
    this.parameters = new Parameters(architecture, this.fixed.parameters);
    this.narrow = new Float32Array(tileRows * p);
    this.wide = new Float32Array(tileRows * Math.max(w, 2 * p));
    this.tile = part(this.fixed.tile, thread, tileRows * p);
    this.headSums = part(this.fixed.headSums, thread, 2 * p);
    this.bounds = this.fixed.bounds.subarray(2 * thread, 2 * thread + 2);
    this.sum = part(this.fixed.rowSum, thread, w);
  }

  open(task: StepTask): void {
    this.task = task;
    this.views = stepViews(this.memory, this.sizes, task.sizes);
  }

  /** Offsets of one list of `count` entries, until the next call. */
  listOf(count: number): Int32Array {
    this.bounds[1] = count;
    return this.bounds;
  }

  /**
   * Adds Σ weight_i · row_i to `out`: `count` ≤ tileRows rows of `stride` floats, `dim` of them from `column`. Only the
   * first out.length columns are added, as the rest is padding.
   */
  addRows(
    out: Float32Array,
    rows: Float32Array,
    [count, stride, column, dim]: readonly [count: number, stride: number, column: number, dim: number],
    weights: Float32Array = this.fixed.ones,
  ): void {
    const { sum } = this;
    this.kernels.weightedRows({
      first: 0,
      count: 1,
      offsets: this.listOf(count),
      index: this.fixed.range,
      weights,
      dim,
      rows,
      rowStride: stride,
      column,
      out: sum,
      outStride: 0,
      outColumn: 0,
    });
    for (let c = 0; c < out.length; c++) out[c] += sum[c];
  }
}

function part(views: Float32Array, index: number, length: number): Float32Array {
  return views.subarray(index * length, (index + 1) * length);
}

/** Copies rows × columns of `source` [· × sourceStride] from `sourceColumn` to the upper left of `out` [· × stride]. */
export function copyBlock(
  out: Float32Array,
  stride: number,
  source: Float32Array,
  [sourceStride, sourceColumn]: readonly [number, number],
  [rows, columns]: readonly [number, number],
): void {
  if (stride === columns && sourceStride === columns) return void out.set(source.subarray(0, rows * columns));
  for (let r = 0; r < rows; r++) {
    const from = r * sourceStride + sourceColumn;
    out.set(source.subarray(from, from + columns), r * stride);
  }
}

/** As `copyBlock`, but adds to `out`. */
export function addBlock(
  out: Float32Array,
  stride: number,
  source: Float32Array,
  [sourceStride, sourceColumn]: readonly [number, number],
  [rows, columns]: readonly [number, number],
): void {
  for (let r = 0; r < rows; r++) {
    const from = r * sourceStride + sourceColumn;
    const to = r * stride;
    for (let c = 0; c < columns; c++) out[to + c] += source[from + c];
  }
}
