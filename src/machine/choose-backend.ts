/**
 * The back-end that `auto` takes: a real GPU where it was measured to be faster than this machine's processor, else `native`.
 * Measuring starts each of them in a process of its own and takes seconds, so it is done for sets that take longer.
 */
import { type BackendChoice, realDevices } from '../backends/plan.js';
import { availableCores } from '../cgroup.js';
import { labelDefaults } from '../defaults.js';
import type { BackendRate, Head } from '../engine/head.js';
import type { EngineOptions } from '../engine/scoring-run.js';
import { NaanError } from '../errors.js';
import { type Probe, type ProbeRequest, probeBackend } from './backend-probe.js';

type RateName = BackendRate['name'];

/** Rates of one back-end on as many threads as it is of use to it. */
interface MeasuredBackend extends Readonly<Record<RateName, number>> {
  readonly backend: string;
  readonly provider?: string | undefined;
  readonly software?: boolean | undefined;
}

/** The back-end that is taken, and why. */
export interface ChosenBackend {
  readonly backend: string;
  readonly provider?: string | undefined;
  readonly reason: string;
}

const unitOf: Readonly<Record<RateName, string>> = { nodesPerSecond: 'nodes/s', edgesPerSecond: 'edges/s' };
/** Providers that are taken of themselves, on a real adapter. */
export const unasked = ['cuda', 'webgpu'];

/** The fastest of `native` and of the real GPUs; undefined where `native` does not start and no GPU is. */
export function fastestBy(rateName: RateName, measured: readonly MeasuredBackend[]): ChosenBackend | undefined {
  const rate = (found: MeasuredBackend) => found[rateName];
  const told = (found: MeasuredBackend) =>
    `${nameOf(found)} ${Math.round(rate(found)).toLocaleString('en')} ${unitOf[rateName]}`;
  const native = measured.find(({ backend }) => backend === 'native');
  const gpus = measured.filter(
    ({ backend, provider, software }) => backend === 'onnx' && !software && unasked.includes(provider ?? ''),
  );
  const [best] = [...(native ? [native] : []), ...gpus].sort((a, b) => rate(b) - rate(a));
  if (!best) return undefined;
  const others = [native, ...gpus].filter((other) => other !== undefined && other !== best) as MeasuredBackend[];
  const against = others.length > 0 ? `, not ${others.map(told).join(', ')}` : ', and no GPU to compare it with';
  return { backend: best.backend, provider: best.provider, reason: `${told(best)}${against}` };
}

interface Task {
  readonly head: Pick<Head, 'backendRate'>;
  readonly rows: number;
}

interface ChoiceRequest extends Task {
  readonly threads: number;
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The choice of `auto` for a set. `devices`: GPUs that may be here. `measure` throws BACKEND_UNAVAILABLE for one that does not start,
 * which is then left out.
 */
export async function chooseBackend(
  { head, rows, threads, batch, signal }: ChoiceRequest,
  devices: readonly BackendChoice[] = realDevices().devices,
  measure: (request: ProbeRequest, signal?: AbortSignal) => Promise<Probe> = probeBackend,
): Promise<BackendChoice & { readonly reason?: string }> {
  if (devices.length === 0 || !head.backendRate || rows < head.backendRate.fromRows) return { backend: 'native' };
  const measured: MeasuredBackend[] = [];
  for (const choice of [{ backend: 'native' } as const, ...devices]) {
    try {
      const onThreads = choice.backend === 'native' ? threads : 1;
      measured.push(await measure({ ...choice, threads: onThreads, batch, seconds }, signal));
    } catch (error) {
      if (!(error instanceof NaanError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    }
  }
  const best = fastestBy(head.backendRate.name, measured);
  const device = devices.find(({ backend, provider }) => backend === best?.backend && provider === best.provider);
  return { ...(device ?? { backend: 'native' }), ...(best && { reason: best.reason }) };
}

const seconds = 0.5;

/** The back-end that was asked for, or what `auto` comes to, which is then told. Throws CANCELLED after an abort. */
export async function resolveBackend(
  { backend = 'auto', provider = 'auto', onNotice, ...options }: Omit<EngineOptions, 'precision'>,
  task: Task,
): Promise<Pick<EngineOptions, 'backend' | 'provider'>> {
  if (backend !== 'auto' || provider !== 'auto') return { backend, provider };
  const { threads = availableCores(), batch = labelDefaults.batch, signal } = options;
  const taken = await chooseBackend({ ...task, threads, batch, signal });
  if (taken.reason) onNotice?.(`computes by ${taken.reason}`);
  return { backend: taken.backend, provider: taken.provider };
}

export function nameOf({
  backend,
  provider,
  software,
}: Pick<MeasuredBackend, 'backend' | 'provider' | 'software'>): string {
  const where = software ? `${provider}, software` : provider;
  return where === undefined ? backend : `${backend} (${where})`;
}
