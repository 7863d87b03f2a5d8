/** Scored edges at both of their ends, for what looks at all neighbours of a node. */

import { type Plan, together } from '../execution/plan.js';
import { startOffsets } from '../graph/candidate-edges.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { type NodeRange, rangesOfEdges, type ScoredEdges } from './scored-edges.js';

/** Edges of node p are offsets[p] .. offsets[p + 1]. 8 bytes an end. */
export interface Links {
  /** [nodeCount + 1] */
  readonly offsets: Uint32Array;
  /** [2 × edges kept] */
  readonly neighbours: Int32Array;
  readonly scores: Float32Array;
}

/** Edges of score ≥ threshold; with `components` [nodeCount], of those only the ones inside a component. */
export interface Kept {
  readonly threshold: number;
  readonly components?: Int32Array | undefined;
}

interface CountLinksInput extends NodeRange {
  readonly edges: ScoredEdges;
  readonly kept: Kept;
  /** [nodeCount + 1] */
  readonly offsets: Uint32Array;
}

interface FillLinksInput extends NodeRange {
  readonly edges: ScoredEdges;
  readonly kept: Kept;
  readonly links: Links;
}

/**
 * Links of the edges kept. Each thread makes those of its own range of nodes and reads all edges for it, which takes far less
 * time than the rest as long as most edges lead to nodes near by.
 */
export function* linksOf(edges: ScoredEdges, kept: Kept, threads: number): Plan<Links> {
  const offsets = new Uint32Array(new SharedArrayBuffer(4 * (edges.nodeCount + 1)));
  const ranges = rangesOfEdges(edges, threads);
  yield* together(
    countLinks,
    ranges.map((range) => ({ edges, kept, offsets, ...range })),
  );
  const ends = startOffsets(offsets);
  const scores = new Float32Array(new SharedArrayBuffer(4 * ends));
  const links: Links = { offsets, neighbours: sharedInts(ends), scores };
  yield* together(
    fillLinks,
    ranges.map((range) => ({ edges, kept, links, ...range })),
  );
  return links;
}

/** offsets[p + 1] += links of p, for p of the range. */
export function countLinks({ edges, kept, offsets: counts, from, to }: CountLinksInput): void {
  const { nodeCount, offsets, targets, scores } = edges;
  const { threshold, components } = kept;
  for (let node = 0; node < nodeCount; node++) {
    const own = node >= from && node < to;
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      const target = targets[e];
      const ownTarget = target >= from && target < to;
      if (!(own || ownTarget) || !(scores[e] >= threshold)) continue;
      if (components !== undefined && components[node] !== components[target]) continue;
      if (own) counts[node + 1]++;
      if (ownTarget) counts[target + 1]++;
    }
  }
}

/** links.offsets[p + 1] is the next free place of p, and ends as the end of p's links. */
export function fillLinks({ edges, kept, links, from, to }: FillLinksInput): void {
  const { nodeCount, offsets, targets, scores } = edges;
  const { threshold, components } = kept;
  const { offsets: free, neighbours, scores: linkScores } = links;
  for (let node = 0; node < nodeCount; node++) {
    const own = node >= from && node < to;
    for (let e = offsets[node]; e < offsets[node + 1]; e++) {
      const target = targets[e];
      const ownTarget = target >= from && target < to;
      const score = scores[e];
      if (!(own || ownTarget) || !(score >= threshold)) continue;
      if (components !== undefined && components[node] !== components[target]) continue;
      if (own) {
        const at = free[node + 1]++;
        neighbours[at] = target;
        linkScores[at] = score;
      }
      if (ownTarget) {
        const at = free[target + 1]++;
        neighbours[at] = node;
        linkScores[at] = score;
      }
    }
  }
}
