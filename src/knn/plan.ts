/**
 * The memory that a kNN search will take, known before it starts, and the choice that follows from it: rows in memory where they
 * fit, else read from the features, else no search.
 */
import { NaanError } from '../errors.js';
import { storeUncompressed } from '../io/locate-matrix.js';
import { type FeatureLocation, type MatrixLocation, shapeOf } from '../io/matrix.js';
import { gib, usableBytes } from '../memory/available.js';
import { processBytes, sumOf, threadBytes } from '../memory/plan.js';
import { compareBytes, finderBytes } from './cells.js';
import { codeLength } from './codes.js';
import { boundCandidates } from './exact.js';
import { cellSizes, type Effort } from './ivf.js';
import { hostBytes, type KnnDevices, listedEntries } from './on-device.js';
import { refinerBytes } from './refine.js';
import { leastSketchLength } from './sketch.js';

export type KnnMethod = 'exact' | 'ivf' | 'hnsw';

export interface KnnPlan {
  readonly method: KnnMethod;
  readonly rowsIn: 'memory' | 'file';
  /** Bytes in memory at the peak, by what they are for. */
  readonly parts: Readonly<Record<'rows' | 'sketches' | 'lists' | 'graph' | 'threads', number> & { devices?: number }>;
  /** Sum of the parts. */
  readonly memoryBytes: number;
  /** Bytes that the process may take. */
  readonly limitBytes: number;
  /** Rows in the file: how many of them are in memory at once for the last step, and how often all are read for it. */
  readonly windowRows?: number;
  readonly timesRead?: number;
}

export interface KnnPlanRequest {
  /** Neighbours of each row, itself not counted. */
  readonly k: number;
  readonly method: KnnMethod;
  readonly effort: Effort;
  readonly threads: number;
  /** Bytes that the process may take; default: most of what is free. */
  readonly memory?: number | undefined;
  /** Devices that compute the exact graph. */
  readonly onDevices?: KnnDevices | undefined;
}

/** Rows of the last step are read in windows no smaller than this. */
const leastWindowBytes = 2 ** 24;
/** Share of the memory that windows leave free. */
const slack = 0.04;
/** Bytes a row that usearch takes beside bfloat16 values, and for links. */
const linkBytes = 200;

/** Throws OUT_OF_MEMORY, with the size that would do, when the search cannot fit into memory. */
export function planKnn(features: FeatureLocation, request: KnnPlanRequest): KnnPlan {
  const { method } = request;
  const limitBytes = Math.floor(request.memory ?? usableBytes());
  const { rowCount, dim } = shapeOf(features);
  const others = partsBesideRows(rowCount, dim, request);
  const rest = sumOf(others);
  const ofRows = 4 * rowCount * dim;
  const inMemory = rest + ofRows;
  const inPlace = method === 'ivf' && isInFile(features);
  if (inMemory <= limitBytes || !inPlace) {
    if (inMemory > limitBytes) throw tooLarge(features, method, inMemory, limitBytes);
    return { method, rowsIn: 'memory', parts: { rows: ofRows, ...others }, memoryBytes: inMemory, limitBytes };
  }
  const leastRows = Math.min(rowCount, Math.ceil(leastWindowBytes / (4 * dim)));
  const fits = Math.floor(((1 - slack) * limitBytes - rest) / (8 * dim));
  const windows = Math.ceil(rowCount / Math.max(leastRows, fits));
  const windowRows = Math.ceil(rowCount / windows);
  const rows = 4 * dim * windowRows * Math.min(2, windows);
  if (rest + rows > limitBytes) throw tooLarge(features, method, rest + rows, limitBytes);
  return {
    method,
    rowsIn: 'file',
    parts: { rows, ...others },
    memoryBytes: rest + rows,
    limitBytes,
    windowRows,
    timesRead: (windows + 1) / 2,
  };
}

/** One line, such as `about 2.1 of 4.0 GiB of memory: rows 1.0, sketches 0.3, …`. */
export function describeKnnPlan({ method, rowsIn, parts, memoryBytes, limitBytes, timesRead }: KnnPlan): string {
  const named = Object.entries(parts).map(([name, bytes]) => {
    if (name !== 'rows' || rowsIn === 'memory') return `${name} ${gib(bytes)}`;
    return `rows in the file, read 3 times and in the end ${timesRead} times by windows of ${gib(bytes)}`;
  });
  const about = method === 'exact' ? 'at most' : 'about';
  return `${about} ${gib(memoryBytes)} of ${gib(limitBytes)} GiB of memory: ${named.join(', ')}`;
}

function partsBesideRows(n: number, dim: number, request: KnnPlanRequest) {
  const { k, method, effort, threads, onDevices } = request;
  const graph = 4 * n * (k + 1);
  const ofThreads = (bytes: number) => processBytes + threads * (threadBytes + bytes);
  if (method === 'hnsw') return { sketches: n * (2 * dim + linkBytes), lists: 0, graph, threads: ofThreads(0) };
  if (method === 'exact' && onDevices) {
    const listed = listedEntries(n, k);
    const devices = hostBytes(n, dim, { listed, threads, ...onDevices });
    return { sketches: 0, lists: 0, graph, threads: ofThreads(refinerBytes(n, dim, listed)), devices };
  }
  if (method === 'exact') {
    const candidates = boundCandidates(n, dim, k);
    const byBounds = candidates > k;
    const lists = 8 * n * (byBounds ? candidates : k);
    return { sketches: byBounds ? n * (2 * codeLength(dim) + 8) : 0, lists, graph, threads: ofThreads(0) };
  }
  const { candidates, capacity, cellCount } = cellSizes(n, k, effort);
  const length = leastSketchLength(dim);
  return {
    // The cell of each row, how near it is, and the order of the rows.
    sketches: n * (length + 12),
    lists: 8 * n * candidates,
    graph,
    // Centroids are there once for all threads, and their sums as float64 while they move.
    threads:
      9 * length * cellCount +
      ofThreads(
        compareBytes(capacity, length, candidates) +
          finderBytes(dim, length, cellCount) +
          refinerBytes(n, dim, candidates),
      ),
  };
}

/** Tells features whose rows can be read from where they lie when they are needed. */
function isInFile(features: FeatureLocation): features is MatrixLocation {
  if (features.kind === 'some') return isInFile(features.of);
  return features.kind === 'file' && !features.fortran;
}

function tooLarge(features: FeatureLocation, method: KnnMethod, bytes: number, limitBytes: number): NaanError {
  const { rowCount, dim } = shapeOf(features);
  const takes =
    `the kNN graph of ${rowCount} rows × ${dim} takes ${gib(bytes)} GiB of memory to find by ${method}, but ` +
    `${gib(limitBytes)} GiB may be taken`;
  if (features.kind === 'deflated' && method === 'ivf') {
    const where = `${features.name}: is compressed, a table or several files, so its rows must be in memory`;
    return new NaanError('OUT_OF_MEMORY', `${where}; ${takes}: give that much with --memory, or ${storeUncompressed}`);
  }
  const advice = method === 'ivf' ? 'give that much with --memory' : 'give that much with --memory, or take ivf';
  return new NaanError('OUT_OF_MEMORY', `${features.name}: ${takes}: ${advice}`);
}
