/**
 * Candidate edges: all unordered pairs {i, j} with j in N(i)[1..sampleHops], each once, i ≠ j.
 * CSR keyed by one end; the other end is `targets`. Which end is the key is the builder's choice, so users of the
 * structure treat edges as unordered.
 */
export interface CandidateEdges {
  readonly nodeCount: number;
  /** [nodeCount + 1]: edges of node p are offsets[p] .. offsets[p + 1]. */
  readonly offsets: Uint32Array;
  /** [edgeCount] the other end. */
  readonly targets: Int32Array;
}

/** CSR from unordered pairs [e × 2] in any order, and the place of each pair in it: `place[e]`. */
export function edgesFromPairs(
  nodeCount: number,
  pairs: ArrayLike<number>,
): { edges: CandidateEdges; place: Uint32Array } {
  const edgeCount = pairs.length / 2;
  const offsets = new Uint32Array(nodeCount + 1);
  for (let e = 0; e < edgeCount; e++) offsets[pairs[2 * e] + 1]++;
  for (let p = 0; p < nodeCount; p++) offsets[p + 1] += offsets[p];
  const cursor = offsets.slice(0, nodeCount);
  const targets = new Int32Array(edgeCount);
  const place = new Uint32Array(edgeCount);
  for (let e = 0; e < edgeCount; e++) {
    place[e] = cursor[pairs[2 * e]]++;
    targets[place[e]] = pairs[2 * e + 1];
  }
  return { edges: { nodeCount, offsets, targets }, place };
}
