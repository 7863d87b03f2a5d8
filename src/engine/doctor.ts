/** What this machine can do for naan: what it has, how fast each back-end computes on it, and which one `auto` takes. */
import type { BackendName, BackendOptions } from '../backends/backend.js';
import { NaanError } from '../errors.js';
import type { ProgressListener } from '../progress.js';
import { type Probe, type ProbeRequest, probeBackend } from './backend-probe.js';
import { type Limits, measureLimits } from './limits.js';
import { describeMachine, type Machine } from './machine.js';

export interface DoctorOptions {
  /** Default: the cores this process may use. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

interface Rate {
  readonly threads: number;
  readonly nodesPerSecond: number;
  readonly gflops: number;
}

export interface BackendDiagnosis {
  readonly backend: BackendName;
  readonly provider?: string | undefined;
  /** On one thread, then on all where that is of use; none where it cannot start. */
  readonly rates: readonly Rate[];
  /** Why it cannot start, in one line. */
  readonly reason?: string;
}

export interface Diagnosis {
  readonly machine: Machine;
  readonly limits: Limits;
  readonly backends: readonly BackendDiagnosis[];
  /** What `--backend auto` takes; undefined where nothing starts. */
  readonly auto: Pick<BackendDiagnosis, 'backend' | 'provider'> | undefined;
}

/** Every back-end and provider, the best for most first. */
export const candidates: readonly (BackendOptions & { readonly backend: BackendName })[] = [
  { backend: 'native' },
  { backend: 'tfjs' },
  { backend: 'reference' },
];

const secondsEach = 0.5;
const batch = 512;
/** Plain loops take a second for 500 nodes. */
const referenceBatch = 64;

/** Takes a few seconds a back-end. Throws CANCELLED after an abort. */
export async function diagnose(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { signal, onProgress } = options;
  const machine = describeMachine();
  const threads = options.threads ?? machine.threads;
  const total = candidates.length + 2;
  let done = 0;
  const tell = (stage: string) => onProgress?.({ stage, done: done++, total, unit: 'probes' });

  tell('limits');
  const limits = await measureLimits({ threads, secondsEach, signal });
  const backends: BackendDiagnosis[] = [];
  for (const candidate of candidates) {
    tell(candidate.backend);
    backends.push(await diagnoseBackend(candidate, threads, signal));
  }
  tell('auto');
  return { machine, limits, backends, auto: await automatic(signal) };
}

async function automatic(signal: AbortSignal | undefined): Promise<Diagnosis['auto']> {
  try {
    const { backend, provider } = await probeBackend({ backend: 'auto', threads: 1, batch: 1, seconds: 0 }, signal);
    return { backend, provider };
  } catch (error) {
    rethrowUnlessUnavailable(error);
    return undefined;
  }
}

async function diagnoseBackend(
  candidate: (typeof candidates)[number],
  threads: number,
  signal: AbortSignal | undefined,
): Promise<BackendDiagnosis> {
  const size = candidate.backend === 'reference' ? referenceBatch : batch;
  const request: ProbeRequest = { ...candidate, threads: 1, batch: size, seconds: secondsEach };
  try {
    const probes = [await probeBackend(request, signal)];
    const [{ backend, provider }] = probes;
    if (threads > 1 && usesThreads(probes[0])) probes.push(await probeBackend({ ...request, threads }, signal));
    const rates = probes.map((probe): Rate => {
      const { nodesPerSecond, gflops } = probe;
      return { threads: probe.threads, nodesPerSecond, gflops };
    });
    return { backend, provider, rates };
  } catch (error) {
    return { ...candidate, rates: [], reason: rethrowUnlessUnavailable(error) };
  }
}

function rethrowUnlessUnavailable(error: unknown): string {
  if (!(error instanceof NaanError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
  return error.message;
}

/** Threads that share a device only wait for each other, and nobody runs plain loops in earnest. */
function usesThreads({ backend, provider }: Probe): boolean {
  return backend !== 'reference' && provider !== 'CUDA';
}
