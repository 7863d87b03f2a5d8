/**
 * Every command of the README and the docs: its name and its options are in the table; and blocks marked `run` do run, in the order of
 * the page, on a small set that stands for that of the demo. Capitals in a command stand for files of the reader.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { flagName } from '../../src/options/names.js';
import type { Option } from '../../src/options/option.js';
import { type CommandName, commands, optionsOf } from '../../src/options/table.js';
import { naan, temporaryFolder } from '../cli/naan.js';

const pages = ['README.md', 'CONTRIBUTING.md', ...readdirSync('docs').map((name) => join('docs', name))].filter(
  (name) => name.endsWith('.md'),
);

interface Block {
  readonly language: string;
  readonly runs: boolean;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  return [...readFileSync(page, 'utf8').matchAll(/^```(\w*)( run)?\n([\s\S]*?)^```$/gm)].map(
    ([, language, runs, text]) => ({ language, runs: runs !== undefined, text }),
  );
}

/** The naan commands of a text, each as its words: lines that go on are joined, comments and what follows a pipe are left out. */
function commandsIn({ language, text }: Pick<Block, 'language' | 'text'>): string[][] {
  const lines = text.replace(/\\\n/g, ' ').split('\n');
  const typed = language === 'console' ? lines.flatMap((line) => line.match(/^\$ (.*)/)?.[1] ?? []) : lines;
  return typed
    .map((line) => line.replace(/(^|\s)#.*/, ''))
    .flatMap((line) => line.split(/\s*(?:&&|\|\||[|;])\s*/))
    .flatMap((line) => {
      const words = line.split(/\s+/).filter((word) => word !== '' && !/^[A-Z_]+=/.test(word));
      if (words[0] === 'nohup') words.shift();
      return words[0] === 'naan' ? [words.slice(1)] : [];
    })
    .filter(([first]) => first !== undefined && /^[a-z]/.test(first));
}

function checkCommand(words: readonly string[], where: string): void {
  const [name] = words;
  if (name === 'version' || name === 'help') return;
  assert.ok(name in commands, `${where}: there is no command ${name}`);
  const known = new Set(['--help', '-h']);
  for (const [option, { positional, placeholder }] of Object.entries<Option>(optionsOf(name as CommandName))) {
    if (positional) continue;
    known.add(flagName(option));
    if (!placeholder) known.add(`--no-${flagName(option).slice(2)}`);
  }
  for (const word of words.filter((word) => /^--?[a-z]/.test(word))) {
    assert.ok(known.has(word.split('=')[0]), `${where}: naan ${name} has no option ${word}`);
  }
}

test('commands of every page, and of help, are in the table with their options', () => {
  let count = 0;
  for (const page of pages) {
    for (const block of blocksOf(page).filter(({ language }) => ['sh', 'console', 'bash'].includes(language))) {
      for (const words of commandsIn(block)) {
        checkCommand(words, `${page}: naan ${words.join(' ')}`);
        count++;
      }
    }
  }
  for (const { examples } of Object.values(commands)) {
    for (const [text] of examples) for (const words of commandsIn({ language: 'sh', text })) checkCommand(words, text);
  }
  assert.ok(count > 40, `${count} commands`);
});

test('links between pages lead somewhere', () => {
  for (const page of pages) {
    for (const [, target] of readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(page, '..', target)), `${page}: ${target} is not there`);
    }
  }
});

test('each message of docs/troubleshooting.md stands in the source', () => {
  const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join('src', name), 'utf8'))
    .join('\n')
    // Messages that are put together of several literals.
    .replace(/[`'] \+\s+[`']/g, '');
  const messages = [...readFileSync('docs/troubleshooting.md', 'utf8').matchAll(/^\| `([^`]+)` \|/gm)].map(
    ([, m]) => m,
  );
  assert.ok(messages.length > 20);
  for (const message of messages) {
    for (const part of message
      .split('…')
      .map((text) => text.trim())
      .filter((text) => text !== '')) {
      assert.ok(source.includes(part), `'${part}' of '${message}' is in no message`);
    }
  }
});

const folder = temporaryFolder(after);
const bin = join(folder, 'bin');
const PATH = `${bin}:${process.env.PATH}`;

before(async () => {
  mkdirSync(bin);
  const main = resolve('dist/src/cli/main.js');
  writeFileSync(join(bin, 'naan'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`, { mode: 0o755 });
  const set = ['--ids', '60', '--dim', '32', '--k', '20', '--seed', '1', '--out', 'demo-run'];
  const labeled = 'demo-run/labeled/split0';
  for (const args of [
    ['generate', ...set],
    ['train', '--features', `${labeled}_feats.npz`, '--knn', `${labeled}_knn.npy`, '--epochs', '1'].concat([
      '--sample-hops',
      '10',
      '--out',
      'demo-run/model.safetensors',
    ]),
  ]) {
    const { code, stderr } = await naan([...args, '--quiet'], { cwd: folder });
    assert.equal(code, 0, stderr);
  }
});

for (const page of pages) {
  const running = blocksOf(page).filter(({ runs }) => runs);
  if (running.length === 0) continue;
  test(`what ${page} runs, runs`, (t) => {
    const shell = running.filter(({ language }) => language === 'sh').map(({ text }) => text);
    const python = running.filter(({ language }) => language === 'python').map(({ text }) => text);
    const run = (command: string, args: string[]) => {
      const { status, stderr, stdout } = spawnSync(command, args, {
        cwd: folder,
        env: { ...process.env, PATH },
        encoding: 'utf8',
      });
      assert.equal(status, 0, `${stdout}${stderr}`);
    };
    if (shell.length > 0) run('bash', ['-euo', 'pipefail', '-c', shell.join('\n')]);
    if (python.length === 0) return;
    if (spawnSync('python3', ['-c', 'import numpy']).status !== 0) return t.skip('python3 with numpy is not installed');
    run('python3', ['-c', python.join('\n')]);
  });
}
