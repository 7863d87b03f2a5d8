/**
 * Cuts a labelled graph into blocks for one epoch of training. A block is several *cells* of distant regions: a cell is what
 * breadth-first search from a random node reaches among the nodes not yet taken, so most candidate pairs of its nodes
 * lie inside it; merging random cells mixes identities and also covers some pairs between cells. Seeds and merging
 * change from epoch to epoch, so every pair is seen in some epochs (ClusterGCN, Chiang 2019, merges clusters likewise).
 */
import type { KnnGraph } from '../../graph/knn-graph.js';
import { RandomStream, shuffled } from '../../graph/random.js';
import type { Block } from './closure.js';
import type { ClassWeights } from './training-engine.js';

export interface BlockOptions {
  /** Nodes of a block, about: each has the next whole cell until it has as many. */
  readonly blockNodes: number;
  /** Nodes of a cell at most. */
  readonly cellNodes: number;
  readonly seed: number;
  readonly epoch: number;
}

/** Purpose of the random streams here; the index is the epoch. */
const cutPurpose = 65;
/** Neighbours along which a cell grows. */
const reach = 10;

/** Every node is in exactly one block. The same options give the same blocks. */
export function cutBlocks(graph: KnnGraph, { blockNodes, cellNodes, seed, epoch }: BlockOptions): Block[] {
  const random = new RandomStream(seed, cutPurpose, epoch);
  const { order, starts } = growCells(graph, cellNodes, random);
  const cells = shuffled(starts.length - 1, random);
  const blockCount = Math.max(1, Math.round(graph.nodeCount / blockNodes));
  const blocks: Block[] = [];
  let nodes = new Int32Array(graph.nodeCount);
  let filled = 0;
  let taken = 0;
  for (const cell of cells) {
    nodes.set(order.subarray(starts[cell], starts[cell + 1]), filled);
    filled += starts[cell + 1] - starts[cell];
    if (taken + filled < (graph.nodeCount * (blocks.length + 1)) / blockCount) continue;
    taken += filled;
    blocks.push({ nodes: nodes.slice(0, filled) });
    nodes = new Int32Array(graph.nodeCount - taken);
    filled = 0;
  }
  return blocks;
}

/** Nodes cell by cell, and where each cell starts, the end included. */
function growCells(
  { nodeCount, width, ids }: KnnGraph,
  cellNodes: number,
  random: RandomStream,
): { order: Int32Array; starts: number[] } {
  const last = Math.min(reach, width - 1);
  const taken = new Uint8Array(nodeCount);
  const order = new Int32Array(nodeCount);
  const starts: number[] = [];
  let filled = 0;
  for (const seed of shuffled(nodeCount, random)) {
    if (taken[seed]) continue;
    starts.push(filled);
    const end = filled + cellNodes;
    taken[seed] = 1;
    order[filled++] = seed;
    for (let next = filled - 1; next < filled && filled < end; next++) {
      const row = order[next] * width;
      for (let c = 1; c <= last && filled < end; c++) {
        const node = ids[row + c];
        if (node < 0) break;
        if (taken[node]) continue;
        taken[node] = 1;
        order[filled++] = node;
      }
    }
  }
  return { order, starts: [...starts, nodeCount] };
}

/** Directed candidate pairs of labelled nodes: of the whole graph, and those that a set of blocks holds. */
export interface Coverage {
  readonly pairs: number;
  readonly positives: number;
  readonly coveredPairs: number;
  readonly coveredPositives: number;
}

export function coverageOf(
  graph: KnnGraph,
  labels: Int32Array,
  sampleHops: number,
  blocks: readonly Block[],
): Coverage {
  const { nodeCount, width, ids } = graph;
  const blockOf = new Int32Array(nodeCount).fill(-1);
  blocks.forEach(({ nodes }, b) => {
    for (const node of nodes) blockOf[node] = b;
  });
  let [pairs, positives, coveredPairs, coveredPositives] = [0, 0, 0, 0];
  for (let i = 0; i < nodeCount; i++) {
    if (labels[i] < 0) continue;
    for (let c = 1; c <= sampleHops; c++) {
      const j = ids[i * width + c];
      if (j < 0) break;
      if (labels[j] < 0) continue;
      const positive = labels[i] === labels[j] ? 1 : 0;
      const covered = blockOf[i] >= 0 && blockOf[i] === blockOf[j] ? 1 : 0;
      pairs++;
      positives += positive;
      coveredPairs += covered;
      coveredPositives += covered * positive;
    }
  }
  return { pairs, positives, coveredPairs, coveredPositives };
}

/**
 * Weights that give positives and negatives in the loss the share they have among all candidate pairs: blocks hold a
 * larger part of the positives, as these lie nearer together. Their mean over the covered pairs is 1. A class that no
 * block holds keeps weight 1.
 */
export function balancedWeights({ pairs, positives, coveredPairs, coveredPositives }: Coverage): ClassWeights {
  const weight = (all: number, covered: number) => (covered === 0 ? 1 : all / pairs / (covered / coveredPairs));
  return [weight(pairs - positives, coveredPairs - coveredPositives), weight(positives, coveredPositives)];
}
