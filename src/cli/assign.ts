import { type AssignSummary, assign } from '../jobs/assign.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';

export const run: Run<'assign'> = async (values, { signal, onProgress, log }) => {
  const { summary } = await assign({ ...values, signal, onProgress, onNotice: log.warn });
  return { json: { ...summary, out: values.out }, text: describe(summary, values.out) };
};

function describe(
  { rows, assigned, identities, threshold, seconds, rowsPerSecond }: AssignSummary,
  out: string,
): string {
  const facts = table([
    ['rows', count(rows)],
    ['with an identity', `${count(assigned)} of ${count(identities)} identities`],
    ['new', count(rows - assigned)],
    ['threshold', threshold.toFixed(3)],
    ['time', duration(seconds.total)],
    ['  read', duration(seconds.read)],
    ['  search', duration(seconds.search)],
    ['  score', duration(seconds.score)],
    ['rows a second', count(Math.round(rowsPerSecond))],
  ]);
  return `${facts}\n\nidentities are in ${out}`;
}
