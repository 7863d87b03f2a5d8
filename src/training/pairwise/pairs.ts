/** The candidate edges as training sees them: which are of one identity, and which fold each end is in. */
import { relabel } from '../../cluster/relabel.js';
import type { Differences } from '../../cluster/truth.js';
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import { RandomStream } from '../../graph/random.js';
import { sharedCounts } from '../../memory/shared-arrays.js';
import type { EdgeSample } from './job.js';

export interface TrainingPairs {
  /** 1 when both ends are of one identity, 0 when they are not, −1 when that is not known [E]. */
  readonly same: Int8Array;
  /** Fold of the identity of each end, of those of unknown identity any [E]. */
  readonly foldOfKey: Uint8Array;
  readonly foldOfTarget: Uint8Array;
}

/** Purposes of random streams. */
const foldPurpose = 80;
const samplePurpose = 81;

/**
 * Deals identities to folds of nearly equal number. labels [n]: identities, −1 where not known. `together` [n]: a number
 * that identities of one fold share, −1 with the label; by default the identity. With `differences`, by these numbers in the order of
 * their first appearance, other identities are known to be different only where they say so.
 */
export function trainingPairs(
  { nodeCount, offsets, targets }: CandidateEdges,
  labels: Int32Array,
  folds: number,
  seed: number,
  together: Int32Array = labels,
  differences?: Differences,
): TrainingPairs {
  const identities = labels.slice();
  relabel(identities);
  const groups = together.slice();
  const dealt = shuffled(relabel(groups), new RandomStream(seed, foldPurpose, 0));
  const foldOf = (node: number) => (groups[node] < 0 ? node : dealt[groups[node]]) % folds;
  const same = new Int8Array(targets.length);
  const foldOfKey = new Uint8Array(new SharedArrayBuffer(targets.length));
  const foldOfTarget = new Uint8Array(targets.length);
  for (let a = 0; a < nodeCount; a++) {
    for (let e = offsets[a]; e < offsets[a + 1]; e++) {
      const b = targets[e];
      const isKnown = identities[a] >= 0 && identities[b] >= 0;
      if (isKnown && identities[a] === identities[b]) same[e] = 1;
      else same[e] = isKnown && (!differences || differences.between(groups[a], groups[b])) ? 0 : -1;
      foldOfTarget[e] = foldOf(b);
      // The fold network that scores an edge is that of its key, which must not be chance when the other end is known.
      foldOfKey[e] = identities[a] < 0 && identities[b] >= 0 ? foldOfTarget[e] : foldOf(a);
    }
  }
  return { same, foldOfKey, foldOfTarget };
}

/** Edges of known identities, rising: all, or a random part of about `most` of them; in shared memory. */
export function sampleEdges(pairs: TrainingPairs, most: number, seed: number): EdgeSample {
  const { same } = pairs;
  let known = 0;
  for (let e = 0; e < same.length; e++) if (same[e] >= 0) known++;
  const share = most / known;
  const random = new RandomStream(seed, samplePurpose, 0);
  const chosen = new Uint32Array(known);
  let count = 0;
  for (let e = 0; e < same.length; e++) {
    if (same[e] >= 0 && (share >= 1 || random.uniform() < share)) chosen[count++] = e;
  }
  const edges = sharedCounts(count);
  edges.set(chosen.subarray(0, count));
  const of = (values: ArrayLike<number>) => {
    const sampled = new Uint8Array(new SharedArrayBuffer(count));
    for (let row = 0; row < count; row++) sampled[row] = values[edges[row]];
    return sampled;
  };
  return { edges, same: of(same), foldOfKey: of(pairs.foldOfKey), foldOfTarget: of(pairs.foldOfTarget) };
}

/** 0 .. count−1 in random order (Fisher and Yates). */
export function shuffled(count: number, random: RandomStream): Uint32Array {
  const items = new Uint32Array(count);
  for (let i = 0; i < count; i++) items[i] = i;
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const swap = items[i];
    items[i] = items[j];
    items[j] = swap;
  }
  return items;
}
