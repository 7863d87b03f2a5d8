/**
 * The memory that a training of head `pairwise` takes at its peak. Arrays that threads share are given back when all threads
 * have looked for garbage, which is late or never in a training, so those of the beginning are counted beside those of the end.
 */
import { linkageBytes } from '../../cluster/linkage.js';
import { expectedEdges } from '../../engine/expected-edges.js';
import { sweepBytes } from '../../evaluation/sweep.js';
import { summaryWidth } from '../../heads/pairwise/score-features.js';
import { listSummaryWidth } from '../../heads/pairwise/structural-features.js';
import { boundCandidates } from '../../knn/exact.js';
import { type MemoryParts, processBytes, threadBytes } from '../../memory/plan.js';
import { paddedDim } from '../../memory/shared-arrays.js';
import { featureCount, structuralFeatureCount } from '../../model/pairwise.js';
import { calibrationBytes, cutsBytes } from '../calibration.js';
import type { PlannedSet } from '../trainer.js';
import type { PairwiseSettings } from './job.js';
import { maxCopied } from './strangers.js';

/** Measured: the networks of all folds on a thread, and garbage of their steps that is not yet given back. */
const networkBytes = 25 * 2 ** 20;
/** Values of a list that is filtered while its length is not known: a number, its place, and what growing adds. */
const filteredBytes = 32;

export async function pairwiseBytes(
  { dim, graph, labels }: PlannedSet,
  { k, sampleHops, rounds, maxEdges }: PairwiseSettings,
  threads: number,
): Promise<MemoryParts> {
  const { nodeCount, width } = graph;
  const { copied, identities } = maxCopied(labels);
  const padded = paddedDim(dim);
  const nodes = nodeCount + copied;
  // The copy's lists hold more of those that do not list their owner.
  const edges = (await expectedEdges(graph, nodeCount, sampleHops)) + copied * sampleHops;
  const sample = Math.min(edges, Math.ceil(1.01 * maxEdges));
  const columns = k + 1;
  const kept = Math.max(k, boundCandidates(copied, padded, k));
  const ofFeatures = featureCount(0) + (rounds > 1 ? featureCount(1) : 0);
  return {
    // As they are, and whitened.
    rows: 8 * nodes * padded,
    // As it came, cut to k neighbours, cosines beside it; the same of the copy, and what finds it; both side by side.
    graph:
      4 * nodeCount * (width + (width === columns ? 0 : columns) + columns) +
      copied * (8 * columns + 8 * kept) +
      nodes * (8 * columns + 24),
    // Ends, reverse ends, structural features, scores of two rounds, and which are of one identity in which fold.
    edges: edges * (4 + 8 + 4 * structuralFeatureCount + 8 + 3) + nodes * (8 + 4 * listSummaryWidth + 8 * summaryWidth),
    // The sampled edges, and their features in the first round and in the others.
    pairs: sample * (4 + 3 + 4 * ofFeatures),
    // After a round its scores are judged and swept, on the heap; in the end partitions are compared.
    judging:
      filteredBytes * edges +
      Math.max(
        sweepBytes(nodes),
        linkageBytes(nodes, edges, 1) + calibrationBytes(nodes, identities) + cutsBytes(nodes, identities, threads),
      ),
    // A network has the pairs that it learns from, and their order.
    threads: processBytes + threads * (threadBytes + networkBytes + 8 * sample),
  };
}
