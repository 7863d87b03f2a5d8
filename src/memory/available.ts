import { freemem } from 'node:os';
import { readCgroupLimits } from '../cgroup.js';
import { NaanError } from '../errors.js';

/** Bytes that the machine, or the container that the process is in, has free. */
function availableBytes(): number {
  return Math.min(freemem(), readCgroupLimits().memoryBytes - process.memoryUsage.rss());
}

/** Bytes that a run may take where nobody says how many. */
export function usableBytes(): number {
  return Math.floor(0.9 * availableBytes());
}

/** Less than this is taken without asking. */
const small = 2 ** 26;

/**
 * Checks memory before an allocation whose size comes from a file. `what` names the file and what is to be in memory.
 * Throws OUT_OF_MEMORY when the machine has not so much free.
 */
export function requireMemory(bytes: number, what: string): void {
  if (bytes <= small) return;
  const usable = usableBytes();
  if (bytes <= usable) return;
  throw new NaanError(
    'OUT_OF_MEMORY',
    `${what}: ${gib(bytes)} GiB of memory are needed, but ${gib(usable)} GiB may be taken`,
  );
}

/** Bytes in GiB, for messages. */
export function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1);
}
