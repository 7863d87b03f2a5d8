/** Scored edges as a user reads them: pairs of input numbers, sorted, and their scores; by all threads. */
import { alone, type Plan, together } from '../execution/plan.js';
import { sharedFloats, sharedInts } from '../memory/shared-arrays.js';
import { type NodeRange, rangesOfEdges, type ScoredEdges } from './scored-edges.js';

/** Pairs a < b of input numbers, sorted by a, then b [E × 2], their scores [E], and those of other rounds [E] each. */
export interface SortedPairs {
  readonly pairs: Int32Array;
  readonly scores: Float32Array;
  readonly rounds: readonly Float32Array[];
}

interface PairsInput {
  /** Keyed by the end of smaller input number. */
  readonly edges: ScoredEdges;
  /** Scores of other rounds [E] each. */
  readonly rounds: readonly Float32Array[];
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
  const out = {
    pairs: sharedInts(2 * edgeCount),
    scores: sharedFloats(edgeCount),
    rounds: input.rounds.map(() => sharedFloats(edgeCount)),
  };
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
export function writePairs({ edges, rounds, order, positions, places, out, from, to }: RangeInput): void {
  const { offsets, targets } = edges;
  const { pairs } = out;
  const columns = [edges.scores, ...rounds].map((given, i) => ({ given, sorted: [out.scores, ...out.rounds][i] }));
  let widest = 0;
  for (let a = from; a < to; a++) widest = Math.max(widest, places[a + 1] - places[a]);
  /** The edges of a node and the numbers of their other ends, rising. */
  const numbers = new Int32Array(widest);
  const sorted = new Uint32Array(widest);
  for (let a = from; a < to; a++) {
    const p = positions ? positions[a] : a;
    const start = offsets[p];
    const count = offsets[p + 1] - start;
    for (let i = 0; i < count; i++) numbers[i] = order ? order[targets[start + i]] : targets[start + i];
    sortByNumber(numbers, sorted, count);
    const first = places[a];
    for (let i = 0; i < count; i++) {
      pairs[2 * (first + i)] = a;
      pairs[2 * (first + i) + 1] = numbers[i];
    }
    for (const column of columns) {
      for (let i = 0; i < count; i++) column.sorted[first + i] = column.given[start + sorted[i]];
    }
  }
}

/** Sorts the first `count` numbers, and leaves where each came from. */
function sortByNumber(numbers: Int32Array, sorted: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) sorted[i] = i;
  if (count > 64) {
    const given = numbers.slice(0, count);
    sorted.subarray(0, count).sort((x, y) => given[x] - given[y]);
    for (let i = 0; i < count; i++) numbers[i] = given[sorted[i]];
    return;
  }
  for (let i = 1; i < count; i++) {
    const number = numbers[i];
    let at = i;
    for (; at > 0 && numbers[at - 1] > number; at--) {
      numbers[at] = numbers[at - 1];
      sorted[at] = sorted[at - 1];
    }
    numbers[at] = number;
    sorted[at] = i;
  }
}
