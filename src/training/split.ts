/**
 * Splits a labelled set by identity: what is held out shares no identity with what is trained on, as the set to be
 * labelled will share none either.
 */
import { relabel } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { RandomStream } from '../graph/random.js';

const splitPurpose = 66;

/**
 * The nodes that are held out [n]: 1 for all rows of a random `share` of the identities, at least two and all but two of
 * them, and for the same share of the rows labelled −1. Throws BAD_INPUT for fewer than four identities.
 */
export function holdOut(labels: Int32Array, share: number, seed: number): Uint8Array {
  const identityOf = labels.slice();
  const identityCount = relabel(identityOf);
  if (identityCount < 4) {
    throw new NaanError(
      'BAD_INPUT',
      `labels: ${identityCount} identities are too few to hold some out, expected 4 or more, or --validation 0`,
    );
  }
  const random = new RandomStream(seed, splitPurpose, 0);
  const wanted = Math.min(Math.max(2, Math.round(share * identityCount)), identityCount - 2);
  const isHeldOut = new Uint8Array(identityCount);
  for (let left = wanted; left > 0; ) {
    const identity = random.below(identityCount);
    if (isHeldOut[identity] === 1) continue;
    isHeldOut[identity] = 1;
    left--;
  }
  return Uint8Array.from(identityOf, (identity) =>
    identity >= 0 ? isHeldOut[identity] : Number(random.uniform() < share),
  );
}

/** The nodes of one part, rising. */
export function nodesOf(parts: Uint8Array, part: number): Int32Array {
  return Int32Array.from(parts.keys()).filter((node) => parts[node] === part);
}

/**
 * The kNN graph among `nodes`, renumbered by their places: each list without the nodes that are not among them. What
 * is left of a list of nearest neighbours is the list of nearest neighbours there, only shorter.
 */
export function restrictGraph(graph: KnnGraph, nodes: Int32Array): KnnGraph {
  const { width, ids } = graph;
  const placeOf = new Int32Array(graph.nodeCount).fill(-1);
  for (let place = 0; place < nodes.length; place++) placeOf[nodes[place]] = place;
  const restricted = allocateKnnGraph(nodes.length, width);
  for (let place = 0; place < nodes.length; place++) {
    let filled = place * width;
    for (let c = 0; c < width; c++) {
      const node = ids[nodes[place] * width + c];
      if (node < 0) break;
      if (placeOf[node] >= 0) restricted.ids[filled++] = placeOf[node];
    }
  }
  return restricted;
}
