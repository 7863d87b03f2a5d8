/** Threads that train head `pairwise`, and how work is cut for them. */
import type { Executor } from '../../execution/executor.js';
import { Pool } from '../../execution/pool.js';

export function startTrainingThreads(threads: number): Executor {
  return new Pool({ worker: new URL('../../../workers/pairwise-training-worker.js', import.meta.url), threads });
}

/** 0 .. count−1 in ranges of at most `atOnce`. */
export function rangesOf(count: number, atOnce: number): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  for (let start = 0; start < count; start += atOnce) ranges.push({ start, end: Math.min(start + atOnce, count) });
  return ranges;
}
