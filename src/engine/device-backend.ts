/** A worker's end of a device: a back-end whose arithmetic the device's owner does, or `native` once the device has gone. */
import {
  type Backend,
  type BackendName,
  startBackend,
  type TileCapacity,
  type TileMemory,
} from '../backends/backend.js';
import type { BackendChoice } from '../backends/plan.js';
import { NaanError } from '../errors.js';
import type { SimdLevel } from '../kernels/kernels.js';
import type { FactoredModel } from '../model/factored.js';
import { DeviceLink, type TileStage } from './device-link.js';
import type { DevicesHandle } from './devices.js';

export interface WorkerBackendOptions {
  readonly devices: DevicesHandle | undefined;
  /** What to start where there is no device. */
  readonly otherwise: BackendChoice | undefined;
  readonly simd: SimdLevel | undefined;
  /** Number of the worker. */
  readonly worker: number;
}

/** What a worker computes with. Throws BACKEND_UNAVAILABLE. */
export async function startWorkerBackend(
  model: FactoredModel,
  capacity: TileCapacity,
  { devices, otherwise, simd, worker }: WorkerBackendOptions,
): Promise<Backend> {
  if (devices) {
    const { links, choices } = devices;
    const link = new DeviceLink(links[worker % links.length]);
    if (link.waitForStart()) {
      const native = () => startBackend('native', model, capacity, { simd });
      return new DeviceBackend(link, Math.floor(worker / links.length), choices[link.choice], native);
    }
    if (!otherwise) throw new NaanError('BACKEND_UNAVAILABLE', link.reason);
  }
  if (!otherwise) throw new Error('neither a device nor a back-end was planned');
  const { backend, provider } = otherwise;
  return startBackend(backend, model, capacity, { simd, provider });
}

class DeviceBackend implements Backend {
  readonly name: BackendName;
  readonly provider?: string;
  private instead: Backend | undefined;

  constructor(
    private readonly link: DeviceLink,
    private readonly slot: number,
    { backend, provider }: BackendChoice,
    private readonly startNative: () => Promise<Backend>,
  ) {
    this.name = backend;
    if (provider) this.provider = provider;
  }

  get tile(): TileMemory {
    return this.instead?.tile ?? this.link.handle.tiles[this.slot];
  }

  project(count: number): Promise<void> {
    return this.compute('project', count);
  }

  aggregate(count: number): Promise<void> {
    return this.compute('aggregate', count);
  }

  embed(count: number): Promise<void> {
    return this.compute('embed', count);
  }

  split(count: number): Promise<void> {
    return this.compute('split', count);
  }

  score(edgeCount: number): Promise<void> {
    return this.compute('score', edgeCount);
  }

  async release(): Promise<void> {
    await this.instead?.release();
  }

  /** The caller of a batch that the device did not do holds the slot's tile, so the results go there once more. */
  private async compute(stage: TileStage, count: number): Promise<void> {
    if (this.instead) return this.instead[stage](count);
    if (this.link.compute(this.slot, stage, count)) return;
    const { tile } = this;
    const native = await this.startNative();
    this.link.countFallback();
    copyTile(tile, native.tile);
    await native[stage](count);
    copyTile(native.tile, tile);
    this.instead = native;
  }
}

function copyTile(from: TileMemory, to: TileMemory): void {
  for (const name of Object.keys(from) as (keyof TileMemory)[]) to[name].set(from[name]);
}
