/** Scored edges at both of their ends, for what looks at all neighbours of a node. */
import type { CandidateEdges } from '../graph/candidate-edges.js';

/** Edges of node p are offsets[p] .. offsets[p + 1]. 8 bytes an end. */
export interface Links {
  /** [nodeCount + 1] */
  readonly offsets: Uint32Array;
  /** [2 × edges kept] */
  readonly neighbours: Int32Array;
  readonly scores: Float32Array;
}

/** Links of the edges of score ≥ threshold. */
export function linksOf({ nodeCount, offsets, targets }: CandidateEdges, scores: Float32Array, threshold: number): Links {
  const ends = new Uint32Array(nodeCount + 1);
  for (let node = 0; node < nodeCount; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      if (!(scores[e] >= threshold)) continue;
      ends[node]++;
      ends[targets[e]]++;
    }
  }
  // Filled from the back: ends[p] goes from the end of p's links to their start.
  for (let node = 1; node <= nodeCount; node++) ends[node] += ends[node - 1];
  const neighbours = new Int32Array(ends[nodeCount]);
  const linkScores = new Float32Array(neighbours.length);
  for (let node = nodeCount - 1; node >= 0; node--) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      const score = scores[e];
      if (!(score >= threshold)) continue;
      const target = targets[e];
      const here = --ends[node];
      const there = --ends[target];
      neighbours[here] = target;
      neighbours[there] = node;
      linkScores[here] = score;
      linkScores[there] = score;
    }
  }
  return { offsets: ends, neighbours, scores: linkScores };
}
