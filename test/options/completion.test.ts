import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { completionFor } from '../../src/options/completion.js';
import { manualPage } from '../../src/options/manual.js';
import { flagName, shells } from '../../src/options/names.js';
import { type CommandName, commands, optionsOf } from '../../src/options/table.js';

/** What bash offers for a line, its last word begun. */
function offered(line: string): string[] {
  const words = line.split(' ');
  const script = `${completionFor('bash')}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _naan; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-uc', script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.trim().split('\n');
}

test('bash completes commands, flags, and the values of choices', () => {
  assert.deepEqual(offered('naan ev'), ['evaluate']);
  assert.deepEqual(offered('naan label --metrics-p'), ['--metrics-port', '--metrics-push']);
  assert.deepEqual(offered('naan label --start '), ['threshold', 'all']);
  assert.deepEqual(offered('naan help kn'), ['knn']);
  for (const name of Object.keys(commands) as CommandName[]) {
    const flags = offered(`naan ${name} --`);
    for (const [option, { positional }] of Object.entries(optionsOf(name))) {
      if (!positional) assert.ok(flags.includes(flagName(option)), `${name} ${option}`);
    }
  }
});

for (const shell of shells) {
  test(`the script for ${shell} is one that ${shell} reads`, (t) => {
    if (spawnSync(shell, ['--version']).error) return t.skip(`${shell} is not installed`);
    const { status, stderr } = spawnSync(shell, ['-n'], { input: completionFor(shell), encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
}

test('docs/naan.1 is what the table says now (npm run docs writes it)', (t) => {
  const page = manualPage();
  assert.equal(readFileSync('docs/naan.1', 'utf8'), page);
  if (spawnSync('man', ['--version']).error) return t.diagnostic('man is not installed: not read with it');
  const { stderr, stdout } = spawnSync('man', ['--warnings', '-E', 'UTF-8', '-l', '-'], {
    input: page,
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.match(stdout, /--max-size <n>/);
});
