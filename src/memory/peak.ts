/** The most memory that this process has held. */
import { readFileSync } from 'node:fs';

/**
 * Bytes of the largest resident size of this process, its threads among it. Linux hands down the figure of `getrusage` from the
 * process that started this one, however large that was; what it says of a process by itself is in /proc.
 */
export function peakResidentBytes(): number {
  if (process.platform === 'linux') {
    try {
      const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
      if (kib !== undefined) return Number(kib) * 1024;
    } catch {
      // Without /proc the other figure serves.
    }
  }
  return process.resourceUsage().maxRSS * 1024;
}
