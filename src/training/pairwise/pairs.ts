/** The candidate edges as training sees them: which are of one identity, and which fold each end is in. */
import { relabel } from '../../cluster/relabel.js';
import type { CandidateEdges } from '../../graph/candidate-edges.js';
import { RandomStream } from '../../graph/random.js';

export interface TrainingPairs {
  /** 1 when both ends are of one identity, 0 when they are not, −1 when an end's is not known [E]. */
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
 * that identities of one fold share, −1 with the label; by default the identity.
 */
export function trainingPairs(
  { nodeCount, offsets, targets }: CandidateEdges,
  labels: Int32Array,
  folds: number,
  seed: number,
  together: Int32Array = labels,
): TrainingPairs {
  const identities = labels.slice();
  relabel(identities);
  const groups = together.slice();
  const dealt = shuffled(relabel(groups), new RandomStream(seed, foldPurpose, 0));
  const foldOf = (node: number) => (groups[node] < 0 ? node : dealt[groups[node]]) % folds;
  const same = new Int8Array(targets.length);
  const foldOfKey = new Uint8Array(targets.length);
  const foldOfTarget = new Uint8Array(targets.length);
  for (let a = 0; a < nodeCount; a++) {
    for (let e = offsets[a]; e < offsets[a + 1]; e++) {
      const b = targets[e];
      same[e] = identities[a] < 0 || identities[b] < 0 ? -1 : Number(identities[a] === identities[b]);
      foldOfTarget[e] = foldOf(b);
      // The fold network that scores an edge is that of its key, which must not be chance when the other end is known.
      foldOfKey[e] = identities[a] < 0 && identities[b] >= 0 ? foldOfTarget[e] : foldOf(a);
    }
  }
  return { same, foldOfKey, foldOfTarget };
}

/** Edges of known identities, rising: all, or a random part of about `most` of them. */
export function sampleEdges({ same }: TrainingPairs, most: number, seed: number): Uint32Array {
  const known = same.reduce((count, value) => count + (value >= 0 ? 1 : 0), 0);
  const share = most / known;
  const random = new RandomStream(seed, samplePurpose, 0);
  return Uint32Array.from(same.keys()).filter((e) => same[e] >= 0 && (share >= 1 || random.uniform() < share));
}

/** 0 .. count−1 in random order (Fisher and Yates). */
export function shuffled(count: number, random: RandomStream): Uint32Array {
  const items = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const swap = items[i];
    items[i] = items[j];
    items[j] = swap;
  }
  return items;
}
