/** The command line, place and time of a run, for run.json and train.json. */
import { arch, cpus, hostname, platform, release, totalmem } from 'node:os';

export interface RunDescription {
  /** The command line as it was typed, where the run was started by one. */
  readonly commandLine?: readonly string[];
  readonly directory: string;
  readonly host: string;
  readonly system: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** ISO 8601, UTC. */
  readonly started: string;
  readonly ended: string;
  /** The time at which the run that this one goes on with began. */
  readonly goesOnFrom?: string | undefined;
  /** The number of times that the run was resumed, this time included: 1 after one process that was cut off. */
  readonly resumes?: number | undefined;
}

/** `began`: as `performance.now()` had it. */
export function describeRun(
  began: number,
  more: { readonly commandLine?: readonly string[] | undefined } & Pick<RunDescription, 'goesOnFrom' | 'resumes'> = {},
): RunDescription {
  const cores = cpus();
  const now = Date.now();
  return {
    ...(more.commandLine && { commandLine: more.commandLine }),
    directory: process.cwd(),
    host: hostname(),
    system: `${platform()} ${release()} ${arch()}`,
    cpu: cores[0]?.model.trim() ?? '',
    cores: cores.length,
    memoryBytes: totalmem(),
    started: new Date(now - (performance.now() - began)).toISOString(),
    ended: new Date(now).toISOString(),
    ...(more.goesOnFrom !== undefined && { goesOnFrom: more.goesOnFrom, resumes: more.resumes }),
  };
}
