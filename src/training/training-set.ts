/** The inputs of training, checked and split into the part to train on and the part to judge by. */

import type { Differences } from '../cluster/truth.js';
import { NaanError } from '../errors.js';
import { type KnnGraph, withWidth } from '../graph/knn-graph.js';
import { type MatrixLocation, openRows } from '../io/matrix.js';
import { normaliseRows } from '../io/normalise.js';
import { buildKnn } from '../knn/exact.js';
import { requireMemory } from '../memory/available.js';
import { paddedDim } from '../memory/shared-arrays.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { ProgressListener } from '../progress.js';
import type { HeldOut } from './held-out.js';
import { holdOut, nodesOf, restrictGraph } from './split.js';

/** Unit vectors, padded with zeros to a multiple of 4 columns, with kNN lists and identities. */
export interface TrainingPart {
  readonly features: SharedRows;
  readonly graph: KnnGraph;
  /** Identity of each node, −1 where not known: such a node is in no pair, but in neighbourhoods. */
  readonly labels: Int32Array;
}

export interface TrainingSet {
  readonly training: TrainingPart;
  readonly heldOut?: HeldOut;
  readonly normalisedRows: number;
}

export interface SplitOptions {
  /** Share of the identities to hold out; 0 for none. */
  readonly validation: number;
  readonly seed: number;
  /** Neighbours that scoring needs. */
  readonly neighbours: number;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

/**
 * Reads the features, each row once and into its part. The held-out part gets exact kNN lists of its own, as most
 * neighbours of its nodes are elsewhere; in the other part the given lists lose a few entries.
 * Throws BAD_INPUT for features or labels that nothing can be learnt from, CANCELLED after an abort.
 */
export async function loadTrainingSet(
  location: MatrixLocation,
  graph: KnnGraph,
  labels: Int32Array,
  options: SplitOptions,
): Promise<TrainingSet> {
  const parts = options.validation > 0 ? holdOut(labels, options.validation, options.seed) : undefined;
  const { rows, normalisedRows } = readParts(location, parts ?? new Uint8Array(labels.length));
  if (parts === undefined) return { training: { features: rows[0], graph, labels }, normalisedRows };

  const of = (nodes: Int32Array) => Int32Array.from(nodes, (node) => labels[node]);
  const nodes = nodesOf(parts, 0);
  const training = { features: rows[0], graph: restrictGraph(graph, nodes), labels: of(nodes) };
  const features: MatrixLocation = { kind: 'memory', name: location.name, rows: rows[1].handle() };
  const { threads, signal, onProgress } = options;
  const k = Math.min(options.neighbours, rows[1].rowCount - 1);
  const own = await buildKnn(features, { k, threads, signal, onProgress });
  const heldOut = { features, graph: withWidth(own, options.neighbours + 1), labels: of(nodesOf(parts, 1)) };
  checkPairs(heldOut, options.neighbours, 'the held-out identities', 'another --seed, or more --validation');
  return { training, heldOut, normalisedRows };
}

/** Throws BAD_INPUT unless there are candidate pairs of one identity, and of two. */
export function checkPairs(
  {
    graph,
    labels,
    differences,
  }: { readonly graph: KnnGraph; readonly labels: Int32Array; readonly differences?: Differences | undefined },
  sampleHops: number,
  who: string,
  advice: string,
): void {
  const { nodeCount, width, ids } = graph;
  let positives = 0;
  let negatives = 0;
  for (let i = 0; i < nodeCount && (positives === 0 || negatives === 0); i++) {
    if (labels[i] < 0) continue;
    for (let c = 1; c <= Math.min(sampleHops, width - 1); c++) {
      const j = ids[i * width + c];
      if (j < 0) break;
      if (labels[j] < 0) continue;
      if (labels[i] === labels[j]) positives++;
      else if (!differences || differences.between(labels[i], labels[j])) negatives++;
    }
  }
  if (positives > 0 && negatives > 0) return;
  const missing = positives > 0 ? 'two identities' : 'one identity';
  const where = `among the first ${sampleHops} neighbours of ${who} there is no pair of ${missing}`;
  throw new NaanError('BAD_INPUT', `${where}: expected pairs of both kinds; try ${advice}`);
}

const batchRows = 1024;

/** Rows of part 0, padded, and of part 1, as they are. */
function readParts(location: MatrixLocation, parts: Uint8Array): { rows: SharedRows[]; normalisedRows: number } {
  const reader = openRows(location);
  try {
    const { rowCount, dim } = reader;
    requireMemory(4 * rowCount * paddedDim(dim), `${location.name}: ${rowCount} rows × ${dim}`);
    const inPartOne = parts.reduce((sum, part) => sum + part, 0);
    const rows = [SharedRows.allocate(rowCount - inPartOne, paddedDim(dim)), SharedRows.allocate(inPartOne, dim)];
    const filled = [0, 0];
    const buffer = new Float32Array(batchRows * dim);
    let normalisedRows = 0;
    for (let start = 0; start < rowCount; start += batchRows) {
      const count = Math.min(batchRows, rowCount - start);
      reader.read(start, count, buffer);
      normalisedRows += normaliseRows(buffer, start, count, dim, location.name);
      for (let i = 0; i < count; i++) {
        const part = parts[start + i];
        rows[part].row(filled[part]++).set(buffer.subarray(i * dim, (i + 1) * dim));
      }
    }
    return { rows, normalisedRows };
  } finally {
    reader.close();
  }
}
