/** The exact kNN graph by cosine with its products on devices: the main thread's half, see `device-search.ts`. */
import type { KnnColumns } from '../backends/backend.js';
import type { BackendChoice } from '../backends/plan.js';
import { rowCapacity } from '../backends/tile.js';
import { availableCores } from '../cgroup.js';
import { labelDefaults } from '../defaults.js';
import { computesInHostMemory } from '../devices/device-memory.js';
import { type DeviceReading, Devices } from '../devices/devices.js';
import { Pool } from '../execution/pool.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { sharedInts } from '../memory/shared-arrays.js';
import type { SharedRows } from '../memory/shared-rows.js';
import { type BatchResult, type DeviceJob, type DeviceResult, type DeviceTask, marginOf } from './device-search.js';
import type { BuildKnnOptions } from './exact.js';
import { inPortions, type Neighbours } from './sample.js';

/** The devices of a kNN search. */
export interface KnnDevices {
  /** The first that starts is taken. */
  readonly choices: readonly BackendChoice[];
  /** Nobody has asked for them by name: where none starts the CPU finds the graph, which is told. */
  readonly unasked?: boolean | undefined;
  /** Numbers of the devices; default: 0 alone. */
  readonly devices?: readonly number[] | undefined;
  /** Rows that are compared with all others at once. */
  readonly batch?: number | undefined;
  /** Bytes of a device's memory that rows may take for the whole search; the others are uploaded for each batch. */
  readonly residentBytes: number;
  /** Bytes of a tile of columns, and of its products with a batch. */
  readonly tileBytes?: number | undefined;
  /** The module that starts a device; default `backends/start-device.js`. */
  readonly module?: URL | undefined;
  /** Hears of the devices before they start. */
  readonly onDevices?: ((readings: readonly DeviceReading[]) => void) | undefined;
}

/** What was seen of devices in a search. */
export interface KnnDeviceFacts {
  /** What computed, such as `onnx (cuda)`. */
  readonly backend: string;
  readonly devices: ReturnType<Devices['summary']>;
  /** Rows whose lists the device's cosines did not prove, and which were searched for on the CPU. */
  readonly searchedAgain: number;
  /** The greatest difference seen between a cosine of a device and that of the CPU. */
  readonly largestDifference: number;
}

/** What every WebGPU device can bind at once. */
const defaultTileBytes = 2 ** 27;
/** Copies of a tile of columns that a graph with them as a constant is made through. */
const uploadCopies = 5;

/** Entries of a device's list: a row's neighbours, the row itself, and some that neighbours may not be told apart from. */
export function listedEntries(rowCount: number, k: number): number {
  return Math.min(rowCount, k + 17 + (k >> 3));
}

/** The columns of a search for k neighbours. */
export function knnColumns(
  rows: SharedRows,
  {
    k,
    residentBytes,
    tileBytes = defaultTileBytes,
  }: Pick<KnnDevices, 'residentBytes' | 'tileBytes'> & { readonly k: number },
): KnnColumns {
  return { columns: rows.handle(), listed: listedEntries(rows.rowCount, k), tileBytes, residentBytes };
}

/** Bytes of this process's memory that devices take beside the rows: batches on their way, a tile that is being uploaded, and, where the device is the CPU, all that it holds. */
export function hostBytes(
  rowCount: number,
  dim: number,
  { listed, threads, ...given }: KnnDevices & { readonly listed: number; readonly threads: number },
): number {
  const { choices, devices = [0], batch = labelDefaults.batch, tileBytes = defaultTileBytes, residentBytes } = given;
  const ofRows = 4 * rowCount * dim;
  const nodes = Math.min(batch, rowCount);
  const batchBytes = 4 * nodes * (dim + 2 * listed + 1);
  const uploading = uploadCopies * Math.min(tileBytes, ofRows);
  const ofDevice = choices.some(computesInHostMemory)
    ? 2 * Math.min(residentBytes, ofRows) + 2 * Math.min(tileBytes, 4 * nodes * rowCount)
    : 0;
  return threads * batchBytes + devices.length * (3 * batchBytes + uploading + ofDevice);
}

/** Share of rows that may be searched for on the CPU: a search of all by itself is faster than one of most. */
const maxUnproven = 0.1;

/**
 * The exact graph of unit vectors; undefined where cosines of a device differ from the CPU's by more than float32 sums can, or prove
 * too few lists, which is told. The work of a device that is lost is finished by `native`. Throws BACKEND_UNAVAILABLE where no device starts.
 */
export async function searchOnDevices(
  rows: SharedRows,
  options: BuildKnnOptions,
  given: KnnDevices,
): Promise<{ graph: KnnGraph; facts: KnnDeviceFacts } | undefined> {
  const { k, signal, onProgress, onNotice, threads = availableCores() } = options;
  const { rowCount, dim } = rows;
  const { batch = labelDefaults.batch, devices: numbers = [0] } = given;
  const columns = knnColumns(rows, { k, ...given });
  const capacity = rowCapacity(Math.min(batch, rowCount));
  const graph = allocateKnnGraph(rowCount, k + 1);
  const devices = new Devices({
    plan: { devices: given.choices, reasons: [] },
    model: columns,
    capacity,
    threads,
    devices: numbers,
    onNotice,
    module: given.module,
  });
  given.onDevices?.(devices.readings);
  const workerData: DeviceJob = { columns, capacity, devices: devices.handle, graph, threads, tickets: sharedInts(1) };
  const pool = new Pool({
    worker: new URL('../../workers/knn-device-worker.js', import.meta.url),
    threads,
    workerData,
  });
  const describe = (task: DeviceTask) =>
    task.kind === 'nearest' ? `kNN of row ${task.batch.start} and others` : `kNN of row ${task.queries[0]} and others`;
  const backends = new Set<string>();
  const unproven: number[] = [];
  let largestDifference = 0;
  let rowsDone = 0;
  try {
    const tasks: DeviceTask[] = [];
    for (let start = 0; start < rowCount; start += capacity.nodes) {
      tasks.push({ kind: 'nearest', batch: { start, count: Math.min(capacity.nodes, rowCount - start) } });
    }
    await pool.runAll<DeviceTask, DeviceResult>(tasks, describe, {
      signal,
      onDone: (task, result) => {
        const { unproven: ids, difference, backend } = result as BatchResult;
        backends.add(backend);
        unproven.push(...ids);
        largestDifference = Math.max(largestDifference, difference);
        if (task.kind === 'nearest') rowsDone += task.batch.count;
        onProgress?.({ stage: 'knn', done: rowsDone, total: rowCount, unit: 'rows' });
      },
    });
    if (!(largestDifference <= marginOf(dim))) {
      const off = `its cosines are off by up to ${largestDifference.toPrecision(2)}, more than float32 sums can be`;
      onNotice?.(`${[...backends].join(', ')}: ${off}: the kNN graph is found on the CPU`);
      return undefined;
    }
    if (unproven.length > maxUnproven * rowCount) {
      const many = `${unproven.length} of ${rowCount} lists have more ties than rounding lets a device tell apart`;
      onNotice?.(`${[...backends].join(', ')}: ${many}: the kNN graph is found on the CPU`);
      return undefined;
    }
    const again = inPortions(Int32Array.from(unproven).sort());
    await pool.runAll<DeviceTask, DeviceResult>(
      again.map((queries) => ({ kind: 'search', queries })),
      describe,
      {
        signal,
        onDone: (_, result) => {
          const { queries, ids } = result as Neighbours;
          for (let i = 0; i < queries.length; i++) {
            graph.ids.set(ids.subarray(i * k, (i + 1) * k), queries[i] * graph.width + 1);
          }
        },
      },
    );
    return {
      graph,
      facts: {
        backend: [...backends].join(', '),
        devices: devices.summary(),
        searchedAgain: unproven.length,
        largestDifference,
      },
    };
  } finally {
    await Promise.all([pool.close(), devices.close()]);
  }
}
