/** The memory of a job of the `pairwise` head, apart from what computes on it: whoever lays it out need not load that. */
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import type { ReverseEdges } from '../../graph/reverse-edges.js';
import type { RowStore } from '../../memory/row-store.js';
import { SharedRows } from '../../memory/shared-rows.js';
import { structuralFeatureCount } from '../../model/pairwise.js';
import { checkLists, type NeighbourLists } from './neighbour-lists.js';
import { summaryWidth } from './score-features.js';
import { listSummaryWidth } from './structural-features.js';

/** The memory that threads share; for n nodes and E edges 40·n + 72·E bytes beside lists, edges and scores. */
export interface PairwiseJob {
  readonly lists: NeighbourLists;
  /** Keyed by the end of smaller input number. */
  readonly edges: CandidateEdges;
  readonly reverse: ReverseEdges;
  /** The least number of neighbours of each list that have an edge with its node. */
  readonly sampleHops: number;
  /** Written by `summariseLists` [n × 6] and `summariseScores` [n × 4]. */
  readonly listSummaries: Float32Array;
  readonly scoreSummaries: Float64Array;
  /** Structural features, written in round 0 and read in the others [E × 16]. */
  readonly structure: RowStore;
}

/** Throws BAD_SHAPE when lists, edges and k do not fit together, or memory is refused. */
export function allocatePairwiseJob(
  lists: NeighbourLists,
  edges: CandidateEdges,
  reverse: ReverseEdges,
  k: number,
  structure: RowStore = SharedRows.allocate(edges.targets.length, structuralFeatureCount),
): PairwiseJob {
  checkLists(lists, edges, k);
  const { nodeCount } = edges;
  return {
    lists,
    edges,
    reverse,
    sampleHops: 0,
    structure,
    listSummaries: new Float32Array(new SharedArrayBuffer(4 * nodeCount * listSummaryWidth)),
    scoreSummaries: new Float64Array(new SharedArrayBuffer(8 * nodeCount * summaryWidth)),
  };
}

/** The column of a round's scores. */
export function scoresOf(round: number, rounds: number): string {
  return round === rounds - 1 ? 'scores' : `scores${round}`;
}

/** Rows that are whitened at a time. */
export const whitenedAtOnce = 256;
