import { readWork } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import { readOwner } from '../io/folder-lock.js';
import { folderAtWork } from '../jobs/kept-graph.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'status'> = async ({ workDir }) => {
  const folder = folderAtWork(workDir);
  const status = readWork(folder);
  if (!status) {
    throw new NaanError(
      'BAD_INPUT',
      `${workDir}: holds no run, expected a folder that naan label or naan knn had as --work-dir`,
    );
  }
  const { header, done, resumes, finished } = status;
  const owned = await readOwner(folder);
  const total = done.length * header.shards;
  const whole = done.reduce((sum, { shards }) => sum + shards, 0);
  const share = (shards: number, of: number) => `${count(shards)} of ${count(of)} shards`;
  const working = owned?.state === 'working';
  const rounds = new Set(done.map(({ round }) => round)).size > 1;
  const facts = table([
    ['started', header.started],
    ...(resumes > 0 ? [['gone on with', resumes === 1 ? 'once' : `${count(resumes)} times`]] : []),
    ['state', finished ? `finished ${finished}` : describe(owned)],
    ['nodes', count(header.nodes)],
    ['rows', header.precision],
    ['done', share(whole, total)],
    ...done.map(({ stage, round, shards }) => [
      `  ${stage}${rounds && stage === 'score' ? `, round ${round + 1}` : ''}`,
      share(shards, header.shards),
    ]),
  ]);
  const next = finished || working ? '' : '\n\nthe same command goes on from here';
  const owner = owned && { host: owned.owner.host, process: owned.owner.process, state: owned.state };
  const json = { ...status, ...(working && { process: owned.owner.process }), owner, shardsDone: whole, shards: total };
  return { json, text: facts + next };
};

function describe(owned: Awaited<ReturnType<typeof readOwner>>): string {
  if (!owned) return 'stopped';
  const { host, process, since } = owned.owner;
  const who = `process ${process} on ${host}`;
  if (owned.state === 'gone') return `stopped: ${who} has ended`;
  return owned.state === 'working' ? `${who} works on it since ${since}` : `${who} had it, and gives no sign of life`;
}
