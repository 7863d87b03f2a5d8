/** A pool worker that fails as its task says. */
import { NaanError, rethrowPortable } from '../../src/errors.js';

export interface FlakyTask {
  readonly id: number;
  /** Attempts so far by task id. */
  readonly attempts: Int32Array;
  /** Attempts that fail. */
  readonly failures: number;
  readonly badInput?: boolean;
}

export default ({ id, attempts, failures, badInput }: FlakyTask): number => {
  const attempt = Atomics.add(attempts, id, 1) + 1;
  if (badInput) rethrowPortable(new NaanError('BAD_INPUT', `row ${id} is NaN`));
  if (attempt <= failures) throw new Error(`broken at attempt ${attempt}`);
  return id;
};
