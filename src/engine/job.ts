/**
 * One labelling job as every thread sees it: plain data and shared memory, sent with each task.
 *
 * Nodes stand in *positions* 0..n-1, the locality order; `order[position]` is the node's number in the input. What a head
 * keeps for each node is its own; see `ConcatMemory` and `PairwiseMemory`.
 */
import type { SharedDisjointSetHandle } from '../cluster/shared-disjoint-set.js';
import { NaanError } from '../errors.js';
import type { CountersHandle } from '../execution/counters.js';
import type { PairwiseJob } from '../heads/pairwise/job.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { RangeCheck } from '../memory/file-writes.js';
import type { RowStoreHandle } from '../memory/row-store.js';
import type { RowSums } from './kept-shards.js';
import type { Lease } from './lease.js';

export interface LabelJob {
  /** Raised when the main thread adds to the job: copies of one version are the same. */
  readonly version: number;
  readonly features: MatrixLocation;
  readonly nodeCount: number;
  readonly sampleHops: number;
  /** kNN lists in positions [n × width]. */
  readonly neighbours: Int32Array;
  readonly width: number;
  /** Input number of each position, and the inverse; absent when they are the same. */
  readonly order?: Int32Array;
  readonly positions?: Int32Array;
  /** Candidate edges, keyed by the end of smaller input number: counts, then offsets [n + 1]. */
  readonly offsets: Uint32Array;
  /** [E], once counted. */
  readonly targets?: Int32Array;
  readonly scores?: Float32Array;
  readonly components: SharedDisjointSetHandle;
  /** Edges of this score or more are united when they have their final score. */
  readonly uniteFrom: number;
  /** Times that edges are scored, one after the other; the last is final. */
  readonly rounds: number;
  readonly head: ConcatMemory | PairwiseMemory;
  /** Nodes of a tile. */
  readonly batch: number;
  readonly counters: CountersHandle;
  /** Nodes finished by shard in the stage that runs, so that a task that is run again goes on where it stopped. */
  readonly finished: Int32Array;
  /** Where rows and columns are kept in files, so that they survive a crash, and leave to write there. */
  readonly work?: { readonly path: string; readonly lease: Lease } | undefined;
  /** [1]: not zero asks every worker to stop. */
  readonly cancel: Int32Array;
}

/**
 * Rows live in stores of n × M·p that the stages reuse:
 *
 *   stage      reads                            writes
 *   project    x (file)                         A = h, s, t
 *   aggregate  A, t of N(i)[0..k2]              B = h of z, tz
 *   embed      A, s, t of i; B, tz of N(i)      C = c
 *   split      C                                A = left, B = right
 *   score      A of a, B of b of each edge      scores
 *
 * In memory C is A: only the owner reads h_i when it is replaced by c_i, so the job holds two n × d matrices and no third.
 * In files C is a third, so that a stage never overwrites what it reads and can be run again after a crash.
 */
export interface ConcatMemory {
  readonly kind: 'concat';
  readonly k1: number;
  readonly k2: number;
  readonly a: RowStoreHandle;
  readonly b: RowStoreHandle;
  readonly c: RowStoreHandle;
  /** [n × M]. */
  readonly s: Float32Array;
  readonly t: Float32Array;
  readonly tz: Float32Array;
}

/**
 *   stage         reads                                     writes
 *   load          x (file)                                  rows = x, padded to a multiple of 4
 *   similarities  rows of i and N(i)                        cosines of the lists, their summaries
 *   score         lists, scores of the round before         scores; rounds write `scores` and `earlier` in turn
 *   summarise     scores of the round before                their summaries, for the next round
 */
export interface PairwiseMemory {
  readonly kind: 'pairwise';
  readonly rows: RowStoreHandle;
  /** Allocated once edges are counted. */
  readonly scoring?: Omit<PairwiseJob, 'structure'> & { readonly structure: RowStoreHandle };
  readonly earlier?: Float32Array;
}

type EdgeStage = 'countEdges' | 'listEdges' | 'sortEdges' | 'countReverse' | 'listReverse';
export type HeadStage = 'project' | 'aggregate' | 'embed' | 'split' | 'load' | 'similarities' | 'summarise' | 'score';
export type ShardStage = EdgeStage | HeadStage;

/** Owned nodes are [start, end), in positions. */
export interface Shard {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

export interface ShardTask {
  readonly stage: ShardStage;
  /** Of `score`, and of `summarise` before it: 0 .. rounds − 1. */
  readonly round: number;
  readonly shard: Shard;
  readonly job: LabelJob;
  /** Brings back to memory what an earlier process left in files, instead of computing it. */
  readonly restore?: boolean;
  /** Reads what an earlier process left in files, instead of computing it, and says whether it is as it was left. */
  readonly verify?: Verification;
}

interface Verification {
  /** What the shard left in files. */
  readonly ranges: readonly RangeCheck[];
  /** Sums for which the rows at the shard's positions are read: each counts for the shard that wrote it. */
  readonly rows: readonly RowSums[];
  /** The features that the shard read, by their checksum. */
  readonly features?: RangeCheck | undefined;
}

/** Stages whose shards are rows of the feature file: what they write stands at the rows' positions. */
export function readsFeatures(stage: ShardStage): boolean {
  return stage === 'project' || stage === 'load';
}

/** Throws CANCELLED when the run is to stop. */
export function checkCancelled({ cancel }: LabelJob): void {
  if (Atomics.load(cancel, 0) !== 0) throw new NaanError('CANCELLED', 'cancelled');
}

/** The shard of `cutShards` that a node is in. */
export function shardOf(node: number, nodeCount: number, count: number): number {
  return Math.ceil(((node + 1) * count) / nodeCount) - 1;
}

/** n nodes in `count` contiguous shards whose sizes differ by at most one. */
export function cutShards(nodeCount: number, count: number): Shard[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    start: Math.floor((nodeCount * index) / count),
    end: Math.floor((nodeCount * (index + 1)) / count),
  }));
}
