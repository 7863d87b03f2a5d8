/**
 * One labelling job as every thread sees it: plain data and shared memory, sent beside each task.
 *
 * Nodes are in *positions* 0..n-1, the locality order; `order[position]` is the node's number in the input.
 */
import type { SharedDisjointSetHandle } from '../cluster/shared-disjoint-set.js';
import { NaanError } from '../errors.js';
import type { CountersHandle } from '../execution/counters.js';
import type { ReverseEdges } from '../graph/reverse-edges.js';
import type { Lease } from '../io/lease.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { StorageHandle } from './storage.js';

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
  /** The edges by their other end, once counted, for heads that need them. */
  readonly reverse?: ReverseEdges;
  readonly components: SharedDisjointSetHandle;
  /** Edges of this score or more are united when they have their final score. */
  readonly uniteFrom: number;
  /** The arrays that the head keeps of nodes and, once they are counted, of edges. */
  readonly storage: StorageHandle;
  /** Nodes of a tile. */
  readonly batch: number;
  readonly counters: CountersHandle;
  /** Nodes finished by shard in the stage that runs, so that a task that is run again goes on where it stopped. */
  readonly finished: Int32Array;
  /** The files of rows and columns that survive a crash, and leave to write there. */
  readonly work?: WorkFiles | undefined;
  /** In a run that goes on from another: 1 for each node [n] and each edge [E] that the running stage computes; it leaves the others as they are. */
  readonly only?: Only;
  /** [1]: not zero asks every worker to stop. */
  readonly cancel: Int32Array;
}

/** What a stage computes, in shared memory. */
export interface Only {
  /** 1 for the nodes that it computes [n]. */
  readonly nodes: Uint8Array;
  /** 0 for the edges that it leaves out, 1 for those that it scores, 2 for those whose features it also has to compute first [E]. */
  readonly edges: Uint8Array;
}

export interface WorkFiles {
  readonly path: string;
  /** Absent where files are written once, so that nobody's writing can harm. */
  readonly lease?: Lease;
  /** Tasks leave segments, which other machines read too. */
  readonly segments?: boolean;
}

/** Stages that find the candidate edges, which are the same for every head. */
export const edgeStages = ['countEdges', 'listEdges', 'sortEdges', 'countReverse', 'listReverse'] as const;
export type EdgeStage = (typeof edgeStages)[number];

/** Owned nodes are [start, end), in positions. */
export interface Shard {
  readonly index: number;
  readonly start: number;
  readonly end: number;
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
