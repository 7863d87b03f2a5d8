/**
 * Every command of the README and the docs: its name and its options are in the table; and blocks marked `run` do run, in the order of
 * the page, in a folder with a small set that stands for that of the demo and with files that stand for the reader's.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { flagName } from '../../src/options/names.js';
import type { Option } from '../../src/options/option.js';
import { type CommandName, commands, optionsOf } from '../../src/options/table.js';
import { naan, temporaryFolder } from '../cli/naan.js';
import { writeReadersFiles } from './readers-files.js';

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

test('every file of tests lies where npm test looks for it', () => {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  assert.deepEqual(
    files.filter((name) => !/^[^/\\]+[/\\][^/\\]+$/.test(name)),
    [],
  );
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

/** What a page types into a shell: all of `sh`; in `console`, naan's commands: other tools look at results of the page's own set. */
function typedIn({ language, text }: Block): string {
  if (language !== 'console') return text;
  return [...text.matchAll(/^\$ (naan (?:.*\\\n)*.*)/gm)].map(([, command]) => command).join('\n');
}

const folder = temporaryFolder(after);
const readersFiles = join(folder, 'files');
const bin = join(folder, 'bin');
const PATH = `${bin}:${process.env.PATH}`;

before(async () => {
  mkdirSync(bin);
  const main = resolve('dist/src/cli/main.js');
  writeFileSync(join(bin, 'naan'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`, { mode: 0o755 });
  mkdirSync(readersFiles);
  await writeReadersFiles(readersFiles);
});

for (const page of pages) {
  const running = blocksOf(page).filter(({ runs }) => runs);
  if (running.length === 0) continue;
  test(`what ${page} runs, runs`, (t) => {
    const python = spawnSync('python3', ['-c', 'import numpy']).status === 0;
    if (running.some(({ text }) => text.includes('redis-server')) && spawnSync('redis-server', ['--version']).error) {
      return t.skip('redis-server is not installed');
    }
    if (!python && running.some(({ language }) => language === 'python')) {
      return t.skip('python3 with numpy is not installed');
    }
    const cwd = join(folder, page.replace('/', '-'));
    cpSync(readersFiles, cwd, { recursive: true });
    cpSync('config', join(cwd, 'config'), { recursive: true });
    const script = running.map((block, i) => {
      if (block.language !== 'python') return typedIn(block);
      // Blocks of a page are one program.
      const until = running.slice(0, i + 1).filter(({ language }) => language === 'python');
      writeFileSync(join(cwd, `${i}.py`), until.map(({ text }) => text).join('\n'));
      return `python3 ${i}.py`;
    });
    // What a page leaves running, such as workers, ends with it.
    script.unshift("trap 'jobs -p | xargs --no-run-if-empty kill || true; wait' EXIT");
    const { status, stderr, stdout } = spawnSync('bash', ['-euxc', script.join('\n')], {
      cwd,
      // Searches for settings take as long as they may, and training as many epochs as it is told.
      env: { ...process.env, PATH, NAAN_BUDGET: '4', NAAN_EPOCHS: '1' },
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
  });
}

/** Lines without what differs between processors, and without blank ones. */
function formOf(text: string): string[] {
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) =>
      line
        .replace(/[\d.,]*\d/g, '#')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
}

/** Fails unless lines of what a page says it prints, but those of commands and `...`, are among what was printed, in this order. */
function assertPrints(printed: string, page: string): void {
  const lines = formOf(printed);
  const [said] = blocksOf(page).filter(({ language }) => language === 'console');
  let at = 0;
  for (const line of formOf(said.text).filter((line) => line !== '...' && !line.startsWith('$'))) {
    const found = lines.indexOf(line, at);
    assert.ok(found >= 0, `'${line}' is not in the rest of what is printed:\n${lines.slice(at).join('\n')}`);
    at = found + 1;
  }
}

test('the demo prints what the README says, but for figures', () => {
  const cwd = join(folder, 'demo');
  mkdirSync(cwd);
  const demo = spawnSync(process.execPath, [resolve('dist/bench/demo.js')], { cwd, encoding: 'utf8' });
  assert.equal(demo.status, 0, demo.stderr);
  assertPrints(demo.stdout, 'README.md');
});

test('files in the layout of the published sets give the tables of docs/published.md, but for figures', async () => {
  const cwd = join(folder, 'published');
  mkdirSync(cwd);
  const made = await naan('generate --out data --ids 60 --dim 32 --k 40 --seed 1 --quiet'.split(' '), { cwd });
  assert.equal(made.code, 0, made.stderr);
  const bench = spawnSync(process.execPath, [resolve('dist/bench/published.js')], {
    cwd,
    env: { ...process.env, NAAN_EPOCHS: '1' },
    encoding: 'utf8',
  });
  assert.equal(bench.status, 0, bench.stderr);
  assertPrints(bench.stdout, 'docs/published.md');
});
