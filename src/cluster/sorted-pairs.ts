/** Scored edges as a user reads them: pairs of input numbers, sorted, and their scores; by all threads. */
import { alone, type Plan, together } from './plan.js';
import { type NodeRange, rangesOfEdges, type ScoredEdges, sharedInts } from './scored-edges.js';

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
  /** Where the pairs of each input number begin [n + 1]. */
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
  const { offsets, targets } = edges;
  for (let a = from; a < to; a++) {
    const p = positions ? positions[a] : a;
    const row = targets.slice(offsets[p], offsets[p + 1]);
    if (order) for (let i = 0; i < row.length; i++) row[i] = order[row[i]];
    const scores = edges.scores.subarray(offsets[p], offsets[p + 1]);
    writeRow(a, row, scores, places[a], out);
  }
}

/** Other ends and scores of a node's edges, in any order, to places first .. of `out` in the order of the ends. */
function writeRow(a: number, ends: Int32Array, scores: Float32Array, first: number, out: SortedPairs): void {
  const { pairs } = out;
  if (ends.length > 64) {
    const sorted = Array.from(ends, (_, i) => i).sort((i, j) => ends[i] - ends[j]);
    sorted.forEach((i, k) => {
      pairs[2 * (first + k)] = a;
      pairs[2 * (first + k) + 1] = ends[i];
      out.scores[first + k] = scores[i];
    });
    return;
  }
  for (let i = 0; i < ends.length; i++) {
    let at = first + i;
    pairs[2 * at] = a;
    for (; at > first && pairs[2 * at - 1] > ends[i]; at--) {
      pairs[2 * at + 1] = pairs[2 * at - 1];
      out.scores[at] = out.scores[at - 1];
    }
    pairs[2 * at + 1] = ends[i];
    out.scores[at] = scores[i];
  }
}
