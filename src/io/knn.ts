/**
 * kNN graphs: [n × (k + 1)] of integers, or learn-to-cluster's `data` [n × 2 × k] with ids in data[:, 0] and distances,
 * which are not read, in data[:, 1]; in any format that has `graph` (see formats/formats.ts).
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { allocateKnnGraph, type KnnGraph, setNeighbours } from '../graph/knn-graph.js';
import { requireMemory } from '../memory/available.js';
import type { ProgressListener } from '../progress.js';
import { formatOf } from './formats/formats.js';
import { parseInput } from './input-file.js';
import { wrongDim } from './matrix.js';
import { elementText, type Int32Decoder, int32Decoder, isFloat, itemBytes, swapBytes } from './numbers.js';
import { readElements, type StoredNumbers } from './stored-array.js';

export interface ReadKnnOptions {
  /** Rows of the features the graph belongs to. */
  readonly nodeCount?: number | undefined;
  /** Columns to keep: the node itself and columns − 1 neighbours. Default: all. */
  readonly columns?: number | undefined;
  /** Hears of the rows read, as stage `read`. */
  readonly onProgress?: ProgressListener | undefined;
}

const windowBytes = 2 ** 22;
const longestList = 2 ** 20;
const progressIntervalMs = 250;

/**
 * Reads a kNN graph into shared memory, window by window: the file is never in memory whole.
 * The node itself is put in column 0 of every row and −1 dropped, as `setNeighbours` does.
 * Throws BAD_INPUT (damaged file, float ids, id out of range) or BAD_SHAPE (not n × k, or not one row a node).
 */
export async function readKnn(path: string, options: ReadKnnOptions = {}): Promise<KnnGraph> {
  const array = await findGraph(path);
  const listLength = checkShape(array, options.nodeCount);
  const [nodeCount] = array.shape;
  const graph = allocate(array, nodeCount, Math.min(options.columns ?? listLength, listLength));
  const rowLength = array.length / nodeCount;
  const rowsPerWindow = Math.max(1, Math.floor(windowBytes / (rowLength * itemBytes(array.type))));
  const takeWindow = array.fortran ? columnTaker(array, graph) : rowTaker(array, graph, listLength);
  let told = performance.now();
  await readElements(array, rowsPerWindow * rowLength * itemBytes(array.type), (buffer, count, start) => {
    takeWindow(buffer, count, start);
    if (options.onProgress === undefined || performance.now() - told < progressIntervalMs) return;
    told = performance.now();
    options.onProgress({
      stage: 'read',
      done: Math.floor((start + count) / rowLength),
      total: nodeCount,
      unit: 'rows',
    });
  });
  return graph;
}

/** Single rows of a kNN file. */
export interface KnnRows {
  /** The ids of a row, unchecked; undefined where one is no int32. Valid until the next call. */
  row(node: number): Int32Array | undefined;
  close(): void;
}

/** Undefined for a file whose rows do not lie together: deflated, or in Fortran order. Throws as `readKnn` does. */
export async function openKnnRows(path: string, nodeCount: number): Promise<KnnRows | undefined> {
  const array = await findGraph(path);
  const { source, dataStart, type, littleEndian, fortran } = array;
  const listLength = checkShape(array, nodeCount);
  if (fortran || source.deflatedLength !== undefined) return undefined;
  const rowBytes = (array.length / nodeCount) * itemBytes(type);
  const skipped = array.dimBeforeRow ? itemBytes(type) : 0;
  const bytes = new Uint8Array(listLength * itemBytes(type));
  const decode = decoderOf(array, bytes.buffer);
  const ids = new Int32Array(listLength);
  const fd = openSync(source.path, 'r');
  return {
    row: (node) => {
      const at = source.offset + dataStart + node * rowBytes + skipped;
      if (readSync(fd, bytes, 0, bytes.length, at) < bytes.length) return undefined;
      if (!littleEndian) swapBytes(bytes, type);
      return decode(0, listLength, ids, 0) === listLength ? ids : undefined;
    },
    close: () => closeSync(fd),
  };
}

/** The graph in `file` or `file:array`. */
function findGraph(file: string): Promise<StoredNumbers> {
  const input = parseInput(file);
  return formatOf(input.path, 'graph').graph(input);
}

/** Returns the ids a row has. */
function checkShape({ source, shape, type }: StoredNumbers, nodeCount: number | undefined): number {
  const pairs = shape.length === 3 && shape[1] === 2; // of ids and distances
  if ((shape.length !== 2 && !pairs) || shape.includes(0)) {
    throw new NaanError(
      'BAD_SHAPE',
      `${source.name}: shape (${shape}), expected a kNN graph [n × (k + 1)] or [n × 2 × k]`,
    );
  }
  if (type === 'f2' || type === 'bf16' || (isFloat(type) && !pairs)) {
    throw new NaanError('BAD_INPUT', `${source.name}: dtype ${type}, expected a kNN graph of integers`);
  }
  if (nodeCount !== undefined && shape[0] !== nodeCount) {
    throw new NaanError(
      'BAD_SHAPE',
      `${source.name}: the kNN graph has ${shape[0]} rows and the features ${nodeCount}, expected one row for each node`,
    );
  }
  const listLength = shape[shape.length - 1];
  if (listLength > longestList) {
    throw new NaanError('BAD_SHAPE', `${source.name}: lists of ${listLength} ids, expected at most ${longestList}`);
  }
  return listLength;
}

function allocate({ source }: StoredNumbers, nodeCount: number, width: number): KnnGraph {
  requireMemory(4 * nodeCount * width, `${source.name}: ${nodeCount} rows × ${width} columns`);
  try {
    return allocateKnnGraph(nodeCount, width);
  } catch (cause) {
    const gib = ((nodeCount * width * 4) / 2 ** 30).toFixed(1);
    throw new NaanError(
      'OUT_OF_MEMORY',
      `${source.name}: ${nodeCount} rows × ${width} columns: memory (${gib} GiB) was refused`,
      {
        cause,
      },
    );
  }
}

type WindowTaker = (buffer: ArrayBuffer, count: number, start: number) => void;

/** C order: a window holds whole rows. */
function rowTaker(array: StoredNumbers, graph: KnnGraph, listLength: number): WindowTaker {
  const rowLength = array.length / graph.nodeCount;
  const list = new Int32Array(listLength);
  const skipped = array.dimBeforeRow ? 1 : 0;
  return (buffer, count, start) => {
    const decode = decoderOf(array, buffer);
    for (let done = 0; done < count; done += rowLength) {
      const node = (start + done) / rowLength;
      if (skipped > 0 && (decode(done, 1, list, 0) === 0 || list[0] !== listLength))
        throw wrongDim(array.source.name, node, list[0], listLength);
      const decoded = decode(done + skipped, listLength, list, 0);
      if (decoded < listLength) throw badId(array, graph, node, decoded, buffer, done + skipped + decoded);
      if (!copyWellFormed(graph, node, list)) setNeighbours(graph, node, list, array.source.name);
    }
  };
}

/** The usual row, the node itself first and no −1: copied as it is. Returns false, with the row unset, for any other. */
function copyWellFormed({ ids, width, nodeCount }: KnnGraph, node: number, list: Int32Array): boolean {
  if (list[0] !== node) return false;
  const start = node * width;
  ids[start] = node;
  for (let c = 1; c < width; c++) {
    const id = list[c];
    if (id >>> 0 >= nodeCount || id === node) return false;
    ids[start + c] = id;
  }
  for (let c = width; c < list.length; c++) if (list[c] >>> 0 >= nodeCount) return false;
  return true;
}

/** Fortran order: columns follow one another, so every row grows by one id at a time, as `setNeighbours` would have it. */
function columnTaker(array: StoredNumbers, graph: KnnGraph): WindowTaker {
  const { ids, width, nodeCount } = graph;
  const blocks = array.shape.length === 3 ? 2 : 1; // of ids and distances in turn
  const filled = new Int32Array(nodeCount).fill(1);
  for (let node = 0; node < nodeCount; node++) ids[node * width] = node;
  const column = new Int32Array(Math.min(nodeCount, 2 ** 16));
  return (buffer, count, start) => {
    const decode = decoderOf(array, buffer);
    for (let done = 0; done < count; ) {
      const line = Math.floor((start + done) / nodeCount);
      const first = start + done - line * nodeCount;
      const length = Math.min(count - done, nodeCount - first, column.length);
      const c = Math.floor(line / blocks);
      const decoded = line % blocks === 0 ? decode(done, length, column, 0) : 0;
      for (let i = 0; i < decoded; i++) {
        const id = column[i];
        const node = first + i;
        if (id < -1 || id >= nodeCount) throw badId(array, graph, node, c, buffer, done + i);
        if (id !== -1 && id !== node && filled[node] < width) ids[node * width + filled[node]++] = id;
      }
      if (line % blocks === 0 && decoded < length)
        throw badId(array, graph, first + decoded, c, buffer, done + decoded);
      done += length;
    }
  };
}

function decoderOf({ type }: StoredNumbers, buffer: ArrayBuffer): Int32Decoder {
  if (type === 'f2' || type === 'bf16') throw new RangeError(`ids of ${type}`);
  return int32Decoder(type, buffer);
}

function badId(
  { source, type }: StoredNumbers,
  { nodeCount }: KnnGraph,
  node: number,
  column: number,
  buffer: ArrayBuffer,
  index: number,
): NaanError {
  return new NaanError(
    'BAD_INPUT',
    `${source.name}: row ${node}, column ${column}: neighbour id ${elementText(type, buffer, index)} is out of range, ` +
      `expected 0..${nodeCount - 1} or -1 for none`,
  );
}
