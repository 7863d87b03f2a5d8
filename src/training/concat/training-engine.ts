/**
 * Trains a model by blocks (NAAN 2020, §III): each step computes the closure of one block once, scores every candidate pair
 * in it, and moves all parameters by one step of Adam. Every number is the same for any number of threads.
 */

import { availableCores } from '../../cgroup.js';
import { NaanError } from '../../errors.js';
import { Pool } from '../../execution/pool.js';
import type { KnnGraph } from '../../graph/knn-graph.js';
import { type MatrixLocation, openRows } from '../../io/matrix.js';
import { normaliseRows } from '../../io/normalise.js';
import type { SimdLevel } from '../../kernels/kernels.js';
import { paddedDim } from '../../memory/shared-arrays.js';
import { SharedRows } from '../../memory/shared-rows.js';
import { gradientNorm, type PassContext } from './block-pass.js';
import { type Block, type Closure, ClosureFinder, type Hops } from './closure.js';
import { type Architecture, Parameters } from './parameters.js';
import { controlWords, failedWord } from './stage-loop.js';
import {
  allocateStepMemory,
  type FixedViews,
  fixedViews,
  maxChunks,
  reserve,
  sizesOf,
  stepBytes,
  stepViews,
} from './step-memory.js';
import type { StepTask, UpdateSettings } from './workbench.js';

export interface TrainingInput {
  readonly architecture: Architecture;
  /** Slope of LeakyReLU below zero. */
  readonly alpha: number;
  readonly hops: Hops;
  /** Unit vectors, from `loadTrainingFeatures`. */
  readonly features: SharedRows;
  readonly graph: KnnGraph;
  /** Identity of each node [n]; −1 for unknown: in no pair, but in neighbourhoods. */
  readonly labels: Int32Array;
  /** Seed of attention dropout. */
  readonly seed: number;
  /** Worker threads; default: the cores this process may use. */
  readonly threads?: number | undefined;
  readonly simd?: SimdLevel | undefined;
}

export interface StepSettings extends UpdateSettings {
  /** Share of attention entries that are dropped after the softmax, without normalising again; default 0. */
  readonly dropout?: number;
  /** Weights in the loss of a pair of two identities and of a pair of one; default 1 and 1. */
  readonly classWeights?: ClassWeights;
}

export type ClassWeights = readonly [negative: number, positive: number];

export interface StepResult {
  /** Mean cross-entropy of the pairs, weighted by class, in nats. */
  readonly loss: number;
  readonly pairs: number;
  readonly positives: number;
  /** Pairs whose more probable class was right. */
  readonly correct: number;
  /** Norm of the whole gradient before clipping. */
  readonly gradientNorm: number;
}

/** Given to each worker once. */
export interface TrainingWorkerData {
  readonly context: PassContext;
  readonly control: Int32Array;
  /** [1]: the next worker's number. */
  readonly tickets: Int32Array;
}

export class TrainingEngine {
  /** Views of the values themselves: write to them between steps. */
  readonly parameters: Parameters;
  /** Gradient of the last step, before clipping and weight decay. */
  readonly gradient: Parameters;
  /** Adam's moments, laid out as the parameters, and how many steps they have seen. */
  readonly firstMoments: Float32Array;
  readonly secondMoments: Float32Array;
  steps = 0;
  readonly threads: number;
  private readonly context: PassContext;
  private readonly fixed: FixedViews;
  private readonly control = new Int32Array(new SharedArrayBuffer(4 * controlWords));
  private readonly finder: ClosureFinder;
  private readonly pool: Pool;
  private busy = false;

  /** Parameters begin as zeros: initialise them or copy a model. Throws BAD_SHAPE, BAD_USAGE. */
  constructor(input: TrainingInput) {
    checkInput(input);
    const { architecture, alpha, features, graph, labels, hops, seed } = input;
    this.threads = input.threads ?? availableCores();
    const sizes = { architecture, threads: this.threads };
    const memory = allocateStepMemory(sizes);
    this.fixed = fixedViews(memory, sizes);
    this.parameters = new Parameters(architecture, this.fixed.parameters);
    this.gradient = new Parameters(architecture, this.fixed.gradient);
    this.firstMoments = this.fixed.firstMoments;
    this.secondMoments = this.fixed.secondMoments;
    this.finder = new ClosureFinder(graph, labels, hops);
    this.context = {
      memory,
      sizes,
      alpha,
      seed,
      features: features.handle(),
      simd: input.simd,
      pairSums: new Float64Array(new SharedArrayBuffer(8 * 2 * maxChunks)),
    };
    const tickets = new Int32Array(new SharedArrayBuffer(4));
    const workerData: TrainingWorkerData = { context: this.context, control: this.control, tickets };
    const worker = new URL('../../../workers/training-worker.js', import.meta.url);
    this.pool = new Pool({ worker, threads: this.threads, workerData });
  }

  /** Finds the closure of a block: main-thread work that may be done while a step runs. */
  prepare(block: Block): Closure {
    return this.finder.find(block);
  }

  /** One step of Adam on the mean loss of a block's pairs. Throws BAD_INPUT when it has none, OUT_OF_MEMORY when it is too large. */
  async step(closure: Closure, settings: StepSettings): Promise<StepResult> {
    const { dropout = 0, classWeights, ...update } = settings;
    if (closure.targets.length === 0) {
      throw new NaanError('BAD_INPUT', `a block of ${closure.blockCount} nodes has no labelled candidate pair`);
    }
    const step = this.steps + 1;
    const result = await this.run(closure, { step, dropoutRate: dropout, update }, classWeights);
    this.steps = step;
    return { ...result, gradientNorm: gradientNorm(this.fixed.norms) };
  }

  /** Loss of a block's pairs, and the logit gap of each in the order of `closure.pairs`, without dropout. */
  async evaluate(
    closure: Closure,
    classWeights?: ClassWeights,
  ): Promise<Omit<StepResult, 'gradientNorm'> & { readonly gaps: Float32Array }> {
    const result = await this.run(closure, { step: 0, dropoutRate: 0 }, classWeights);
    const { gaps } = stepViews(this.context.memory, this.context.sizes, sizesOf(closure, false));
    return { ...result, gaps: Float32Array.from(gaps) };
  }

  async close(): Promise<void> {
    await this.pool.close();
  }

  private async run(
    closure: Closure,
    task: Omit<StepTask, 'sizes' | 'pairWeights'>,
    [negative, positive]: ClassWeights = [1, 1],
  ): Promise<Omit<StepResult, 'gradientNorm'>> {
    if (this.busy) throw new Error('a step is running: steps follow one another');
    this.busy = true;
    try {
      const pairs = closure.targets.length;
      const total = negative * (pairs - closure.positives) + positive * closure.positives;
      const sizes = sizesOf(closure, task.dropoutRate > 0);
      this.layOut(closure, task.dropoutRate > 0);
      this.control.fill(0);
      this.context.pairSums.fill(0);
      const shared: StepTask = { ...task, sizes, pairWeights: [negative / total, positive / total] };
      const tasks = Array.from({ length: this.threads }, () => shared);
      await this.pool.runAll<StepTask, void>(tasks, () => `step ${task.step}`, {
        attempts: 1, // a chunk that ran has changed what it read
        onFailure: () => Atomics.store(this.control, failedWord, 1),
      });
      const sums = this.context.pairSums;
      let loss = 0;
      let correct = 0;
      for (let c = 0; c < maxChunks; c++) {
        loss += sums[2 * c];
        correct += sums[2 * c + 1];
      }
      return { loss, pairs, positives: closure.positives, correct };
    } finally {
      this.busy = false;
    }
  }

  /** Puts the closure's lists and the parameters' padded vectors where the workers find them. */
  private layOut(closure: Closure, dropout: boolean): void {
    const { memory, sizes: fixedSizes } = this.context;
    const sizes = sizesOf(closure, dropout);
    const bytes = stepBytes(fixedSizes, sizes);
    if (!reserve(memory, bytes)) {
      throw new NaanError(
        'OUT_OF_MEMORY',
        `a block of ${closure.blockCount} nodes reaches ${closure.rowCount} nodes in two hops and needs ` +
          `${(bytes / 2 ** 30).toFixed(1)} GiB, expected at most 4 and what the machine has: use smaller blocks or fewer hops`,
      );
    }
    const views = stepViews(memory, fixedSizes, sizes);
    views.nodes.set(closure.nodes);
    views.attentionOffsets.set(closure.attention.offsets);
    views.attentionIndex.set(closure.attention.index);
    views.rowOffsets.set(closure.byRow.offsets);
    views.rowLists.set(closure.byRow.index);
    views.rowPlaces.set(closure.byRow.entries);
    views.leftOffsets.set(closure.byLeft.offsets);
    views.leftIndex.set(closure.byLeft.index);
    views.pairs.set(closure.pairs);
    views.rightOffsets.set(closure.byRight.offsets);
    views.rightIndex.set(closure.byRight.index);
    views.rightPlaces.set(closure.byRight.entries);
    views.targets.set(closure.targets);

    const { architecture } = fixedSizes;
    const { dim, heads } = architecture;
    const p = paddedDim(architecture.dim);
    const w = heads * p;
    const { outputBias, positive, negative } = this.fixed;
    const scoreRows = views.activations.subarray((sizes.oneHopCount + sizes.blockCount) * w);
    scoreRows.fill(0);
    for (let m = 0; m < heads; m++) {
      const score = this.parameters.get(`attention.attn_${m}.a.weight`);
      scoreRows.set(score.subarray(dim), m * p);
      scoreRows.set(score.subarray(0, dim), w + m * p);
      outputBias.set(this.parameters.get(`attention.attn_${m}.bias`), m * p);
    }
    const second = this.parameters.get('classifier.2.weight');
    const slope = this.parameters.get('classifier.1.weight');
    for (let c = 0; c < dim; c++) {
      positive[c] = second[dim + c] - second[c];
      negative[c] = positive[c] * slope[c];
    }
  }
}

function checkInput({ architecture, hops, features, graph, labels }: TrainingInput): void {
  const nodes = graph.nodeCount;
  if (features.rowCount !== nodes || labels.length !== nodes) {
    throw new NaanError(
      'BAD_SHAPE',
      `${features.rowCount} rows of features and ${labels.length} labels, expected one of each for the ${nodes} rows of the kNN graph`,
    );
  }
  if (features.dim !== paddedDim(architecture.dim)) {
    throw new NaanError(
      'BAD_SHAPE',
      `features of dimension ${features.dim} (padded), the model has ${architecture.dim}`,
    );
  }
  const longest = Math.max(hops.k1, hops.k2, hops.sampleHops);
  if (graph.width < longest + 1) {
    throw new NaanError(
      'BAD_USAGE',
      `the kNN graph has ${graph.width - 1} neighbours a node, expected at least ${longest} for k-hops ${hops.k1} ${hops.k2} and sample-hops ${hops.sampleHops}`,
    );
  }
}

/**
 * Reads a whole matrix into shared memory as unit vectors, each row padded with zeros to a multiple of 4 columns.
 * Throws BAD_INPUT for a NaN, an infinity or a zero row.
 */
export function loadTrainingFeatures(location: MatrixLocation): { rows: SharedRows; normalisedRows: number } {
  const reader = openRows(location);
  try {
    const { rowCount, dim } = reader;
    const rows = SharedRows.allocate(rowCount, paddedDim(dim));
    const batch = 1024;
    const buffer = new Float32Array(batch * dim);
    let normalisedRows = 0;
    for (let start = 0; start < rowCount; start += batch) {
      const count = Math.min(batch, rowCount - start);
      reader.read(start, count, buffer);
      normalisedRows += normaliseRows(buffer, start, count, dim, location.name);
      for (let i = 0; i < count; i++) rows.row(start + i).set(buffer.subarray(i * dim, (i + 1) * dim));
    }
    return { rows, normalisedRows };
  } finally {
    reader.close();
  }
}
