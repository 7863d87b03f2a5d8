import { add } from '../jobs/add.js';
import type { NextRunResult } from '../jobs/next-run.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';
import { describeChanges } from './label.js';

export const run: Run<'add'> = async (values, { signal, onProgress, log, commandLine }) => {
  const result = await add({ ...values, signal, onProgress, onNotice: log.warn, commandLine });
  return { json: { ...result.summary, ...result.change, out: values.out }, text: describeNext(result, values.out) };
};

/** The text that `add` and `remove` print. */
export function describeNext({ change, summary }: NextRunResult, out: string): string {
  const { joined, left, searched, displaced } = change;
  const facts = table([
    ['rows', count(summary.nodes)],
    ...(joined > 0 ? [['  joined', count(joined)]] : []),
    ...(left > 0 ? [['  left', count(left)]] : []),
    ['lists found', count(searched)],
    ['lists that changed', count(displaced)],
    ['candidate edges', count(summary.edges)],
    ['edges scored', summary.scoredAnew === undefined ? 'all' : count(summary.scoredAnew)],
    ['clusters', count(summary.clusters)],
    ['  of one node', count(summary.singletons)],
    ['time', duration(summary.seconds.total)],
  ]);
  return `${facts}\n\nlabels, and all that they are made from, are in ${out}${describeChanges(summary)}`;
}
