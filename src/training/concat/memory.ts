/**
 * The memory that a training of head `concat` takes at its peak. The arrays of a step are as large as its block reaches, so some
 * blocks of the set are looked at. Held-out identities are labelled after each epoch as any set, so labelling says what that takes.
 */
import { relabel } from '../../cluster/relabel.js';
import { labelDefaults, labellingHops } from '../../defaults.js';
import { planMemory } from '../../engine/memory-plan.js';
import type { KnnGraph } from '../../graph/knn-graph.js';
import { headOf } from '../../heads/heads.js';
import { boundCandidates } from '../../knn/exact.js';
import { type MemoryParts, processBytes, threadBytes } from '../../memory/plan.js';
import { paddedDim } from '../../memory/shared-arrays.js';
import type { ConcatModel } from '../../model/model.js';
import { calibrationBytes } from '../calibration.js';
import { holdOut } from '../split.js';
import type { PlannedSet, PlanOptions } from '../trainer.js';
import { cutBlocks } from './blocks.js';
import { ClosureFinder } from './closure.js';
import { listBytes, sizesOf, stepBytes, tileRows } from './step-memory.js';
import { type ConcatSettings, cellNodes } from './training.js';

const blocksLookedAt = 8;
/** What the largest block of all cuts may be larger than the largest of those that are looked at. */
const blockSlack = 1.05;
/** Lists of a step, of the next one, and of some before them that are not yet given back. */
const listsInMemory = 4;
/** Labels, parts and cuts of a node, and lists of nodes from the split and earlier cuts that are not yet given back. */
const nodeBytes = 200;
/** Measured: garbage of steps, and what a thread that labels adds beside one that trains. */
const garbageBytes = 22 * 2 ** 20;
const secondThreadBytes = 17 * 2 ** 20;
/** Measured: what a thread that labelled leaves behind after an epoch; and epochs until what they leave is given back. */
const leftBytes = 10 * 2 ** 20;
const epochsLeft = 4;

export function concatBytes(
  { dim, graph, labels }: PlannedSet,
  settings: ConcatSettings,
  { validation, threads }: PlanOptions,
): MemoryParts {
  const { nodeCount, width } = graph;
  const padded = paddedDim(dim);
  const parts = validation > 0 ? holdOut(labels, validation, settings.seed) : new Uint8Array(0);
  const heldOut = parts.reduce((sum, part) => sum + part, 0);
  const trainedOn = nodeCount - heldOut;
  const { arrays, lists } = largestStep(graph, labels, settings, dim, threads);
  const w = settings.heads * padded;
  const ofThread = 4 * (2 * padded * (w + 2 * padded) + tileRows * (padded + Math.max(w, 2 * padded)));
  return {
    rows: 4 * (trainedOn * padded + heldOut * dim),
    // As it came, and without the rows held out.
    graph: 4 * width * (nodeCount + (heldOut > 0 ? trainedOn : 0)) + nodeBytes * nodeCount,
    step: arrays + listsInMemory * lists,
    ...(heldOut > 0 && { judging: judgingBytes(dim, heldOut, identitiesOf(labels, parts), settings, threads) }),
    threads: processBytes + garbageBytes + threads * (threadBytes + ofThread),
  };
}

/** Bytes of the shared memory of the largest step, and of the lists that its closure is made as. */
function largestStep(
  graph: KnnGraph,
  labels: Int32Array,
  { heads, hops, batch, dropout, seed }: ConcatSettings,
  dim: number,
  threads: number,
): { arrays: number; lists: number } {
  const fixed = { architecture: { head: 'concat', dim, heads } as const, threads };
  const finder = new ClosureFinder(graph, labels, hops);
  let [arrays, lists] = [0, 0];
  for (const block of cutBlocks(graph, { blockNodes: batch, cellNodes, seed, epoch: 0 }).slice(0, blocksLookedAt)) {
    const sizes = sizesOf(finder.find(block), dropout > 0);
    arrays = Math.max(arrays, stepBytes(fixed, sizes));
    lists = Math.max(lists, listBytes(sizes));
  }
  return { arrays: Math.ceil(blockSlack * arrays), lists: Math.ceil(blockSlack * lists) };
}

/** Bytes to find the kNN graph of held-out rows, to score its edges and to compare partitions of them. */
function judgingBytes(
  dim: number,
  heldOut: number,
  identities: number,
  { hops, heads, alpha, epochs }: ConcatSettings,
  threads: number,
): number {
  const [k1, k2, sampleHops] = [
    Math.min(hops.k1, labellingHops.k1),
    Math.min(hops.k2, labellingHops.k2),
    Math.min(hops.sampleHops, labellingHops.sampleHops),
  ];
  const k = Math.max(k1, k2, sampleHops);
  const model: ConcatModel = {
    config: { head: 'concat', dim, heads, alpha, k1, k2, sampleHops, provenance: {} },
    tensors: new Map(),
  };
  const edges = heldOut * sampleHops;
  const { memoryBytes } = planMemory(
    {
      model,
      head: headOf(model),
      nodes: heldOut,
      dim,
      columns: k + 1,
      edges,
      partition: 'linkage',
      threads,
      // A tile gathers each row once, so no more than there are.
      batch: Math.min(labelDefaults.batch, Math.ceil(heldOut / (k + 2))),
    },
    { memory: Number.POSITIVE_INFINITY, precision: 'f32' },
  );
  const search = heldOut * (8 * (k + 1) + 8 * Math.max(k, boundCandidates(heldOut, dim, k)));
  const beside = memoryBytes - processBytes - threads * (threadBytes - secondThreadBytes);
  const left = (Math.min(epochs, epochsLeft) - 1) * (threads * leftBytes + 8 * heldOut * heads * paddedDim(dim));
  return search + beside + left + calibrationBytes(heldOut, identities);
}

/** Identities that are held out. */
function identitiesOf(labels: Int32Array, parts: Uint8Array): number {
  return relabel(labels.filter((_, node) => parts[node] === 1));
}
