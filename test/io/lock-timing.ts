import type { LockTiming } from '../../src/io/folder-lock.js';

/** Owners show signs of life often, and are not waited for long. */
export const quickTiming: LockTiming = { heartbeatMs: 50, looks: 40, lookMs: 50, leaseSeconds: 1, patienceMs: 1000 };
