/** Thread entry of measuring the machine: runs the probes it is given. */
import { type LimitTask, probe } from '../src/engine/limit-probes.js';
import { startWorker } from '../src/engine/worker-start.js';
import { rethrowPortable } from '../src/errors.js';

await startWorker(async () => undefined);

export default async function run(task: LimitTask): Promise<unknown> {
  try {
    return await probe(task);
  } catch (error) {
    rethrowPortable(error);
  }
}
