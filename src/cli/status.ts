import { readdirSync } from 'node:fs';
import { readWork, type WorkStatus } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import { readOwner } from '../io/folder-lock.js';
import { unreadable } from '../io/input-file.js';
import { folderAtWork } from '../jobs/kept-graph.js';
import { folderOfRank } from '../machines/ranks.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'status'> = async ({ workDir }) => {
  const folder = folderAtWork(workDir);
  const status = readWork(folder);
  if (!status) return ofRanks(workDir);
  const { header, done, finished } = status;
  const owned = await readOwner(folder);
  const total = done.length * header.shards;
  const whole = shardsIn(status);
  const working = owned?.state === 'working';
  const rounds = new Set(done.map(({ round }) => round)).size > 1;
  const facts = table([
    ...begun(status),
    ['state', finished ? `finished ${finished}` : describe(owned)],
    ...rowsOf(status),
    ['done', share(whole, total)],
    ...done.map(({ stage, round, shards }) => [
      `  ${stage}${rounds && stage === 'score' ? `, round ${round + 1}` : ''}`,
      share(shards, header.shards),
    ]),
  ]);
  const next = finished || working ? '' : '\n\nthe same command goes on from here';
  const json = { ...status, ...(working && { process: owned.owner.process }), owner: ownerOf(owned) };
  return { json: { ...json, shardsDone: whole, shards: total }, text: facts + next };
};

/** Where each rank stands of a run that ranks share, those that have begun. */
async function ofRanks(workDir: string) {
  const found = await Promise.all(
    ranksIn(workDir).map(async (rank) => {
      const path = folderOfRank(workDir, rank);
      const status = readWork(path);
      return status && { rank, status, owned: await readOwner(path) };
    }),
  );
  const ranks = found.filter((one) => one !== undefined);
  if (ranks.length === 0) {
    throw new NaanError(
      'BAD_INPUT',
      `${workDir}: holds no run, expected a folder that naan label or naan knn had as --work-dir`,
    );
  }
  const [first] = ranks;
  const { header, done } = first.status;
  const ends = first.rank === 0 ? first.status.finished : undefined;
  const whole = ranks.reduce((sum, { status }) => sum + shardsIn(status), 0);
  const facts = table([
    ...begun(first.status),
    ['ranks', String(header.identity.ranks)],
    ...rowsOf(first.status),
    ...(ends ? [['state', `finished ${ends}`]] : []),
    // A stage of `label` has its shards for all ranks together, a search has the rounds of each.
    ['done', done[0]?.stage === 'compare' ? `${count(whole)} shards` : share(whole, done.length * header.shards)],
    ...ranks.map(({ rank, status, owned }) => [
      `  rank ${rank}`,
      `${count(shardsIn(status))} shards, ${status.finished ? `finished ${status.finished}` : describe(owned)}`,
    ]),
  ]);
  const working = ranks.some(({ owned }) => owned?.state === 'working');
  const json = {
    header,
    ranks: ranks.map(({ rank, status, owned }) => {
      return { rank, ...status, owner: ownerOf(owned), shardsDone: shardsIn(status) };
    }),
    shardsDone: whole,
  };
  return { json, text: facts + (ends || working ? '' : '\n\nthe same command goes on from here') };
}

/** The numbers of the ranks that have a folder. */
function ranksIn(workDir: string): number[] {
  let names: string[];
  try {
    names = readdirSync(workDir);
  } catch (error) {
    throw unreadable(workDir, error);
  }
  const numbers = names.map((name) => /^rank-(\d{1,5})$/.exec(name)?.[1]).filter((digits) => digits !== undefined);
  return numbers.map(Number).sort((a, b) => a - b);
}

type Owned = Awaited<ReturnType<typeof readOwner>>;

function begun({ header, resumes }: WorkStatus): string[][] {
  const times = resumes === 1 ? 'once' : `${count(resumes)} times`;
  return [['started', header.started], ...(resumes > 0 ? [['gone on with', times]] : [])];
}

function rowsOf({ header }: WorkStatus): string[][] {
  return [
    ['nodes', count(header.nodes)],
    ['rows', header.precision],
  ];
}

function shardsIn({ done }: WorkStatus): number {
  return done.reduce((sum, { shards }) => sum + shards, 0);
}

function share(shards: number, of: number): string {
  return `${count(shards)} of ${count(of)} shards`;
}

function ownerOf(owned: Owned) {
  return owned && { host: owned.owner.host, process: owned.owner.process, state: owned.state };
}

function describe(owned: Owned): string {
  if (!owned) return 'stopped';
  const { host, process, since } = owned.owner;
  const who = `process ${process} on ${host}`;
  if (owned.state === 'gone') return `stopped: ${who} has ended`;
  return owned.state === 'working' ? `${who} works on it since ${since}` : `${who} had it, and gives no sign of life`;
}
