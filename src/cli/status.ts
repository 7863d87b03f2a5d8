import { readWork } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'status'> = async ({ workDir }) => {
  const status = readWork(workDir);
  if (!status) {
    throw new NaanError('BAD_INPUT', `${workDir}: holds no run, expected a folder that naan label had as --work-dir`);
  }
  const { header, done, finished, process } = status;
  const total = done.length * header.shards;
  const whole = done.reduce((sum, { shards }) => sum + shards, 0);
  const share = (shards: number, of: number) => `${count(shards)} of ${count(of)} shards`;
  const state = finished
    ? `finished ${finished}`
    : process === undefined
      ? 'stopped'
      : `process ${process} works on it`;
  const rounds = new Set(done.map(({ round }) => round)).size > 1;
  const facts = table([
    ['started', header.started],
    ['state', state],
    ['nodes', count(header.nodes)],
    ['rows', header.precision],
    ['done', share(whole, total)],
    ...done.map(({ stage, round, shards }) => [
      `  ${stage}${rounds && stage === 'score' ? `, round ${round + 1}` : ''}`,
      share(shards, header.shards),
    ]),
  ]);
  const next = finished || process !== undefined ? '' : '\n\nthe same naan label command goes on from here';
  return { json: { ...status, shardsDone: whole, shards: total }, text: facts + next };
};
