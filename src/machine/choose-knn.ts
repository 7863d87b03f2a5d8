/** The devices that find a kNN graph: those that were asked for by name. */
import type { BackendName, OnnxProvider } from '../backends/names.js';
import { planBackend } from '../backends/plan.js';
import { residentBytesOf } from '../devices/device-memory.js';
import { NaanError } from '../errors.js';
import type { FindKnnOptions } from '../knn/find.js';
import type { KnnDevices } from '../knn/on-device.js';

export interface KnnComputing {
  /** Default: `native`, the CPU. */
  readonly backend?: BackendName | 'auto' | undefined;
  /** Of `onnx`; `auto`, the default, takes a GPU if there is one, else the CPU. */
  readonly provider?: OnnxProvider | 'auto' | undefined;
  /** Numbers of GPUs; default: 0 alone. */
  readonly devices?: readonly number[] | undefined;
  /** Rows that a device compares with all others at once; default 512. */
  readonly batch?: number | undefined;
  /** Bytes of a device's memory that rows may take for the whole search; default: see `residentBytesOf`. */
  readonly deviceMemory?: number | undefined;
}

/** Undefined where the CPU finds the graph by itself. Throws BAD_USAGE for a method that devices do not have. */
export function devicesForKnn(
  { backend = 'auto', provider = 'auto', devices = [0], batch, deviceMemory }: KnnComputing,
  { method = 'auto', work }: Pick<FindKnnOptions, 'method' | 'work'>,
): KnnDevices | undefined {
  if (backend === 'native' || (backend === 'auto' && provider === 'auto')) return undefined;
  if (method !== 'auto' && method !== 'exact') {
    throw new NaanError('BAD_USAGE', `method: back-ends beside native find exact graphs, got ${method}`);
  }
  if (work?.share) throw new NaanError('BAD_USAGE', 'cluster: ranks share a search on the CPU, by back-end native');
  const plan = planBackend(backend, provider);
  const choices = [...plan.devices, ...(plan.otherwise ? [plan.otherwise] : [])];
  return { choices, devices, batch, residentBytes: deviceMemory ?? residentBytesOf(choices, devices) };
}
