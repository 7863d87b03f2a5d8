/**
 * The memory and disk that a labelling run will take, known before it starts, and the choice that follows from it:
 * rows as float32 where they fit, else as bfloat16, else not at all.
 */

import { identityBytes } from '../cluster/identities.js';
import { methodOf, type Partition } from '../cluster/partition.js';
import { trustBytes } from '../cluster/trust.js';
import { NaanError } from '../errors.js';
import { sweepBytes } from '../evaluation/sweep.js';
import { storeUncompressed } from '../io/locate-matrix.js';
import { gib, usableBytes } from '../memory/available.js';
import { describeParts, processBytes, sumOf, threadBytes } from '../memory/plan.js';
import type { Precision } from '../memory/row-store.js';
import { paddedDim } from '../memory/shared-arrays.js';
import type { NaanModel } from '../model/model.js';
import type { Head } from './head.js';
import { storageBytes } from './storage.js';

export interface PlanShape {
  readonly model: NaanModel;
  readonly head: Head;
  readonly nodes: number;
  /** Features of a row. */
  readonly dim: number;
  /** Columns of the kNN graph that are kept. */
  readonly columns: number;
  /** Candidate edges, as far as they are known (`expectedEdges`). */
  readonly edges: number;
  readonly partition: Partition;
  readonly threads: number;
  readonly batch: number;
  /** Name of features that lie deflated, and so must be inflated into memory as f32. */
  readonly deflated?: string | undefined;
  /** The kNN graph is found first, by a search that takes so many bytes. */
  readonly searchBytes?: number | undefined;
  /** That search leaves all rows in memory as f32, so that they need not be read again. */
  readonly searchLeavesRows?: boolean | undefined;
  /** Edges are written as well: sorted pairs and their scores. */
  readonly saveEdges?: boolean | undefined;
  readonly trust?: boolean | undefined;
  /** Components at every threshold. */
  readonly report?: boolean | undefined;
  /** Clusters are matched with those of an earlier run. */
  readonly previous?: boolean | undefined;
  /** The bytes of constraints on the nodes. */
  readonly constraintBytes?: number | undefined;
}

export interface PlanRequest {
  /** Bytes that the process may take; default: most of what the machine has free. */
  readonly memory?: number | undefined;
  readonly precision?: Precision | 'auto' | undefined;
  /** Rows go to files in this folder. */
  readonly workDir?: string | undefined;
}

export interface MemoryPlan {
  readonly precision: Precision;
  readonly rowsIn: 'memory' | 'files';
  /** Bytes in memory at the peak, by what they are for; whole numbers, as all of the plan's bytes are. */
  readonly parts: Readonly<Record<'rows' | 'features' | 'graph' | 'edges' | 'partition' | 'threads', number>>;
  /** Whether `features` are the rows that the search for the graph has left in memory: they are where there is room. */
  readonly keepsRows: boolean;
  /** Sum of the parts. */
  readonly memoryBytes: number;
  /** Bytes in memory while the graph is searched for, before the rest; 0 where it is given. */
  readonly searchBytes: number;
  /** Bytes in the work directory at the most. */
  readonly diskBytes: number;
  /** The bytes that the process may take. */
  readonly limitBytes: number;
}

/** Rows come by tens of thousands at the most: more fill the caches in vain. */
const maxBatch = 2 ** 16;

/** Throws OUT_OF_MEMORY, with the sizes that would do, when the run cannot fit into memory. */
export function planMemory(shape: PlanShape, { memory, precision = 'auto', workDir }: PlanRequest): MemoryPlan {
  const { batch } = shape;
  if (!(batch >= 1 && batch <= maxBatch)) {
    throw new NaanError('BAD_USAGE', `batch: got ${batch}, expected 1 to ${maxBatch} nodes`);
  }
  const limitBytes = Math.floor(memory ?? usableBytes());
  const tried = (precision === 'auto' ? (['f32', 'bf16'] as const) : [precision]).map((p) =>
    planOf(shape, p, workDir === undefined ? 'memory' : 'files', limitBytes),
  );
  const plan = tried.find(({ memoryBytes }) => memoryBytes <= limitBytes);
  if (!plan) throw tooLarge(shape, tried[tried.length - 1], workDir);
  if (!shape.searchLeavesRows || workDir !== undefined) return plan;
  const parts = { ...plan.parts, features: 4 * shape.nodes * shape.dim };
  const memoryBytes = sumOf(parts);
  return memoryBytes <= limitBytes ? { ...plan, parts, memoryBytes, keepsRows: true } : plan;
}

/** One line, such as `2.1 GiB of memory (rows 1.0 as f32, …)`. */
export function describePlan(plan: MemoryPlan): string {
  const { parts, precision, rowsIn, memoryBytes, searchBytes, diskBytes, limitBytes } = plan;
  const { rows, features, ...others } = parts;
  const rest = features > 0 ? { features, ...others } : others;
  const where =
    rowsIn === 'memory' ? `rows ${gib(rows)} as ${precision}` : `rows as ${precision} in files, ${gib(diskBytes)} GiB`;
  const search = searchBytes > 0 ? `; before that ${gib(searchBytes)} to find the kNN graph` : '';
  return `about ${gib(memoryBytes)} of ${gib(limitBytes)} GiB of memory: ${where}, ${describeParts(rest)}${search}`;
}

function planOf(shape: PlanShape, precision: Precision, rowsIn: 'memory' | 'files', limitBytes: number): MemoryPlan {
  const { model, head, nodes, dim, columns, partition, threads, batch, saveEdges, trust } = shape;
  const edges = Math.ceil(shape.edges);
  const padded = paddedDim(dim);
  const storage = head.storage(model.config, { paddedDim: padded, listWidth: columns });
  const ofNode = storageBytes(storage, 'node', precision);
  const ofEdge = storageBytes(storage, 'edge', precision);
  const inMemory = rowsIn === 'memory';
  // The graph as it came and in its order; order, positions, offsets and components; which rows are nodes, where not all
  // are; what each thread keeps of a node.
  const graph = nodes * (8 * columns + 24 + 8 * threads);
  // Offsets, and both ends of the edges by their other end.
  const [reverseOfNode, reverseOfEdge] = head.needsReverse ? [4, 8] : [0, 0];
  const workers = threads * head.workerBytes(model.config, { nodes, batch, paddedDim: padded, listWidth: columns });
  const parts = {
    rows: inMemory ? nodes * ofNode.rows : 0,
    features: shape.deflated === undefined ? 0 : 4 * nodes * dim,
    graph: graph + nodes * (ofNode.columns + reverseOfNode),
    edges: edges * (4 + ofEdge.columns + reverseOfEdge + (inMemory ? ofEdge.rows : 0)),
    // Results are written after the partition, whose memory is free by then.
    partition: Math.max(
      methodOf(partition).bytes(nodes, edges, threads, model.config.absentPairs) + (shape.constraintBytes ?? 0),
      (saveEdges ? 12 * edges + 4 * nodes : 0) +
        (trust ? trustBytes(nodes) : 0) +
        (shape.report ? sweepBytes(nodes) : 0) +
        (shape.previous ? identityBytes(nodes) : 0),
    ),
    threads: processBytes + threads * threadBytes + workers,
  };
  return {
    precision,
    rowsIn,
    parts,
    keepsRows: false,
    limitBytes,
    searchBytes: shape.searchBytes ?? 0,
    memoryBytes: sumOf(parts),
    diskBytes: inMemory ? 0 : nodes * ofNode.files + edges * ofEdge.files,
  };
}

function tooLarge({ nodes, dim, deflated }: PlanShape, least: MemoryPlan, workDir: string | undefined): NaanError {
  const { features } = least.parts;
  if (deflated !== undefined && least.memoryBytes - features <= least.limitBytes)
    return tooLargeInflated(deflated, least);
  const advice =
    workDir === undefined
      ? 'give that much with --memory, or --work-dir to keep rows in files'
      : 'give that much with --memory, or take fewer --threads or a smaller --batch';
  return new NaanError(
    'OUT_OF_MEMORY',
    `${nodes} nodes × ${dim} need ${gib(least.memoryBytes)} GiB of memory with rows as ${least.precision}, ` +
      `but ${gib(least.limitBytes)} GiB may be taken: ${advice}`,
  );
}

function tooLargeInflated(deflated: string, { parts, memoryBytes, limitBytes }: MemoryPlan): NaanError {
  return new NaanError(
    'OUT_OF_MEMORY',
    `${deflated}: is compressed or a table, so its features must be put into ${gib(parts.features)} GiB of memory beside the ` +
      `${gib(memoryBytes - parts.features)} GiB of the run, but ${gib(limitBytes)} GiB may be taken: ${storeUncompressed}`,
  );
}
