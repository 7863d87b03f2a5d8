/** Scored edges as a user reads them: pairs of input numbers, sorted, and their scores; by all threads. */
import { alone, type Plan, together } from '../execution/plan.js';
import { sharedInts } from '../memory/shared-arrays.js';
import { type NodeRange, rangesOfEdges, type ScoredEdges } from './scored-edges.js';

/** Pairs a < b of input numbers, sorted by a, then b [E × 2], and their scores [E]. */
export interface SortedPairs {
  readonly pairs: Int32Array;
  readonly scores: Float32Array;
}

interface PairsInput {
  /** Keyed by the end of smaller input number. */
  readonly edges: ScoredEdges;
  /** Input number of each node, and the inverse [n]; absent when they are the same. */
  readonly order?: Int32Array | undefined;
  readonly positions?: Int32Array | undefined;
}

interface RangeInput extends PairsInput, NodeRange {
  /** The first pair of each input number [n + 1]. */
  readonly places: Uint32Array;
  readonly out: SortedPairs;
}

/** The work is cut into `ranges` parts that may run at once. */
export function* sortedPairsPlan(input: PairsInput, ranges: number): Plan<SortedPairs> {
  const { edges } = input;
  const edgeCount = edges.targets.length;
  const places = yield* alone(placesOfPairs, input);
  const scores = new Float32Array(new SharedArrayBuffer(4 * edgeCount));
  const out = { pairs: sharedInts(2 * edgeCount), scores };
  yield* together(
    writePairs,
    rangesOfEdges({ ...edges, offsets: places }, ranges).map((range) => ({ ...input, ...range, places, out })),
  );
  return out;
}

export function placesOfPairs({ edges: { nodeCount, offsets }, positions }: PairsInput): Uint32Array {
  const places = new Uint32Array(new SharedArrayBuffer(4 * (nodeCount + 1)));
  for (let a = 0; a < nodeCount; a++) {
    const p = positions ? positions[a] : a;
    places[a + 1] = places[a] + offsets[p + 1] - offsets[p];
  }
  return places;
}

/** Pairs whose first number is in [from, to). */
export function writePairs({ edges, order, positions, places, out, from, to }: RangeInput): void {
  const { offsets, targets, scores } = edges;
  const { pairs } = out;
  for (let a = from; a < to; a++) {
    const p = positions ? positions[a] : a;
    const first = places[a];
    for (let e = offsets[p]; e < offsets[p + 1]; e++) {
      const place = first + e - offsets[p];
      pairs[2 * place] = a;
      pairs[2 * place + 1] = order ? order[targets[e]] : targets[e];
      out.scores[place] = scores[e];
    }
    sortByEnd(out, first, places[a + 1]);
  }
}

/** Puts pairs from .. to − 1, which begin with the same number, in the order of the other. */
function sortByEnd({ pairs, scores }: SortedPairs, from: number, to: number): void {
  if (to - from > 64) {
    const ends = Array.from({ length: to - from }, (_, i) => [pairs[2 * (from + i) + 1], scores[from + i]]);
    ends.sort(([a], [b]) => a - b);
    for (let i = 0; i < ends.length; i++) [pairs[2 * (from + i) + 1], scores[from + i]] = ends[i];
    return;
  }
  for (let i = from + 1; i < to; i++) {
    const end = pairs[2 * i + 1];
    const score = scores[i];
    let at = i;
    for (; at > from && pairs[2 * at - 1] > end; at--) {
      pairs[2 * at + 1] = pairs[2 * at - 1];
      scores[at] = scores[at - 1];
    }
    pairs[2 * at + 1] = end;
    scores[at] = score;
  }
}
