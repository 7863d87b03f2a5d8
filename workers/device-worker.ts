/** Thread entry of a device's owner: starts the first back-end that can, then serves until it is closed. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Backend } from '../src/backends/backend.js';
import type { startDevice } from '../src/backends/start-device.js';
import type { DeviceEnd, DeviceWorkerData } from '../src/devices/devices.js';
import { DeviceLink } from '../src/devices/link.js';
import { DeviceOwner } from '../src/devices/owner.js';

const { module, choices, model, capacity, device, handle } = workerData as DeviceWorkerData;
const link = new DeviceLink(handle);
const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, ' ');

async function start(): Promise<Backend | undefined> {
  const reasons: string[] = [];
  const starting: { startDevice: typeof startDevice } = await import(module);
  for (const [number, choice] of choices.entries()) {
    try {
      const backend = await starting.startDevice(choice, model, capacity, device);
      link.started(number);
      return backend;
    } catch (error) {
      reasons.push(reasonOf(error));
    }
  }
  link.end(reasons.join('; '));
  return undefined;
}

let backend: Backend | undefined;
try {
  backend = await start();
  if (backend) await new DeviceOwner(backend, link).serve();
} catch (error) {
  link.end(reasonOf(error));
}
if (!link.isClosing)
  parentPort?.postMessage({ reason: link.reason, started: backend !== undefined } satisfies DeviceEnd);
await backend?.release();
