/**
 * A set in a few numbers, kept with the model that was trained on it, so that a set to be labelled can be laid beside it: a
 * threshold that was calibrated on one set says little of another whose cosines or scores lie elsewhere.
 *
 *   cosines   of each node and its nearest neighbour
 *   degrees   candidate edges of each node
 *   scores    of the candidate edges; in training those of networks that saw neither end's identity
 *
 * Each is kept as its nine deciles. Two sets are apart by the Kolmogorov–Smirnov distance as far as deciles tell it: the greatest
 * difference between the shares of the two sets that lie below one of them. It looks at some rows and edges, evenly spaced.
 */
import type { ScoredEdges } from '../cluster/scored-edges.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { type MatrixLocation, openRows } from '../io/matrix.js';
import { dot } from '../kernels/scalar.js';
import { type SetProfile, setMeasures } from '../model/set-profile.js';

/** Nodes by their numbers in `graph` and `edges`; `order`: the row of the features of each, by default the same. */
interface ScoredSet {
  readonly features: MatrixLocation;
  readonly graph: KnnGraph;
  readonly edges: ScoredEdges;
  readonly order?: Int32Array | undefined;
}

type Samples = Readonly<Record<keyof SetProfile, Float32Array>>;

const maxRows = 2048;
const maxValues = 2 ** 16;
/** A set of fewer nodes is not judged. */
const fewestNodes = 50;
/** A set that is further from training's than this lies outside of it: half of its values lie where a tenth or none of training's do. */
const farthest = 0.5;

/** The profile of a set that has at least one candidate edge. */
export function profileOf(set: ScoredSet): SetProfile {
  const samples = samplesOf(set);
  const deciles = (sorted: Float32Array) =>
    Array.from({ length: 9 }, (_, i) => Number(sorted[Math.floor(((i + 1) * sorted.length) / 10)].toFixed(6)));
  return { cosines: deciles(samples.cosines), degrees: deciles(samples.degrees), scores: deciles(samples.scores) };
}

/** In a line, how a set lies outside the profile of training; undefined when it does not. `sameHops`: degrees can be compared. */
export function outsideOf(profile: SetProfile, set: ScoredSet, sameHops: boolean): string | undefined {
  if (set.edges.nodeCount < fewestNodes || set.edges.targets.length === 0) return undefined;
  const samples = samplesOf(set);
  const told: string[] = [];
  for (const name of setMeasures) {
    if (name === 'degrees' && !sameHops) continue;
    const [sorted, deciles] = [samples[name], profile[name]];
    if (distance(sorted, deciles) <= farthest) continue;
    const [here, there] = [sorted[sorted.length >> 1], deciles[4]].map((value) => Number(value.toFixed(3)));
    told.push(`${titles[name]} of ${here} at the median, in training ${there}`);
  }
  if (told.length === 0) return undefined;
  return `the set lies outside what the model was trained on, look at some clusters before you rely on its threshold: ${told.join('; ')}`;
}

const titles: Readonly<Record<keyof SetProfile, string>> = {
  cosines: 'cosines to the nearest neighbour',
  degrees: 'candidate edges a node',
  scores: 'scores of edges',
};

/** The distance of rising values from a set of these deciles; equal values are given the side that makes it least. */
function distance(sorted: Float32Array, deciles: readonly number[]): number {
  let most = 0;
  deciles.forEach((decile, i) => {
    const share = (i + 1) / 10;
    const below = sorted.findIndex((value) => value >= decile);
    const upTo = sorted.findIndex((value) => value > decile);
    const shareOf = (count: number) => (count < 0 ? 1 : count / sorted.length);
    most = Math.max(most, shareOf(below) - share, share - shareOf(upTo));
  });
  return most;
}

/** Values of the set, rising. */
function samplesOf({ features, graph, edges, order }: ScoredSet): Samples {
  const { nodeCount, offsets, targets, scores } = edges;
  const degrees = new Int32Array(nodeCount);
  for (let a = 0; a < nodeCount; a++) degrees[a] += offsets[a + 1] - offsets[a];
  for (let e = 0; e < targets.length; e++) degrees[targets[e]]++;
  return {
    cosines: nearestCosines(features, graph, order),
    degrees: spaced(degrees, maxValues).sort(),
    scores: spaced(scores, maxValues).sort(),
  };
}

function nearestCosines(features: MatrixLocation, { nodeCount, width, ids }: KnnGraph, order: Int32Array | undefined) {
  const reader = openRows(features);
  try {
    const [a, b] = [new Float32Array(reader.dim), new Float32Array(reader.dim)];
    const rowOf = (node: number) => (order ? order[node] : node);
    const cosines: number[] = [];
    const count = Math.min(maxRows, nodeCount);
    for (let i = 0; i < count; i++) {
      const node = Math.floor((i * nodeCount) / count);
      const nearest = ids[node * width + 1];
      if (nearest < 0) continue;
      reader.read(rowOf(node), 1, a);
      reader.read(rowOf(nearest), 1, b);
      const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      if (Number.isFinite(cosine)) cosines.push(cosine);
    }
    return Float32Array.from(cosines).sort();
  } finally {
    reader.close();
  }
}

function spaced(values: Float32Array | Int32Array, most: number): Float32Array {
  const count = Math.min(most, values.length);
  return Float32Array.from({ length: count }, (_, i) => values[Math.floor((i * values.length) / count)]);
}
