/** The time of a run beside the limits of the machine: the limit that each stage has reached. */
import type { PartCost } from '../engine/head.js';
import type { Limits } from '../machine/limits.js';

/** The work of one stage, all threads together. */
export interface StageWork {
  readonly seconds: number;
  /** Absent for a stage that one thread does. */
  readonly shared?: { readonly busySeconds: number; readonly rowsGathered: number };
}

export const causes = ['gemm', 'randomRows', 'stream', 'idle', 'oneThread', 'other'] as const;
export type Cause = (typeof causes)[number];

/**
 * Seconds of the time, by what they are for:
 *   gemm, randomRows, stream   what its products, gathers and copies take at the rates measured on all threads
 *   idle                       threads that wait for others at the end of the stage
 *   oneThread                  stages that only one thread works on
 *   other                      what is left: kernels between the products, bookkeeping, limits that were not reached
 */
export type Causes = Readonly<Record<Cause, number>>;

export interface Explained {
  readonly nodes: number;
  /** Bytes of a gathered row where the costs do not say. */
  readonly rowBytes: number;
  /** The cost of a node in each stage. */
  readonly costs: Readonly<Record<string, PartCost>>;
}

export function explainStages(
  work: Readonly<Record<string, StageWork>>,
  { nodes, rowBytes: plainBytes, costs }: Explained,
  limits: Limits,
): Record<string, Causes> {
  const explain = (stage: string, { seconds, shared }: StageWork): Causes => {
    if (!shared) return causesOf({ oneThread: seconds });
    const { flops = 0, streamedBytes = 0, rowBytes = plainBytes } = costs[stage] ?? {};
    const wanted = {
      gemm: (nodes * flops) / (limits.gemmGflops * 1e9),
      randomRows: (shared.rowsGathered * rowBytes) / (limits.randomRowGBps * 1e9),
      stream: (nodes * streamedBytes) / (limits.streamGBps * 1e9),
    };
    const idle = Math.max(0, seconds - shared.busySeconds / limits.threads);
    // The limits are measured some time after the run: on a machine with other work they may promise more or less.
    const scale = Math.min(1, (seconds - idle) / (wanted.gemm + wanted.randomRows + wanted.stream || 1));
    const parts = {
      gemm: wanted.gemm * scale,
      randomRows: wanted.randomRows * scale,
      stream: wanted.stream * scale,
      idle,
    };
    return causesOf({ ...parts, other: seconds - parts.gemm - parts.randomRows - parts.stream - idle });
  };
  return Object.fromEntries(Object.entries(work).map(([stage, done]) => [stage, explain(stage, done)]));
}

export function causesOf(known: Partial<Causes>): Causes {
  return { gemm: 0, randomRows: 0, stream: 0, idle: 0, oneThread: 0, other: 0, ...known };
}

/** Scales causes to another total time, in the same shares. */
export function scaledCauses(all: Causes, seconds: number): Causes {
  const factor = seconds / (secondsOf(all) || 1);
  return Object.fromEntries(causes.map((cause) => [cause, all[cause] * factor])) as Causes;
}

export function secondsOf(all: Causes): number {
  return causes.reduce((sum, cause) => sum + all[cause], 0);
}

export function sumOfCauses(stages: Readonly<Record<string, Causes>>): Causes {
  const total = (cause: Cause) => Object.values(stages).reduce((sum, causes) => sum + causes[cause], 0);
  return Object.fromEntries(causes.map((cause) => [cause, total(cause)])) as Causes;
}

export function greatestCause(total: Causes): Cause {
  return causes.reduce((greatest, cause) => (total[cause] > total[greatest] ? cause : greatest));
}
