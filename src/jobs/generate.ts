/** Writes seeded face-like sets of any size: features, identities and kNN graphs of a labelled and an unlabelled split. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { generateDefaults } from '../defaults.js';
import { NaanError } from '../errors.js';
import { runTask } from '../execution/executor.js';
import { Pool } from '../execution/pool.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { plantKnn } from '../graph/knn-planted.js';
import { leastMeanSize, type SetOptions, SyntheticSet } from '../graph/synthetic-set.js';
import { locateFeatures } from '../io/features.js';
import { writeLabelText } from '../io/labels.js';
import { writeNpy, writeNpz } from '../io/npy-writer.js';
import { writeTogether } from '../io/output-file.js';
import { checkOutputs } from '../io/outputs.js';
import { buildKnn } from '../knn/exact.js';
import { requireMemory } from '../memory/available.js';
import type { ProgressListener } from '../progress.js';

export interface GenerateOptions {
  /** Folder to write to. */
  readonly out: string;
  /** Replace files of the set that are there already. */
  readonly overwrite?: boolean | undefined;
  /** Identities in each split. Default 1000. */
  readonly ids?: number | undefined;
  /** Nodes in each split, exactly: instead of `ids`. */
  readonly nodes?: number | undefined;
  /** Identities in the labelled split, when it should differ; 0 leaves the split out. */
  readonly labeledIds?: number | undefined;
  /** Default 512. */
  readonly dim?: number | undefined;
  /** Neighbours of each node, itself not counted. Default 80. */
  readonly k?: number | undefined;
  /** Integer in [0, 2³²). Default 1. */
  readonly seed?: number | undefined;
  /** Rows in random order rather than by identity. */
  readonly shuffle?: boolean | undefined;
  /** Make the kNN graph from what is known of the set, in time that grows with n alone, rather than by exact search. */
  readonly plantedKnn?: boolean | undefined;
  /** Threads of the exact search. Default: one a core. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `generate` and `knn`, unit `rows`, for each split. */
  readonly onProgress?: ProgressListener | undefined;
}

interface SplitSummary {
  readonly nodes: number;
  readonly identities: number;
}

export interface GenerateSummary {
  /** Absent when `labeledIds` is 0. */
  readonly labeled?: SplitSummary;
  readonly unlabeled: SplitSummary;
}

const blockBytes = 2 ** 23;
const maxIdentities = 50_000_000;

/**
 * Writes labeled/split0_{feats.npz,knn.npy} and unlabeled/split1_{feats.npz,knn.npy,labels.txt} to `out`. Features are
 * unit vectors; the splits share no identity; equal options give equal bytes. Memory: the kNN graph and a few bytes a
 * node; with the exact search, the features besides.
 * Throws BAD_USAGE, OUT_OF_MEMORY, NOT_WRITABLE, or CANCELLED after an abort.
 */
export async function generate(options: GenerateOptions): Promise<GenerateSummary> {
  const { out, nodes, labeledIds, shuffle = false } = options;
  if (nodes !== undefined && options.ids !== undefined) {
    throw new NaanError('BAD_USAGE', `ids ${options.ids} and nodes ${nodes} were given, expected one of them`);
  }
  const ids = integer('ids', options.ids ?? generateDefaults.ids, 1, maxIdentities);
  const dim = integer('dim', options.dim ?? generateDefaults.dim, 2, 2 ** 16);
  const k = integer('k', options.k ?? generateDefaults.k, 1, 2 ** 20);
  const seed = integer('seed', options.seed ?? generateDefaults.seed, 0, 2 ** 32 - 1);
  const extent = nodes === undefined ? { ids } : { nodes: integer('nodes', nodes, 1, 2 ** 31 - 1) };
  const labeledExtent =
    labeledIds === undefined ? extent : { ids: integer('labeledIds', labeledIds, 0, maxIdentities) };

  const recipes = {
    unlabeled: { seed, split: 1, dim, extent, shuffle },
    labeled: { seed, split: 0, dim, extent: labeledExtent, shuffle },
  } as const;
  // Before sizes are drawn, and again when they are known.
  const neededFor = (wanted: SetOptions['extent']) => bytesNeeded(wanted, { ...options, dim, k });
  for (const wanted of [extent, labeledExtent]) requireMemory(neededFor(wanted), `${out}: a set of this size`);
  const unlabeled = new SyntheticSet(recipes.unlabeled);
  const labeled = labeledIds === 0 ? undefined : new SyntheticSet(recipes.labeled);
  for (const set of labeled ? [labeled, unlabeled] : [unlabeled]) {
    if (k < set.nodeCount) {
      requireMemory(neededFor({ nodes: set.nodeCount }), `${out}: ${set.nodeCount} rows`);
      continue;
    }
    throw new NaanError(
      'BAD_USAGE',
      `k is ${k}, but a split has ${set.nodeCount} nodes: expected k below that, or more ids`,
    );
  }

  const names = ['unlabeled/split1_feats.npz', 'unlabeled/split1_knn.npy', 'unlabeled/split1_labels.txt'];
  if (labeled) names.push('labeled/split0_feats.npz', 'labeled/split0_knn.npy');
  const files = names.map((name) => ({
    name: 'out',
    path: join(out, name),
    isOurs: () => false,
    otherwise: 'may be a set of another kind',
  }));
  await checkOutputs(files, {}, options.overwrite);

  await writeTogether(out, async (folder) => {
    if (labeled) {
      const stem = await makeFolder(folder, 'labeled', 'split0');
      await writeSplit(stem, labeled, { recipe: recipes.labeled, k, withLabels: true }, options);
    }
    const stem = await makeFolder(folder, 'unlabeled', 'split1');
    await writeSplit(stem, unlabeled, { recipe: recipes.unlabeled, k, withLabels: false }, options);
    await writeLabelText(`${stem}_labels.txt`, unlabeled.labels());
  });
  const summary = ({ nodeCount, identityCount }: SyntheticSet) => ({ nodes: nodeCount, identities: identityCount });
  return { ...(labeled && { labeled: summary(labeled) }), unlabeled: summary(unlabeled) };
}

/** The least that a split takes at its peak. */
function bytesNeeded(
  extent: SetOptions['extent'],
  { dim, k, plantedKnn, shuffle }: { readonly dim: number; readonly k: number } & GenerateOptions,
): number {
  const [ids, nodes] = 'ids' in extent ? [extent.ids, extent.ids * leastMeanSize] : [0, extent.nodes];
  const graph = 4 * (k + 1);
  // Exact search has the rows and two lists of each; the planted graph where each image went.
  const search = plantedKnn ? 4 : 4 * dim + 8 * k;
  return 4 * ids + nodes * (graph + search + (shuffle ? 4 : 0));
}

function integer(name: string, value: number, least: number, greatest: number): number {
  if (Number.isInteger(value) && value >= least && value <= greatest) return value;
  throw new NaanError('BAD_USAGE', `${name} is ${value}, expected an integer from ${least} to ${greatest}`);
}

async function makeFolder(folder: string, name: string, stem: string): Promise<string> {
  await mkdir(join(folder, name));
  return join(folder, name, stem);
}

async function writeFeatures(
  path: string,
  set: SyntheticSet,
  withLabels: boolean,
  { signal, onProgress }: GenerateOptions,
): Promise<void> {
  const { nodeCount, dim } = set;
  await writeNpz(path, async (add) => {
    await add('embs', 'f4', [nodeCount, dim], async (append) => {
      const step = Math.max(1, Math.floor(blockBytes / (4 * dim)));
      const block = new Float32Array(Math.min(step, nodeCount) * dim);
      for (let start = 0; start < nodeCount; start += step) {
        if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
        const count = Math.min(step, nodeCount - start);
        set.rows(start, count, block);
        await append(block.subarray(0, count * dim));
        onProgress?.({ stage: 'generate', done: start + count, total: nodeCount, unit: 'rows' });
      }
    });
    if (withLabels) await add('labels', 'i8', [nodeCount], set.labels());
  });
}

/** The task of the thread that makes the planted graph. */
export interface PlantTask {
  readonly set: SetOptions;
  readonly k: number;
  /** [1]: not zero asks to stop. */
  readonly cancel: Int32Array;
}

/** Below this many rows a thread takes longer to start than it saves. */
const worthAThread = 20_000;

async function writeSplit(
  stem: string,
  set: SyntheticSet,
  { recipe, k, withLabels }: { readonly recipe: SetOptions; readonly k: number; readonly withLabels: boolean },
  options: GenerateOptions,
): Promise<void> {
  const { threads, signal, onProgress, plantedKnn } = options;
  const features = () => writeFeatures(`${stem}_feats.npz`, set, withLabels, options);
  let graph: KnnGraph;
  if (plantedKnn && set.nodeCount >= worthAThread) {
    graph = await plantBeside(recipe, k, signal, features);
  } else {
    await features();
    graph = plantedKnn
      ? await plantKnn(set, { k, signal, onProgress })
      : await buildKnn(await locateFeatures(`${stem}_feats.npz`), { k, threads, signal, onProgress });
  }
  await writeNpy(`${stem}_knn.npy`, 'i4', [graph.nodeCount, graph.width], graph.ids);
}

/** Plants the graph on a thread of its own while `work` runs on this one. Neither is left running when the other fails. */
async function plantBeside(
  set: SetOptions,
  k: number,
  signal: AbortSignal | undefined,
  work: () => Promise<void>,
): Promise<KnnGraph> {
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const stop = () => void Atomics.store(cancel, 0, 1);
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  const pool = new Pool({ worker: new URL('../../workers/generate-worker.js', import.meta.url), threads: 1 });
  const planting = runTask<PlantTask, KnnGraph>(pool, { set, k, cancel }, 'planting the kNN graph');
  const working = work().catch((error) => {
    stop();
    throw error;
  });
  try {
    const [graph] = await Promise.all([planting, working]);
    return graph;
  } finally {
    await Promise.allSettled([planting, working]);
    signal?.removeEventListener('abort', stop);
    await pool.close();
  }
}
