/** Thread entry of measuring the machine: runs the probes it is given. */

import { rethrowPortable } from '../src/errors.js';
import { startWorker } from '../src/execution/worker-start.js';
import { type LimitTask, probe } from '../src/machine/limit-probes.js';

await startWorker(async () => undefined);

export default async function run(task: LimitTask): Promise<unknown> {
  try {
    return await probe(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
