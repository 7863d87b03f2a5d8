/**
 * The devices that find a kNN graph: those that were asked for by name, or what `auto` comes to, which is a real GPU where the exact
 * search on it takes less time than the search that this machine's processor would make.
 */
import type { BackendName, OnnxProvider } from '../backends/names.js';
import { type BackendChoice, planBackend, realDevices } from '../backends/plan.js';
import { availableCores } from '../cgroup.js';
import { knnDefaults, labelDefaults } from '../defaults.js';
import { residentBytesOf } from '../devices/device-memory.js';
import { NaanError } from '../errors.js';
import { type FeatureLocation, shapeOf } from '../io/matrix.js';
import { exactBelow, type FindKnnOptions, planSearch } from '../knn/find.js';
import type { KnnDevices } from '../knn/on-device.js';
import { type Probe, type ProbeRequest, probeBackend } from './backend-probe.js';
import { type ChosenBackend, nameOf, unasked } from './choose-backend.js';

export interface KnnComputing {
  /** `auto`, the default, measures where a GPU may be here, and otherwise is `native`, the CPU. */
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

type Search = Pick<
  FindKnnOptions,
  'k' | 'method' | 'minRecall' | 'threads' | 'memory' | 'work' | 'signal' | 'onNotice' | 'duplicates'
>;
type Measure = (request: ProbeRequest, signal?: AbortSignal) => Promise<Probe>;

/** Undefined where the CPU finds the graph by itself. Throws BAD_USAGE for a method that devices do not have, CANCELLED after an abort. */
export async function devicesForKnn(
  features: FeatureLocation,
  computing: KnnComputing,
  search: Search,
): Promise<KnnDevices | undefined> {
  const { backend = 'auto', provider = 'auto' } = computing;
  const { method = 'auto', work } = search;
  if (backend === 'native') return undefined;
  if (backend === 'auto' && provider === 'auto') return fasterDevices(features, computing, search);
  if (method !== 'auto' && method !== 'exact') {
    throw new NaanError('BAD_USAGE', `method: back-ends beside native find exact graphs, got ${method}`);
  }
  if (work?.share) throw new NaanError('BAD_USAGE', 'cluster: ranks share a search on the CPU, by back-end native');
  const plan = planBackend(backend, provider);
  return withMemory([...plan.devices, ...(plan.otherwise ? [plan.otherwise] : [])], computing);
}

function withMemory(choices: readonly BackendChoice[], computing: KnnComputing): KnnDevices {
  const { devices = [0], batch, deviceMemory } = computing;
  return { choices, devices, batch, residentBytes: deviceMemory ?? residentBytesOf(choices, devices) };
}

/** Below it the CPU is done sooner than devices are measured. */
const measuredFrom = 300_000;
const seconds = 0.5;

/**
 * The devices on which the graph is found in less time than on the CPU, if there are any, which is told. `candidates`: GPUs that may be here.
 * `measure` throws BACKEND_UNAVAILABLE for one that does not start, which is then left out.
 */
export async function fasterDevices(
  features: FeatureLocation,
  computing: KnnComputing,
  search: Search,
  candidates: readonly BackendChoice[] = realDevices().devices,
  measure: Measure = probeBackend,
): Promise<KnnDevices | undefined> {
  const { rowCount: rows, dim } = shapeOf(features);
  const { k = knnDefaults.k, method = 'auto', threads = availableCores(), work, signal, onNotice } = search;
  if (candidates.length === 0 || rows < measuredFrom || work || !(method === 'auto' || method === 'exact')) {
    return undefined;
  }
  const measured: (Probe & { readonly choice?: BackendChoice })[] = [];
  for (const choice of [{ backend: 'native' } as const, ...candidates]) {
    const onThreads = choice.backend === 'native' ? threads : 1;
    try {
      const probe = await measure({ ...choice, threads: onThreads, batch: labelDefaults.batch, seconds }, signal);
      measured.push({ ...probe, choice });
    } catch (error) {
      if (!(error instanceof NaanError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    }
  }
  const best = fastestKnn({ rows, dim, k, method }, measured);
  const taken = candidates.find(({ backend, provider }) => backend === best?.backend && provider === best.provider);
  if (!best || !taken) return undefined;
  const onDevices = { ...withMemory([taken], computing), unasked: true };
  try {
    planSearch(features, { k, threads, memory: search.memory, onDevices });
  } catch (error) {
    if (!(error instanceof NaanError) || error.code !== 'OUT_OF_MEMORY') throw error;
    return undefined;
  }
  onNotice?.(`finds the kNN graph by ${best.reason}`);
  return onDevices;
}

interface KnnSet {
  readonly rows: number;
  readonly dim: number;
  readonly k: number;
  readonly method?: 'auto' | 'exact' | undefined;
}

export interface ChosenKnn extends ChosenBackend {
  readonly rows: number;
  readonly dim: number;
}

/** The GPUs of a run that `auto` may take for its graph: those that it computes with, or all. */
export function candidatesOf({ backend = 'auto', provider = 'auto' }: KnnComputing): readonly BackendChoice[] {
  if (backend !== 'auto' && backend !== 'onnx') return [];
  return realDevices().devices.filter((choice) => provider === 'auto' || choice.provider === provider);
}

interface MeasuredKnn {
  readonly backend: string;
  readonly provider?: string | undefined;
  readonly software?: boolean | undefined;
  readonly pairsPerSecond: number;
}

/** The columns of the rows that are measured. */
const probedDim = 512;
/** Driver, libraries and the upload of the first rows. */
const startSeconds = 3;

/** What takes the least time: `native`, by the method that it would take, or an exact search on a real GPU. */
export function fastestKnn(set: KnnSet, measured: readonly MeasuredKnn[]): ChosenKnn | undefined {
  const native = measured.find(({ backend }) => backend === 'native');
  if (!native) return undefined;
  const gpus = measured.filter(
    ({ backend, provider, software }) => backend === 'onnx' && !software && unasked.includes(provider ?? ''),
  );
  const estimates = [
    { found: native, time: nativeSeconds(set, native.pairsPerSecond) },
    ...gpus.map((found) => ({ found, time: deviceSeconds(set, found.pairsPerSecond) })),
  ].sort((a, b) => a.time - b.time);
  const [{ found }, ...others] = estimates;
  const told = (estimate: (typeof estimates)[number]) =>
    `${nameOf(estimate.found)} in about ${Math.ceil(estimate.time)} s`;
  const against = others.length > 0 ? `, not ${others.map(told).join(', ')}` : ', and no GPU to compare it with';
  const { rows, dim } = set;
  return { rows, dim, backend: found.backend, provider: found.provider, reason: `${told(estimates[0])}${against}` };
}

/** Products of fewer columns take less time, the selection of the nearest as much. */
function deviceSeconds({ rows, dim }: KnnSet, pairsPerSecond: number): number {
  return startSeconds + (rows ** 2 * Math.max(1, dim / probedDim)) / pairsPerSecond;
}

/**
 * The search by bounds, which is the exact one, makes six times as many pairs a second as the probe: it computes each pair once for
 * both rows, by products that cost a third. The time by cells grows with the power 1.4 of the rows, and is about half of an exact
 * search's where `auto` goes over to it (docs/performance.md). Both are on the low side, so that no slow device is taken.
 */
function nativeSeconds({ rows, dim, k, method }: KnnSet, pairsPerSecond: number): number {
  const exact = (count: number) => (count ** 2 * dim) / probedDim / pairsPerSecond;
  const level = exactBelow(dim, k);
  if (method === 'exact') return exact(rows) / 6;
  return rows < level ? exact(rows) / 2 : (exact(level) / 4) * (rows / level) ** 1.4;
}
