import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { flagName } from '../../src/options/names.js';
import { type CommandName, commands, defaultOf, optionsOf } from '../../src/options/table.js';
import { naan } from './naan.js';

const names = Object.keys(commands) as CommandName[];

/** Help wraps its lines: compare words. */
const words = (text: string) => text.replace(/\s+/g, ' ');

test('naan --help lists the commands and a complete run', async () => {
  const { code, stdout, stderr } = await naan(['--help']);
  assert.equal(code, 0);
  assert.equal(stderr, '');
  for (const name of names) assert.match(words(stdout), new RegExp(`${name} .*${commands[name].summary}`));
  assert.match(stdout, /naan label --features/);
});

for (const name of names) {
  test(`naan ${name} --help lists every option with unit and default, and an example`, async () => {
    const { code, stdout } = await naan([name, '--help']);
    assert.equal(code, 0);
    const text = words(stdout);
    for (const [key, option] of Object.entries(optionsOf(name))) {
      if (option.positional) {
        assert.ok(text.includes(`${key} ${option.help}`), key);
        continue;
      }
      const value = option.required ? 'required' : `default: ${defaultOf(option)}`;
      assert.ok(
        text.includes(words(`${flagName(key)}${option.placeholder ? ` ${option.placeholder}` : ''} ${option.help}`)),
        key,
      );
      assert.ok(text.includes(words(`${option.help} [${option.unit}; ${value}]`)), key);
      assert.notEqual(defaultOf(option), '', `${key} says what happens without it`);
    }
    for (const [example] of commands[name].examples) assert.ok(stdout.includes(example));
  });
}

test('--version prints the version of the package', async () => {
  const { code, stdout } = await naan(['--version']);
  assert.equal(code, 0);
  assert.equal(stdout.trim(), JSON.parse(readFileSync('package.json', 'utf8')).version);
});

test('help loads commander and the option table, and no other package', () => {
  const loaded = spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(recordModules)}`, 'dist/src/cli/main.js', '--help'],
    { encoding: 'utf8' },
  );
  const packages = new Set(loaded.stderr.match(/node_modules\/[^/\n]+/g));
  assert.deepEqual([...packages], ['node_modules/commander']);
});

/** Writes the address of every module that is resolved to stderr. */
const recordModules = `
import { register } from 'node:module';
register('data:text/javascript,' + encodeURIComponent(\`
import { writeSync } from 'node:fs';
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  writeSync(2, found.url + '\\\\n');
  return found;
}\`));
`;

test('no command, or an unknown one, is bad usage', async () => {
  const nothing = await naan([]);
  assert.equal(nothing.code, 2);
  assert.equal(nothing.stdout, '');
  assert.match(nothing.stderr, /Usage: naan/);
  const unknown = await naan(['lable']);
  assert.equal(unknown.code, 2);
  assert.equal(unknown.stderr, "naan: unknown command 'lable' (did you mean label?)\n");
});

test('an unknown flag, a missing value and a surplus argument are bad usage in one line', async () => {
  const cases: [string[], RegExp][] = [
    [['label', '--thread', '3'], /^naan: unknown option '--thread' \(did you mean --threads\?\)\n$/],
    [['label', '--threads'], /^naan: option '--threads <n>' argument missing\n$/],
    [['label', 'extra'], /^naan: too many arguments for 'label'.*\n$/],
    [
      ['label', '--save-knn', '--out', 'x'],
      /^naan: option '--save-knn <file>' got '--out', which is an option itself: give a value, or --save-knn=--out .*\n$/,
    ],
    [['knn', '--features', '--k=3'], /^naan: option '--features <file\.\.\.>' got '--k=3', which is an option itself/],
    [['import-model', 'x.ckpt', '--out', '-h'], /^naan: option '--out <file>' got '-h', which is an option itself/],
    [['status', '--config', '--no-json'], /^naan: option '--config <file>' got '--no-json', which is an option itself/],
    // Behind an equals sign it is a value.
    [['label', '--features=--out', '--threads'], /^naan: option '--threads <n>' argument missing\n$/],
    [['import-model', '--out', 'x'], /^naan: missing required argument 'checkpoint'\n$/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await naan(args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, message);
  }
});
