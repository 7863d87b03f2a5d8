/**
 * Loaded before the command by bench/torture.ts (`node --import`): the journal of a work directory is synced every few
 * milliseconds rather than seconds, so that a run of a second or two is killed between shards that count.
 */
import { isMainThread } from 'node:worker_threads';
import { syncIntervalMs } from '../src/engine/work-dir.js';

const soonMs = 20;

if (isMainThread) {
  const plain = globalThis.setTimeout;
  const sooner = (work: () => void, delay?: number, ...rest: []) =>
    plain(work, delay === syncIntervalMs ? soonMs : delay, ...rest);
  globalThis.setTimeout = Object.assign(sooner, plain) as typeof setTimeout;
}
