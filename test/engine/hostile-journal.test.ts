/** A journal is a file that anybody may have put there: what it names is never followed out of the folder, nor believed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readWork, WorkDir, workHeader } from '../../src/engine/work-dir.js';
import { FolderLock } from '../../src/io/folder-lock.js';
import { Journal, readJournal } from '../../src/io/journal.js';
import { readRecord } from '../../src/io/output-record.js';
import { temporaryFolder } from '../io/python.js';

const header = workHeader({
  identity: { k1: 20 },
  nodes: 100,
  shards: 4,
  precision: 'f32' as const,
  stages: [['load', 0] as const],
  files: ['x.rows', 'similarities.column'],
});
const shard = { stage: 'load', round: 0, shard: 3, checks: [{ file: 'x.rows', start: 0, length: 8, crc: 7 }] };
const request = { diskBytes: 0, features: 'state' };

async function journal(path: string, ...entries: readonly unknown[]): Promise<void> {
  await (await Journal.create<unknown>(join(path, 'journal'), entries)).close();
}

test('names that lead out of the folder, or to what no run writes, are refused and nothing of that name is touched', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'work');
  mkdirSync(path);
  const kept = [join(folder, 'precious.rows'), join(path, 'thesis.txt')];
  for (const file of kept) writeFileSync(file, 'mine');
  const names = [
    '../precious.rows',
    kept[0],
    'thesis.txt',
    'journal',
    'lock',
    '.',
    '',
    'a/b.rows',
    'x.rows\0',
    7,
    null,
  ];
  const hostile: readonly unknown[][] = [
    ...names.map((name) => [{ ...header, files: ['x.rows', name] }]),
    ...names.map((name) => [header, { ...shard, checks: [{ ...shard.checks[0], file: name }] }]),
    [{ ...header, shards: 2 ** 40 }],
    [{ ...header, stages: 'all' }],
    [{ identity: {} }],
    [header, { ...shard, shard: 4 }],
    [header, { ...shard, checks: [{ ...shard.checks[0], length: -1 }] }],
    [header, 'text'],
    [header, null],
    ['text'],
  ];
  for (const entries of hostile) {
    await journal(path, ...entries);
    const damaged = { name: 'NaanError', code: 'BAD_INPUT', message: /journal: is damaged/ };
    assert.throws(() => readWork(path), damaged, JSON.stringify(entries));
    await assert.rejects(WorkDir.open(path, header, { ...request, restart: false }), damaged);
    const work = await WorkDir.open(path, header, { ...request, restart: true });
    await work.finish();
    await work.close();
    for (const file of kept) assert.ok(existsSync(file), `${file} after ${JSON.stringify(entries)}`);
  }
  await journal(path, header, shard);
  assert.equal(readWork(path)?.done[0].shards, 1);
});

test('a record that is no list, or nests without end, counts as damage', async (t) => {
  const path = temporaryFolder(t);
  let deep: unknown = 0;
  for (let level = 0; level < 200; level++) deep = [deep];
  for (const entries of [{ 0: header }, [header, { deep }]] as unknown as unknown[][]) {
    await (await Journal.create<unknown>(join(path, 'journal'), entries)).close();
    assert.equal(readJournal(join(path, 'journal')).state, 'damaged');
  }
});

test('a file full of beginnings of records takes no time', (t) => {
  const path = join(temporaryFolder(t), 'journal');
  const beginning = Buffer.from([0x89, 0x6e, 0x6a, 0x1a, 0, 0, 8, 0, 0, 0, 0, 0]);
  writeFileSync(path, Buffer.concat([Buffer.from('naan journal 2\r\n'), ...Array(100_000).fill(beginning)]));
  assert.equal(readJournal(path).state, 'damaged');
});

test('a pipe or a folder under the name of a journal or a lock is refused, not waited for', async (t) => {
  for (const name of ['journal', 'lock']) {
    const folder = temporaryFolder(t);
    execFileSync('mkfifo', [join(folder, name)]);
    const opened =
      name === 'lock' ? FolderLock.take(folder) : WorkDir.open(folder, header, { ...request, restart: true });
    await assert.rejects(opened, { name: 'NaanError', code: 'BAD_USAGE' });
  }
});

test('a record of outputs names files of its own folder', (t) => {
  const folder = temporaryFolder(t);
  const outputs = ['../x_labels.npy', '/x_labels.npy', '..', '', 'a\\b', 7, 'x_labels.npy'].map((name) => ({
    name,
    bytes: 1,
  }));
  writeFileSync(join(folder, 'run.json'), JSON.stringify({ naan: '0.1.0', outputs, replaced: 'all' }));
  assert.deepEqual(readRecord(folder), { outputs: [{ name: 'x_labels.npy', bytes: 1 }], replaced: [] });
});
