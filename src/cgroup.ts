/** Limits that Linux control groups (cgroups) of version 1 and 2, and so containers and systemd units, set to this process. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/** Infinity where there is no limit. */
export interface CgroupLimits {
  readonly memoryBytes: number;
  /** Processor time per second of time. */
  readonly cores: number;
}

/** Version 1 writes a number near 2⁶³ for no limit. */
const noLimit = 2 ** 60;

/**
 * The least limits of the groups that the process is in and of all groups above these. In a container the path that the kernel names
 * may lie outside of what is mounted; the mount itself is the container's group then.
 * root: folder of `proc` and `sys`.
 */
export function readCgroupLimits(root = '/'): CgroupLimits {
  let memoryBytes = Number.POSITIVE_INFINITY;
  let cores = Number.POSITIVE_INFINITY;
  const hold = (bytes: number) => {
    if (bytes < noLimit) memoryBytes = Math.min(memoryBytes, bytes);
  };
  for (const line of (read(join(root, 'proc/self/cgroup')) ?? '').split('\n')) {
    // ID:CONTROLLERS:PATH, without controllers for version 2.
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    for (const group of upwards(path)) {
      const number = (name: string) => numberIn(read(join(root, 'sys/fs/cgroup', controllers, group, name)));
      if (controllers === '') {
        hold(number('memory.max'));
        hold(number('memory.high'));
        const [quota, period] = (read(join(root, 'sys/fs/cgroup', group, 'cpu.max')) ?? '').split(' ');
        cores = Math.min(cores, share(numberIn(quota), numberIn(period)));
      } else {
        hold(number('memory.limit_in_bytes'));
        cores = Math.min(cores, share(number('cpu.cfs_quota_us'), number('cpu.cfs_period_us')));
      }
    }
  }
  return { memoryBytes, cores };
}

/** Cores that this process may use: those that it sees, or fewer where a cgroup limits its processor time. At least 1. */
export function availableCores(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(readCgroupLimits().cores)));
}

/** `/a/b` → `/a/b`, `/a`, `/`. */
function upwards(path: string): string[] {
  const groups = [path];
  for (let group = path; group !== '/'; ) {
    group = dirname(group);
    groups.push(group);
  }
  return groups;
}

function share(quota: number, period: number): number {
  return quota > 0 && Number.isFinite(quota) && period > 0 ? quota / period : Number.POSITIVE_INFINITY;
}

/** Infinity for what is no number: a file that is not there, or `max`. */
function numberIn(text: string | undefined): number {
  return text !== undefined && /^-?\d+\s*$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
