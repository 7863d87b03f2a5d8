/**
 * The arithmetic of one training step on one thread. Stages run one after another; the chunks of a stage touch disjoint
 * rows, so any threads may run them in any order. What a chunk adds to the gradient goes to a slot of its own, and the slots
 * are added in order: the result does not depend on how many threads there are.
 */
import { Products } from '../../kernels/gemm.js';
import type { SimdLevel } from '../../kernels/kernels.js';
import { loadTrainingKernels } from '../../kernels/training-kernels.js';
import { SharedRows, type SharedRowsHandle } from '../../memory/shared-rows.js';
import { AttentionLayer } from './attention-layer.js';
import { ConcatHead } from './head.js';
import { Parameters, parameterCount, parameterRow } from './parameters.js';
import { type FixedSizes, maxChunks, tileRows } from './step-memory.js';
import { type StepTask, Workbench } from './workbench.js';

export const forwardStages = ['project', 'aggregate', 'embed', 'score'] as const;
const backwardStages = ['embedBackward', 'aggregateBackward', 'projectBackward', 'reduce', 'update'] as const;
export const stages = [...forwardStages, ...backwardStages] as const;
export type TrainingStage = (typeof stages)[number];

/** torch.optim.Adam's defaults. */
const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];
/** Rows of a chunk, unless there are more than maxChunks of them: enough for a GEMM to be worth it. */
const chunkRows = 384;

/** The memory and settings that every thread of an engine gets once. */
export interface PassContext {
  readonly memory: WebAssembly.Memory;
  readonly sizes: FixedSizes;
  /** Slope of LeakyReLU below zero. */
  readonly alpha: number;
  readonly seed: number;
  /** Unit vectors [n × p]. */
  readonly features: SharedRowsHandle;
  readonly simd: SimdLevel | undefined;
  /** Loss and correct pairs of each chunk [maxChunks × 2]. */
  readonly pairSums: Float64Array;
}

export class BlockPass {
  private readonly attention: AttentionLayer;
  private readonly head: ConcatHead;
  /** The gradients of the chunks. */
  private readonly slots: readonly Parameters[];

  private constructor(
    private readonly context: PassContext,
    private readonly bench: Workbench,
  ) {
    const features = SharedRows.from(context.features);
    this.attention = new AttentionLayer(bench, features, context.alpha, context.seed);
    this.head = new ConcatHead(bench);
    const { architecture } = context.sizes;
    const P = parameterCount(architecture);
    this.slots = Array.from(
      { length: maxChunks },
      (_, c) => new Parameters(architecture, bench.fixed.chunkGradients.subarray(c * P, (c + 1) * P)),
    );
  }

  static async create(context: PassContext, thread: number): Promise<BlockPass> {
    const { memory, sizes, simd } = context;
    const kernels = loadTrainingKernels(memory, simd);
    return new BlockPass(context, new Workbench(memory, sizes, thread, kernels, await Products.create()));
  }

  /** Takes up a step that the main thread has laid out. */
  open(task: StepTask): void {
    this.bench.open(task);
    this.attention.open();
    this.head.open();
  }

  chunks(stage: TrainingStage): number {
    if (stage === 'reduce' || stage === 'update') return maxChunks;
    return Math.max(1, Math.min(maxChunks, Math.ceil(this.rowsOf(stage) / chunkRows)));
  }

  async run(stage: TrainingStage, chunk: number): Promise<void> {
    const [start, end] = range(this.rowsOf(stage), this.chunks(stage), chunk);
    const slot = this.slots[chunk];
    switch (stage) {
      case 'project':
        if (this.bench.task.update) slot.data.fill(0); // no stage has more chunks
        return eachTile(start, end, (first, count) => this.attention.project(first, count));
      case 'aggregate':
        return eachTile(start, end, (first, count) => this.attention.aggregate(first, count));
      case 'embed':
        return eachTile(start, end, (first, count) => {
          this.attention.embed(first, count);
          return this.head.split(first, count);
        });
      case 'score':
        return this.score(chunk, start, end - start);
      case 'embedBackward':
        await eachTile(start, end, async (first, count) => {
          this.attention.centres(first, count);
          await this.head.backward(first, count, slot);
          this.attention.embedBackward(first, count, slot);
        });
        return this.head.flush(slot);
      case 'aggregateBackward':
        await eachTile(start, end, (first, count) => this.attention.aggregateBackward(first, count, slot));
        return this.attention.flush(slot, false);
      case 'projectBackward':
        await eachTile(start, end, (first, count) => this.attention.projectBackward(first, count, slot));
        return this.attention.flush(slot, true);
      case 'reduce':
        return this.reduce(start * parameterRow, end * parameterRow);
      case 'update':
        return this.update(start * parameterRow, end * parameterRow);
    }
  }

  async release(): Promise<void> {
    await this.bench.products.release();
  }

  private rowsOf(stage: TrainingStage): number {
    const { rowCount, oneHopCount, blockCount } = this.bench.task.sizes;
    switch (stage) {
      case 'project':
      case 'projectBackward':
        return rowCount;
      case 'aggregate':
      case 'aggregateBackward':
        return oneHopCount;
      case 'embed':
      case 'score':
      case 'embedBackward':
        return blockCount;
      case 'reduce':
      case 'update':
        return this.bench.fixed.norms.length;
    }
  }

  private score(chunk: number, first: number, count: number): void {
    const sums = { loss: 0, correct: 0 };
    this.head.score(first, count, sums, this.bench.task.update && this.slots[chunk]);
    this.context.pairSums[2 * chunk] = sums.loss;
    this.context.pairSums[2 * chunk + 1] = sums.correct;
  }

  /** Adds the slots up for parameters [start, end). */
  private reduce(start: number, end: number): void {
    const { fixed, kernels } = this.bench;
    const gradient = fixed.gradient.subarray(start, end);
    kernels.weightedRows({
      first: 0,
      count: 1,
      offsets: this.bench.listOf(this.chunks('project')),
      index: fixed.range,
      weights: fixed.ones,
      dim: end - start,
      rows: fixed.chunkGradients,
      rowStride: fixed.gradient.length,
      column: start,
      out: gradient,
      outStride: 0,
      outColumn: 0,
    });
    const runs = (end - start) / parameterRow;
    kernels.rowNorms(runs, parameterRow, gradient, fixed.norms.subarray(start / parameterRow));
  }

  private update(start: number, end: number): void {
    const { fixed, kernels, task } = this.bench;
    if (!task.update) return;
    const { learningRate, weightDecay, clip } = task.update;
    const slice = (values: Float32Array) => values.subarray(start, end);
    kernels.adam({
      gradient: slice(fixed.gradient),
      parameters: slice(fixed.parameters),
      firstMoments: slice(fixed.firstMoments),
      secondMoments: slice(fixed.secondMoments),
      clip: Math.min(1, clip / (gradientNorm(fixed.norms) + 1e-6)), // as torch.nn.utils.clip_grad_norm_
      decay: weightDecay,
      blend1: 1 - beta1,
      blend2: 1 - beta2,
      epsilon,
      rate: learningRate / (1 - beta1 ** task.step),
      rootScale: 1 / Math.sqrt(1 - beta2 ** task.step),
    });
  }
}

/** Norm of the whole gradient, from the squared norms of its runs. */
export function gradientNorm(norms: Float32Array): number {
  return Math.sqrt(norms.reduce((sum, norm) => sum + norm, 0));
}

/** Visits rows [start, end) in as few tiles as there can be, of equal sizes. */
async function eachTile(
  start: number,
  end: number,
  visit: (first: number, count: number) => void | Promise<void>,
): Promise<void> {
  const tiles = Math.ceil((end - start) / tileRows);
  for (let t = 0; t < tiles; t++) {
    const [first, last] = range(end - start, tiles, t);
    await visit(start + first, last - first);
  }
}

/** Rows of chunk c of `chunks`. */
function range(rows: number, chunks: number, c: number): [start: number, end: number] {
  return [Math.floor((rows * c) / chunks), Math.floor((rows * (c + 1)) / chunks)];
}
