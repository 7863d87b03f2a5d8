/** A pool worker that fails as its task says. */
import { setTimeout } from 'node:timers/promises';
import { NaanError, rethrowPortable } from '../../src/errors.js';
import { startWorker } from '../../src/execution/worker-start.js';

export interface FlakyTask {
  readonly id: number;
  /** Attempts so far by task id. */
  readonly attempts: Int32Array;
  /** Attempts that fail. */
  readonly failures: number;
  readonly badInput?: boolean;
}

/** [0]: threads that began to start, [1]: those that came to the end of it. */
await startWorker(async (starts: Int32Array | undefined) => {
  if (starts === undefined) return;
  Atomics.add(starts, 0, 1);
  await setTimeout(50);
  Atomics.add(starts, 1, 1);
});

export default ({ id, attempts, failures, badInput }: FlakyTask): number => {
  const attempt = Atomics.add(attempts, id, 1) + 1;
  if (badInput) rethrowPortable(new NaanError('BAD_INPUT', `row ${id} is NaN`));
  if (attempt <= failures) throw new Error(`broken at attempt ${attempt}`);
  return id;
};
