import { report } from '../jobs/report.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'report'> = async ({ run, truth, images, out, overwrite }) => {
  const summary = await report({ run, truth, images, out, overwrite });
  const facts = table([
    ['rows', count(summary.rows)],
    ['clusters', count(summary.clusters)],
    ['thumbnails', count(summary.thumbnails)],
    ['page', `${count(summary.bytes / 1000)} kB`],
  ]);
  return { json: summary, text: `${facts}\n\nthe report is ${summary.out}` };
};
