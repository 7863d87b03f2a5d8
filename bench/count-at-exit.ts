/** Loaded by `--import` before a command: leaves what its process has spent in the file that COUNTS_FILE names. */
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** All threads of a process; bytes as it asked the system for them, whether or not they were cached. */
export interface Counts {
  readonly cpuSeconds: number;
  readonly seconds: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

const file = process.env.COUNTS_FILE;
if (isMainThread && file !== undefined) process.on('exit', () => writeFileSync(file, JSON.stringify(countsNow())));

/** What this process has spent so far. */
export function countsNow(): Counts {
  const { user, system } = process.cpuUsage();
  const io = readFileSync('/proc/self/io', 'utf8');
  const bytes = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(io)?.[1] ?? 0);
  return {
    cpuSeconds: (user + system) / 1e6,
    seconds: process.uptime(),
    readBytes: bytes('rchar'),
    writtenBytes: bytes('wchar'),
  };
}
