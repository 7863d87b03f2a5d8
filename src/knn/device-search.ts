/**
 * One worker's half of the exact kNN search on devices. A device gives each row of a batch its L nearest by the device's own
 * arithmetic, a few more than k. Their cosines are computed again here, as every other search computes them, so that a list and
 * its order do not depend on the device. Both sums are of float32 products, in whatever order, and differ by a margin at most: a row
 * whose k-th cosine is greater by more than that than the least that was listed has no other neighbour, and is proven. Rows that are
 * not proven are searched for on this thread.
 *
 * n rows, d columns, k neighbours, L entries of a device's list.
 */
import type { KnnBackend, KnnColumns, TileCapacity } from '../backends/backend.js';
import type { DevicesHandle } from '../devices/devices.js';
import { startWorkerBackend } from '../devices/worker-backend.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { Range } from './blocks.js';
import { Refiner } from './refine.js';
import { createSampleSearch, type Neighbours } from './sample.js';

export interface DeviceJob {
  readonly columns: KnnColumns;
  readonly capacity: TileCapacity;
  readonly devices: DevicesHandle;
  /** The graph being built, k + 1 wide. */
  readonly graph: KnnGraph;
  readonly threads: number;
  /** [1]: numbers that threads draw. */
  readonly tickets: Int32Array;
}

export type DeviceTask =
  /** Write the lists of a batch into the graph. */
  { readonly kind: 'nearest'; readonly batch: Range } | { readonly kind: 'search'; readonly queries: Int32Array };

export interface BatchResult {
  readonly unproven: Int32Array;
  /** The greatest difference between a k-th cosine of the device and the one here. */
  readonly difference: number;
  readonly backend: string;
}

export type DeviceResult = BatchResult | Neighbours;

/** The most by which the cosines of two rows differ that are sums of float32 products in any order. */
export function marginOf(dim: number): number {
  // Squared norms are up to 1.002 (see normalise.ts).
  return 2 * (1.02 * dim * 2 ** -24 + 1e-6);
}

export async function createDeviceSearch(job: DeviceJob): Promise<(task: DeviceTask) => Promise<DeviceResult>> {
  const { columns, capacity, devices, graph, threads } = job;
  const rows = SharedRows.from(columns.columns);
  const { rowCount, dim } = rows;
  const { listed } = columns;
  const k = graph.width - 1;
  const margin = marginOf(dim);
  const worker = Atomics.add(job.tickets, 0, 1) % threads;
  const options = { devices, otherwise: undefined, simd: undefined, worker };
  const backend: KnnBackend = await startWorkerBackend(columns, capacity, options);
  const refiner = new Refiner(rows, graph, listed);
  let search: ReturnType<typeof createSampleSearch> | undefined;

  async function nearest({ start, count }: Range): Promise<BatchResult> {
    const { tile } = backend;
    rows.eachRun(start, count, (view, first) => tile.x.set(view, (first - start) * dim));
    await backend.run('nearest', count);
    const unproven: number[] = [];
    let difference = 0;
    for (let first = 0; first < count; first += refiner.rowsAtOnce) {
      const ids = Int32Array.from({ length: Math.min(refiner.rowsAtOnce, count - first) }, (_, i) => start + first + i);
      const kth = ids.map((id, i) => takeCandidates(id, first + i, i));
      refiner.write(ids);
      for (let i = 0; i < ids.length; i++) {
        const entry = (first + i) * listed;
        difference = Math.max(difference, Math.abs(refiner.leastKept[i] - tile.similarities[entry + kth[i]]));
        const leastListed = tile.similarities[entry + listed - 1];
        if (listed < rowCount && !(refiner.leastKept[i] > leastListed + margin)) unproven.push(ids[i]);
      }
    }
    const { name, provider } = backend;
    return { unproven: Int32Array.from(unproven), difference, backend: provider ? `${name} (${provider})` : name };
  }

  /** Makes candidates of what the device lists for a row, but for the row itself and what lies too far behind. Returns the place of the k-th. */
  function takeCandidates(id: number, row: number, slot: number): number {
    const { ids, similarities } = backend.tile;
    const first = row * listed;
    let taken = 0;
    let kth = listed - 1;
    for (let entry = 0; entry < listed; entry++) {
      if (ids[first + entry] === id) continue;
      if (taken >= k && similarities[first + entry] < similarities[first + kth] - 2 * margin) break;
      refiner.candidates[slot * listed + taken++] = ids[first + entry];
      if (taken === k) kth = entry;
    }
    refiner.candidates.fill(-1, slot * listed + taken, (slot + 1) * listed);
    return kth;
  }

  return async (task) => {
    if (task.kind === 'nearest') return nearest(task.batch);
    search ??= createSampleSearch({ rows: columns.columns, k });
    return (await search)(task.queries);
  };
}
