/** A diagnosis of this machine: its parts, the speed of each back-end on it, and the back-end that `auto` takes. */
import { backendNames, onnxProviders } from '../backends/names.js';
import { missingFor } from '../backends/onnx-providers.js';
import type { BackendChoice } from '../backends/plan.js';
import { knnDefaults } from '../defaults.js';
import type { Head } from '../engine/head.js';
import { NaanError } from '../errors.js';
import { type HeadName, headNames, heads } from '../heads/heads.js';
import { type Probe, type ProbeRequest, probeBackend } from '../machine/backend-probe.js';
import { type ChosenBackend, fastestBy } from '../machine/choose-backend.js';
import { type ChosenKnn, fastestKnn } from '../machine/choose-knn.js';
import { type Limits, measureLimits } from '../machine/limits.js';
import { describeMachine, type Machine } from '../machine/machine.js';
import { arithmeticOf } from '../machines/arithmetic.js';
import type { ProgressListener } from '../progress.js';

export interface DoctorOptions {
  /** Default: the cores this process may use. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
}

interface Rate {
  readonly threads: number;
  /** Nodes through the stages of head `concat`. */
  readonly nodesPerSecond: number;
  /** Edges through the networks of head `pairwise`. */
  readonly edgesPerSecond: number;
  /** Pairs of rows of 512 columns, compared for kNN. */
  readonly pairsPerSecond: number;
  readonly gflops: number;
}

interface BackendDiagnosis {
  readonly backend: string;
  readonly provider?: string | undefined;
  /** True for a device that calls itself a GPU and computes on the CPU. */
  readonly software?: boolean;
  /** Rates on one thread, then on all threads where they are of use; none where the back-end cannot start. */
  readonly rates: readonly Rate[];
  /** Why it cannot start, in one line. */
  readonly reason?: string;
}

export interface Diagnosis {
  readonly machine: Machine;
  readonly limits: Limits;
  /** The digest of the arithmetic of each head: machines with equal digests may share a run. */
  readonly arithmetic: Readonly<Record<HeadName, string>>;
  readonly backends: readonly BackendDiagnosis[];
  /** The back-end that `--backend auto` takes for each head, and why; none where none starts. */
  readonly auto: Readonly<Partial<Record<HeadName, ChosenBackend>>>;
  /** The same for the kNN graph of sets of some sizes. */
  readonly autoKnn: readonly ChosenKnn[];
}

/** Every back-end and provider. */
export const candidates: readonly BackendChoice[] = backendNames.flatMap((backend): BackendChoice[] =>
  backend === 'onnx' ? onnxProviders.map((provider) => ({ backend, provider })) : [{ backend }],
);

/** Sets whose kNN graph a diagnosis tells of. */
const knnSets = [100_000, 1_000_000].map((rows) => ({ rows, dim: 512, k: knnDefaults.k }));

const secondsEach = 0.5;
const batch = 512;
/** The batch of a back-end that computes a few hundred nodes a second or fewer. */
const slowBatch = 32;

/** Takes a second or two a back-end that starts. Throws CANCELLED after an abort. */
export async function diagnose(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { signal, onProgress } = options;
  const machine = describeMachine();
  const threads = options.threads ?? machine.threads;
  const total = candidates.length + 1;
  let done = 0;
  const tell = (stage: string) => onProgress?.({ stage, done: done++, total, unit: 'runs' });

  tell('limits');
  const limits = await measureLimits({ threads, secondsEach, signal });
  const backends: BackendDiagnosis[] = [];
  for (const candidate of candidates) {
    tell(candidate.provider ?? candidate.backend);
    backends.push(await diagnoseBackend(candidate, threads, signal));
  }
  const arithmetic: Partial<Record<HeadName, string>> = {};
  const auto: Partial<Record<HeadName, ChosenBackend>> = {};
  for (const name of headNames) {
    arithmetic[name] = await arithmeticOf(name, signal);
    const chosen = automatic(heads[name], backends);
    if (chosen) auto[name] = chosen;
  }
  const autoKnn = knnSets.map((set) => fastestKnn(set, mostOf(backends))).filter((chosen) => chosen !== undefined);
  return { machine, limits, arithmetic: arithmetic as Record<HeadName, string>, backends, auto, autoKnn };
}

function automatic({ backendRate }: Head, backends: readonly BackendDiagnosis[]): ChosenBackend | undefined {
  if (!backendRate) return { backend: 'native', reason: 'it computes nothing that a GPU would' };
  return fastestBy(backendRate.name, mostOf(backends));
}

/** Back-ends that start, with their greatest rates. */
function mostOf(backends: readonly BackendDiagnosis[]) {
  return backends
    .filter(({ rates }) => rates.length > 0)
    .map(({ rates, ...backend }) => ({
      ...backend,
      nodesPerSecond: Math.max(...rates.map((rate) => rate.nodesPerSecond)),
      edgesPerSecond: Math.max(...rates.map((rate) => rate.edgesPerSecond)),
      pairsPerSecond: Math.max(...rates.map((rate) => rate.pairsPerSecond)),
    }));
}

async function diagnoseBackend(
  candidate: BackendChoice,
  threads: number,
  signal: AbortSignal | undefined,
): Promise<BackendDiagnosis> {
  const slow = candidate.backend === 'reference' || (candidate.provider === 'webgpu' && missingFor('webgpu'));
  const size = slow ? slowBatch : batch;
  const request: ProbeRequest = { ...candidate, threads: 1, batch: size, seconds: secondsEach };
  try {
    const probes = [await probeBackend(request, signal)];
    const [{ backend, provider, software }] = probes;
    if (threads > 1 && usesThreads(probes[0])) probes.push(await probeBackend({ ...request, threads }, signal));
    const rates = probes.map((probe): Rate => {
      const { nodesPerSecond, edgesPerSecond, pairsPerSecond, gflops } = probe;
      return { threads: probe.threads, nodesPerSecond, edgesPerSecond, pairsPerSecond, gflops };
    });
    return { backend, provider, software, rates };
  } catch (error) {
    if (!(error instanceof NaanError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    return { ...candidate, rates: [], reason: error.message };
  }
}

/** A device has one owner, and nobody runs plain loops in earnest. */
export function usesThreads({ backend, provider = 'CPU' }: Probe): boolean {
  return backend !== 'reference' && ['cpu', 'CPU', 'WebAssembly'].includes(provider);
}
