import { work } from '../jobs/worker.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

/** Milliseconds to finish a task, or to hand it back. */
export const graceMs = 20_000;

export const run: Run<'worker'> = async (values, { signal, log, metrics, clusterPassword }) => {
  const { runs, tasks } = await work({
    ...values,
    clusterPassword,
    signal,
    onNotice: log.warn,
    observer: metrics?.works(),
  });
  const facts = table([
    ['runs', count(runs)],
    ['shards', count(tasks)],
  ]);
  return { json: { runs, tasks }, text: facts };
};
