/** Every end is clean: one line, an exit code, no stack, whatever happens to the terminal and the folder. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { main, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const labels = join(folder, 'labels.txt');
writeFileSync(labels, '0\n0\n1\n');
const evaluate = `evaluate --labels ${labels} --truth ${labels} --quiet`;

/** `naan` stands for the command in a line of bash. */
function bash(line: string) {
  const script = `naan() { '${process.execPath}' '${main}' "$@"; }; set -o pipefail; ${line}`;
  const { status, stderr, stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: folder });
  return { status, stderr, stdout };
}

const noFull = !existsSync('/dev/full') && 'needs /dev/full';
test('a full disk behind stdout is one line, for results and for help', { skip: noFull }, () => {
  for (const [command, name] of [
    [evaluate, 'naan evaluate'],
    ['label --help', 'naan'],
    ['--version', 'naan'],
  ]) {
    const { status, stderr } = bash(`naan ${command} > /dev/full`);
    assert.equal(stderr, `${name}: stdout: cannot be written: no space left on device\n`);
    assert.equal(status, 2);
  }
});

test('a stderr that cannot be written changes nothing', { skip: noFull }, () => {
  assert.equal(bash(`naan ${evaluate.replace(' --quiet', '')} 2> /dev/full`).status, 0);
  assert.equal(bash('naan evaluate --labels none --truth none 2> /dev/full').status, 2);
});

test('whoever reads may leave early', () => {
  for (const command of [evaluate, 'label --help']) {
    const { status, stderr } = bash(`naan ${command} | true`);
    assert.equal(stderr, '');
    assert.equal(status, 0);
  }
});

test('a working directory that was removed is one line', { skip: process.platform === 'win32' }, () => {
  mkdirSync(join(folder, 'gone'));
  const { status, stderr } = bash(`cd gone; rmdir ../gone; naan ${evaluate}`);
  assert.equal(stderr, 'naan evaluate: the working directory was removed: change to one that is there\n');
  assert.equal(status, 2);
});
