/** Scores of an earlier run over nearly the same graph, so that not all need to be computed again. */
import type { KnnGraph } from '../graph/knn-graph.js';
import type { Stage } from './head.js';
import type { LabelJob, Only } from './job.js';
import type { Column } from './storage.js';

/** Nodes are given by their input numbers of now [n]; nodes that have left are −1. */
export interface KnownScores {
  /** The lists then, at least as long as those that the run looks at; a node that was not there has −1 for itself. */
  readonly lists: KnnGraph;
  /** Pairs that had scores [E₀ × 2], a < b, sorted by a, then b; −1 −1 for one of which an end has left. */
  readonly pairs: Int32Array;
  /** Their scores in each round, of the last one the result [E₀]. */
  readonly rounds: readonly Float32Array[];
}

/** A run whose edges are found, and of which stages may be run in part. */
export interface OpenRun {
  readonly job: LabelJob;
  /** Marks of the nodes and edges that the next stage computes; in shared memory. */
  readonly only: Only;
  readonly columns: Readonly<Record<string, Column>>;
  readonly stages: readonly Stage[];
  run(stage: Stage): Promise<void>;
}

/** Leaves the column `scores` complete. Returns how often an edge was scored, and the scores of each round, in positions [E]. */
export type Rescore = (run: OpenRun, known: KnownScores) => Promise<{ scored: number; rounds: Float32Array[] }>;
