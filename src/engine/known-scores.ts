/** Scores of an earlier run over nearly the same graph, so that not all need to be computed again. */
import type { EdgesAfter } from '../graph/edges-after.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { Stage } from './head.js';
import type { LabelJob, Only } from './job.js';
import type { Column } from './storage.js';

/** Nodes are given by their input numbers of now [n]; nodes that have left are −1. */
export interface KnownScores extends EdgesAfter {
  /** The lists of now and then, at least as long as those that the run looks at; a node that was not there had −1 for itself. */
  readonly graph: KnnGraph;
  readonly lists: KnnGraph;
}

/** A run whose edges are there, in the order of the known ones at each node, and of which stages may be run in part. */
export interface OpenRun {
  readonly job: LabelJob;
  /** Marks of the nodes and edges that the next stage computes; in shared memory. */
  readonly only: Only;
  readonly columns: Readonly<Record<string, Column>>;
  readonly stages: readonly Stage[];
  run(stage: Stage): Promise<void>;
  /** Finds the edges of marked nodes [n], or of all, at their other end, for the stages that follow. */
  findReverse(marked?: Uint8Array): Promise<void>;
}

/** Leaves the column `scores` complete. Returns how often an edge was scored, and the scores of each round, in the order of the known edges [E]. */
export type Rescore = (run: OpenRun, known: KnownScores) => Promise<{ scored: number; rounds: Float32Array[] }>;
