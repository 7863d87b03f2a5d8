/** The main thread's hold on devices: starts the threads that own them, hears what happened to them, ends them politely. */

import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { BackendModel, TileCapacity } from '../backends/backend.js';
import { forbidReducedPrecision } from '../backends/onnx-providers.js';
import type { BackendChoice, BackendPlan } from '../backends/plan.js';
import { layoutOf } from '../backends/stages.js';
import { NaanError } from '../errors.js';
import { type DeviceCounter, DeviceLink, type DeviceLinkHandle } from './link.js';

/** Data of the thread that owns a device. */
export interface DeviceWorkerData {
  /** Exports `startDevice`. */
  readonly module: string;
  readonly choices: readonly BackendChoice[];
  readonly model: BackendModel;
  readonly capacity: TileCapacity;
  readonly device: number;
  readonly handle: DeviceLinkHandle;
}

/** Said by that thread when it ends before it is asked to. */
export interface DeviceEnd {
  readonly reason: string;
  readonly started: boolean;
}

/** The handle by which workers feed devices. */
export interface DevicesHandle {
  readonly choices: readonly BackendChoice[];
  readonly links: readonly DeviceLinkHandle[];
}

export interface DevicesOptions {
  readonly plan: BackendPlan;
  readonly model: BackendModel;
  readonly capacity: TileCapacity;
  /** Workers that feed them. */
  readonly threads: number;
  /** Numbers of the devices; workers are spread over them. */
  readonly devices: readonly number[];
  readonly onNotice?: ((message: string) => void) | undefined;
  /** The module that starts a device; default `backends/start-device.js`. */
  readonly module?: URL | undefined;
}

/** The counters of a device, for metrics and run.json. */
export interface DeviceReading {
  readonly device: number;
  of(counter: DeviceCounter): number;
}

/** Longest wait for a device's thread to finish what it has in hand. */
const endMs = 10_000;

export class Devices {
  readonly handle: DevicesHandle;
  readonly readings: readonly DeviceReading[];
  private readonly links: readonly DeviceLink[];
  private readonly workers: readonly Worker[];

  /** Throws BAD_USAGE for device numbers that a provider cannot take. */
  constructor({ plan, model, capacity, threads, devices, onNotice, module }: DevicesOptions) {
    checkNumbers(plan.devices, devices);
    forbidReducedPrecision();
    const slots = Math.ceil(threads / devices.length);
    this.links = devices.map(() => DeviceLink.allocate(layoutOf(model, capacity), slots));
    this.handle = { choices: plan.devices, links: this.links.map((link) => link.handle) };
    this.readings = this.links.map((link, i) => ({ device: devices[i], of: (counter) => link.of(counter) }));
    this.workers = this.links.map((link, i) => {
      const workerData: DeviceWorkerData = {
        module: (module ?? new URL('../backends/start-device.js', import.meta.url)).href,
        choices: plan.devices,
        model,
        capacity,
        device: devices[i],
        handle: link.handle,
      };
      const worker = new Worker(new URL('../../workers/device-worker.js', import.meta.url), { workerData });
      const tell = ({ reason, started }: DeviceEnd) => {
        if (started) onNotice?.(`device ${devices[i]} was lost, its workers go on with native: ${reason}`);
        else if (plan.otherwise) onNotice?.(`back-end ${plan.otherwise.backend} is used, not a GPU: ${reason}`);
      };
      worker.on('message', tell);
      const died = (reason: string) => {
        if (link.isGone || link.isClosing) return;
        link.end(reason);
        tell({ reason, started: true });
      };
      worker.on('error', (error) => died(error.message));
      worker.on('exit', () => died('its thread has ended'));
      worker.unref();
      return worker;
    });
  }

  /** The counters of each device, as plain data. */
  summary(): Readonly<Record<Exclude<DeviceCounter, 'queue'> | 'device', number>>[] {
    return this.readings.map(({ device, of }) => ({
      device,
      batches: of('batches'),
      rows: of('rows'),
      bytes: of('bytes'),
      busySeconds: of('busySeconds'),
      retries: of('retries'),
      fallbacks: of('fallbacks'),
    }));
  }

  /** Ends the threads once they have computed what they have in hand. Native code must never be interrupted. */
  async close(): Promise<void> {
    const exits = this.workers.map((worker) => worker.threadId < 0 || once(worker, 'exit'));
    for (const link of this.links) link.close();
    const stop = new AbortController();
    await Promise.race([Promise.all(exits), setTimeout(endMs, undefined, { signal: stop.signal }).catch(() => {})]);
    stop.abort();
  }
}

function checkNumbers(choices: readonly BackendChoice[], devices: readonly number[]): void {
  if (devices.length === 1 && devices[0] === 0) return;
  const one = choices.find(({ provider }) => provider !== 'cuda' && provider !== 'tensorrt' && provider !== 'cpu');
  if (!one) return;
  throw new NaanError(
    'BAD_USAGE',
    `${one.provider ?? one.backend} computes on the one adapter that the system prefers, got devices ${devices.join(',')}, expected 0: use --provider cuda`,
  );
}
