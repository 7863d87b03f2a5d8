/** Where shared storage goes away, files cannot even be closed: that must not hide why a run ended, nor keep its folder. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { WorkDir, workHeader } from '../../src/engine/work-dir.js';
import { temporaryFolder } from '../io/python.js';

const opened = '/proc/self/fd';

test('a journal that cannot be closed keeps neither the folder of a run nor its own error for the one that ended it', {
  skip: existsSync(opened) ? false : `${opened} does not say here which files are open`,
}, async (t) => {
  const path = join(temporaryFolder(t), 'work');
  const header = workHeader({ identity: {}, nodes: 1, shards: 1, precision: 'f32', stages: [['load', 0]], files: [] });
  const request = { restart: false, diskBytes: 0, features: 'state' };
  const work = await WorkDir.open(path, header, request);
  // It was made under another name.
  const ofJournal = readdirSync(opened).filter((fd) => linkOf(fd).startsWith(join(path, 'journal')));
  assert.equal(ofJournal.length, 1);
  closeSync(Number(ofJournal[0]));
  await work.close();
  assert.deepEqual(readdirSync(path), ['journal']);
  await (await WorkDir.open(path, header, request)).close();
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(join(opened, fd));
  } catch {
    return ''; // that of the listing itself
  }
}
