import { availableCores } from '../cgroup.js';
import { NaanError } from '../errors.js';

/** More would only wait for one another, and each takes memory and time to start. */
export const maxThreads = Math.max(32, 4 * availableCores());

/** Throws BAD_USAGE. */
export function checkThreads(threads: number): void {
  if (Number.isInteger(threads) && threads >= 1 && threads <= maxThreads) return;
  throw new NaanError('BAD_USAGE', `threads: got ${threads}, expected an integer from 1 to ${maxThreads}`);
}
