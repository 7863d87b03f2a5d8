/**
 * The kernels of training, over a WebAssembly memory that threads share, in SIMD or as scalar twins.
 *
 * Lists are in CSR form: entries of list i are offsets[i] .. offsets[i + 1), places in arrays of E entries. A call covers
 * lists [first, first + count); arrays by list are given whole. d columns; of a matrix of M heads the columns of one begin
 * at `column`.
 */
import { bestSimdLevel, instantiate, type PairScoresInput, type RowDotsInput, type SimdLevel } from './kernels.js';
import { pairScores, rowDots, rowNorms } from './scalar.js';
import * as scalar from './training-scalar.js';

export interface ListRange {
  readonly first: number;
  readonly count: number;
  readonly offsets: Int32Array;
  /** [E]. */
  readonly index: Int32Array;
}

/** out_i = Σ_e weight_e · row_e, or ReLU(Σ_e weight_e · row_e + bias); see assembly/weighted-rows.ts. */
export interface WeightedRowsInput extends ListRange {
  readonly dim: number;
  readonly weights: Float32Array;
  readonly rows: Float32Array;
  readonly rowStride: number;
  readonly column: number;
  /** [d]. */
  readonly bias?: Float32Array;
  /** Row i of it is written at `outColumn`. */
  readonly out: Float32Array;
  readonly outStride: number;
  readonly outColumn: number;
}

/** The inputs of the attention scalars of one head; s and t are read at `head`. See assembly/attention-gradient.ts. */
export interface AttentionScalars extends ListRange {
  /** s of list i at centre[(i + centreShift) · scalarStride + head]. */
  readonly centre: Float32Array;
  readonly centreShift: number;
  readonly neighbour: Float32Array;
  readonly scalarStride: number;
  readonly head: number;
  readonly attentionBias: number;
  readonly alpha: number;
  /** p [E]: out of `attentionWeights`, in of `attentionGradient`. */
  readonly weights: Float32Array;
}

export interface AttentionGradientInput extends AttentionScalars {
  readonly dim: number;
  readonly rows: Float32Array;
  /** G, by list. */
  readonly gradient: Float32Array;
  /** Floats of a row of `rows` and `gradient`. */
  readonly rowStride: number;
  readonly column: number;
  /** p after dropout [E]; `weights` itself without dropout. */
  readonly kept: Float32Array;
  /** ∂x [E] out. */
  readonly slopes: Float32Array;
  /** ∂s out, by list, stride and place as s, not shifted. */
  readonly centreSlopes: Float32Array;
}

/** Gradient of the concat head at its left or right rows; see assembly/pair-gradients.ts. Rows are [· × d]. */
export interface PairGradientsInput extends ListRange {
  readonly dim: number;
  readonly deltas: Float32Array;
  readonly own: Float32Array;
  readonly other: Float32Array;
  readonly positive: Float32Array;
  readonly negative: Float32Array;
  readonly out: Float32Array;
  /** [2 × d], added to. */
  readonly sums?: Float32Array;
}

/** ReLU gradient in place of ReLU's values; see assembly/rows.ts. */
export interface ReluGradientInput {
  readonly count: number;
  readonly dim: number;
  /** [n × stride], from `column`. */
  readonly values: Float32Array;
  readonly stride: number;
  readonly column: number;
  /** [n × d]. */
  readonly gradient: Float32Array;
  readonly scale: number;
}

/** One Adam step over `count` values; see assembly/adam.ts. */
export interface AdamInput {
  readonly gradient: Float32Array;
  readonly parameters: Float32Array;
  readonly firstMoments: Float32Array;
  readonly secondMoments: Float32Array;
  readonly clip: number;
  readonly decay: number;
  /** 1 − β1 and 1 − β2. */
  readonly blend1: number;
  readonly blend2: number;
  readonly epsilon: number;
  readonly rate: number;
  readonly rootScale: number;
}

export interface TrainingKernels {
  readonly simd: SimdLevel;
  weightedRows(input: WeightedRowsInput): void;
  attentionWeights(input: AttentionScalars): void;
  attentionGradient(input: AttentionGradientInput): void;
  pairScores(input: PairScoresInput): void;
  pairGradients(input: PairGradientsInput): void;
  reluGradient(input: ReluGradientInput): void;
  rowDots(input: RowDotsInput): void;
  rowNorms(count: number, dim: number, rows: Float32Array, out: Float32Array): void;
  adam(input: AdamInput): void;
}

/** Kernels over a shared memory, in which all views passed to them lie. */
export function loadTrainingKernels(memory: WebAssembly.Memory, level: SimdLevel = bestSimdLevel()): TrainingKernels {
  if (level === 'scalar') return { simd: 'scalar', ...scalar, pairScores, rowDots, rowNorms };
  const wasm = instantiate('training', level, memory);
  const at = (view: Float32Array | Int32Array, place = 0) => view.byteOffset + 4 * place;
  return {
    simd: level,
    weightedRows(i) {
      const rows = at(i.rows, i.column);
      const out = at(i.out, i.first * i.outStride + i.outColumn);
      const lists = [at(i.offsets, i.first), at(i.index), at(i.weights)] as const;
      wasm.weightedRows(i.count, i.dim, ...lists, rows, i.rowStride, i.bias ? at(i.bias) : 0, out, i.outStride);
    },
    attentionWeights(i) {
      const centre = at(i.centre, (i.first + i.centreShift) * i.scalarStride + i.head);
      const scalars = [centre, at(i.neighbour, i.head), i.scalarStride, i.attentionBias, i.alpha] as const;
      wasm.attentionWeights(i.count, at(i.offsets, i.first), at(i.index), ...scalars, at(i.weights));
    },
    attentionGradient(i) {
      const rows = at(i.rows, i.column);
      const gradient = at(i.gradient, i.first * i.rowStride + i.column);
      const centre = at(i.centre, (i.first + i.centreShift) * i.scalarStride + i.head);
      const scalars = [centre, at(i.neighbour, i.head), i.scalarStride, i.attentionBias, i.alpha] as const;
      const out = [at(i.slopes), at(i.centreSlopes, i.first * i.scalarStride + i.head)] as const;
      const lists = [at(i.offsets, i.first), at(i.index)] as const;
      const entries = [at(i.weights), at(i.kept)] as const;
      wasm.attentionGradient(i.count, i.dim, ...lists, rows, gradient, i.rowStride, ...entries, ...scalars, ...out);
    },
    pairScores(i) {
      const rows = [at(i.left), at(i.right), at(i.positive), at(i.negative)] as const;
      wasm.pairScores(i.edgeCount, i.dim, at(i.pairs), ...rows, i.bias, at(i.gaps));
    },
    pairGradients(i) {
      const lists = [at(i.offsets, i.first), at(i.index), at(i.deltas)] as const;
      const rows = [at(i.own, i.first * i.dim), at(i.other), at(i.positive), at(i.negative)] as const;
      wasm.pairGradients(i.count, i.dim, ...lists, ...rows, at(i.out, i.first * i.dim), i.sums ? at(i.sums) : 0);
    },
    reluGradient(i) {
      wasm.reluGradient(i.count, i.dim, at(i.values, i.column), i.stride, at(i.gradient), i.scale);
    },
    rowDots(i) {
      const out = at(i.out, i.outColumn);
      wasm.rowDots(i.count, i.dim, at(i.rows, i.column), i.stride, at(i.vector), out, i.outStride);
    },
    rowNorms(count, dim, rows, out) {
      wasm.rowNorms(count, dim, at(rows), at(out));
    },
    adam(i) {
      const vectors = [at(i.gradient), at(i.parameters), at(i.firstMoments), at(i.secondMoments)] as const;
      const constants = [i.clip, i.decay, i.blend1, i.blend2, i.epsilon, i.rate, i.rootScale] as const;
      wasm.adam(i.parameters.length, ...vectors, ...constants);
    },
  };
}
