/** A worker's end of a device: a back-end whose arithmetic the device's owner does, or `native` once the device has gone. */
import type { Backend, BackendModel, BackendOf, TileCapacity, TileMemory } from '../backends/backend.js';
import type { BackendChoice } from '../backends/plan.js';
import { startBackend } from '../backends/start.js';
import { NaanError } from '../errors.js';
import type { SimdLevel } from '../kernels/kernels.js';
import type { DevicesHandle } from './devices.js';
import { DeviceLink } from './link.js';

export interface WorkerBackendOptions {
  readonly devices: DevicesHandle | undefined;
  /** The back-end to start where there is no device. */
  readonly otherwise: BackendChoice | undefined;
  readonly simd: SimdLevel | undefined;
  /** Number of the worker. */
  readonly worker: number;
}

/** Starts the back-end of a worker. Throws BACKEND_UNAVAILABLE. */
export async function startWorkerBackend<Model extends BackendModel>(
  model: Model,
  capacity: TileCapacity,
  { devices, otherwise, simd, worker }: WorkerBackendOptions,
): Promise<BackendOf<Model>> {
  if (devices) {
    const { links, choices } = devices;
    const link = new DeviceLink(links[worker % links.length]);
    if (link.waitForStart()) {
      const native = () => startBackend('native', model, capacity, { simd });
      return deviceBackend(link, Math.floor(worker / links.length), choices[link.choice], native) as BackendOf<Model>;
    }
    if (!otherwise) throw new NaanError('BACKEND_UNAVAILABLE', link.reason);
  }
  if (!otherwise) throw new Error('neither a device nor a back-end was planned');
  const { backend, provider } = otherwise;
  return startBackend(backend, model, capacity, { simd, provider });
}

/** The back-end of a device, as one of its workers sees it. */
function deviceBackend(
  link: DeviceLink,
  slot: number,
  { backend: name, provider }: BackendChoice,
  startNative: () => Promise<Backend>,
): Backend {
  let instead: Backend | undefined;
  return {
    name,
    ...(provider && { provider }),
    /** The caller of a batch that the device did not do holds the slot's tile, so the results go there once more. */
    async run(stage, count) {
      if (instead) return instead.run(stage, count);
      if (link.compute(slot, stage, count)) return;
      const tile = link.handle.tiles[slot];
      const native = await startNative();
      link.countFallback();
      copyTile(tile, native.tile);
      await native.run(stage, count);
      copyTile(native.tile, tile);
      instead = native;
    },
    get tile() {
      return instead?.tile ?? link.handle.tiles[slot];
    },
    async release() {
      await instead?.release();
    },
  };
}

function copyTile(from: TileMemory, to: TileMemory): void {
  for (const name of Object.keys(from)) to[name].set(from[name]);
}
