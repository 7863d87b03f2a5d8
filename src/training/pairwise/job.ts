/**
 * The memory that the threads of a training of head `pairwise` share, laid out once, and the tasks that they are sent. Tasks are plain
 * data: the state of a network goes with them and comes back, so whoever sends it always has the last whole one.
 */
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import type { ReverseEdges } from '../../graph/reverse-edges.js';
import type { PairwiseJob } from '../../heads/pairwise/job.js';
import type { NeighbourLists } from '../../heads/pairwise/neighbour-lists.js';
import type { SimilaritiesJob } from '../../heads/pairwise/similarities.js';
import { SharedRows, type SharedRowsHandle } from '../../memory/shared-rows.js';
import type { CosineGuard } from '../../model/pairwise.js';
import type { CutsJob, CutsTask } from '../calibration.js';
import type { WhitenJob } from './whitening.js';

export interface PairwiseSettings {
  /** Neighbours of a list that features look at. */
  readonly k: number;
  readonly sampleHops: number;
  readonly rounds: number;
  readonly hidden: readonly number[];
  readonly folds: number;
  readonly epochs: number;
  /** Pairs of a step. */
  readonly batch: number;
  /** Learning rate of the first step, falling to 0 over all steps of a network along half a cosine. */
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
  /** Edges whose features are in memory: of more, a random part is trained on. */
  readonly maxEdges: number;
}

/** A round, for n nodes, E edges, S of them sampled to train on, F features of an edge; all arrays in shared memory. */
export interface PairwiseTrainingJob {
  /** Raised when a member changes. */
  readonly version: number;
  readonly round: number;
  readonly settings: PairwiseSettings;
  /** Units of each layer, beginning with the features. */
  readonly units: readonly number[];
  readonly lists: NeighbourLists;
  readonly edges: CandidateEdges;
  readonly reverse: ReverseEdges;
  readonly listSummaries: Float32Array;
  readonly scoreSummaries: Float64Array;
  /** Structural features [E × 16]. */
  readonly structure: SharedRowsHandle;
  /** Fold of the key of each edge: that of the network that scores it [E]. */
  readonly foldOfKey: Uint8Array;
  readonly sample: EdgeSample;
  /** Features of the sample [S × F]. */
  readonly table: Float32Array;
  /** Scores of the round before, and of this one [E]. */
  readonly previous: Float32Array;
  readonly scores: Float32Array;
  /** [1]: not 0 when everything is to end. */
  readonly cancel: Int32Array;
}

/** The edges that are trained on, of known identities. */
export interface EdgeSample {
  /** Their numbers, rising [S]. */
  readonly edges: Uint32Array;
  /** 1 when both ends are of one identity, else 0 [S]. */
  readonly same: Uint8Array;
  /** Fold of each end [S]. */
  readonly foldOfKey: Uint8Array;
  readonly foldOfTarget: Uint8Array;
}

/** A network between two epochs: what standardises the features, parameters W₀, b₀, W₁ … end to end, Adam's moments. */
export interface NetworkState {
  readonly mean: Float32Array;
  readonly scale: Float32Array;
  readonly parameters: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/** The result of one pass over the pairs of one network. */
export interface PairwiseEpoch {
  /** The round, from 0; the network whose number is that of folds is the model's. */
  readonly round: number;
  readonly network: number;
  readonly epoch: number;
  readonly steps: number;
  readonly pairs: number;
  readonly positives: number;
  readonly learningRate: number;
  /** Means over the epoch: cross-entropy in nats, share right at 0.5, norm of the gradient. */
  readonly loss: number;
  readonly accuracy: number;
  readonly gradientNorm: number;
}

/** Work on a range of nodes or edges, one after the other where there is a barrier between them. */
export interface RangeTask {
  readonly kind: 'summariseLists' | 'structure' | 'summariseScores' | 'tabulate';
  readonly start: number;
  readonly end: number;
}

export interface ScoreTask {
  readonly kind: 'score';
  readonly start: number;
  readonly end: number;
  /** The network of each fold. */
  readonly networks: readonly NetworkState[];
  readonly guard: CosineGuard | undefined;
}

/** The next pass of a network. */
export interface EpochTask {
  readonly kind: 'epoch';
  readonly network: number;
  readonly epoch: number;
  /** Undefined before the first. */
  readonly state: NetworkState | undefined;
}

export interface EpochResult {
  readonly epoch: PairwiseEpoch;
  readonly state: NetworkState;
}

/** Cosines of the lists of a range of nodes, before there is a job. */
export interface SimilaritiesTask {
  readonly kind: 'similarities';
  readonly start: number;
  readonly end: number;
}

/** Rows of a range, whitened, before there is a job. */
export interface WhitenTask {
  readonly kind: 'whiten';
  readonly start: number;
  readonly end: number;
}

export type TrainingTask = RangeTask | ScoreTask | EpochTask | SimilaritiesTask | WhitenTask | CutsTask;

/** The memory that goes with a task. */
export type TrainingContext = PairwiseTrainingJob | SimilaritiesJob | WhitenJob | CutsJob;

/** The memory of a job as the features of edges know it. */
export function featuresJob(job: PairwiseTrainingJob): PairwiseJob {
  const { lists, edges, reverse, settings, listSummaries, scoreSummaries, structure } = job;
  const { sampleHops } = settings;
  return { lists, edges, reverse, sampleHops, listSummaries, scoreSummaries, structure: SharedRows.from(structure) };
}
