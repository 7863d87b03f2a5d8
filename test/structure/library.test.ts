/** The examples of docs/library.md compile in strict TypeScript and run, in order, as a user of the package would run them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../io/python.js';

const page = readFileSync('docs/library.md', 'utf8');

function examples(language: string): string {
  return [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , code]) => code)
    .join('\n');
}

test('the examples of docs/library.md compile and run', (t) => {
  const folder = temporaryFolder(t);
  const run = (command: string, args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, `${stdout}${stderr}`);
    return stdout;
  };
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(resolve('.'), join(folder, 'node_modules', 'naan-labels'));
  symlinkSync(resolve('node_modules', '@types'), join(folder, 'node_modules', '@types'));
  const compilerOptions = { target: 'es2022', module: 'nodenext', strict: true, types: ['node'] };
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['typed.ts'] }));
  writeFileSync(join(folder, 'typed.ts'), examples('ts'));
  writeFileSync(join(folder, 'plain.mjs'), examples('js'));
  run(resolve('node_modules', '.bin', 'tsc'), []);
  const told = run(process.execPath, ['typed.js']).split('\n');
  assert.match(told[0], /^exact 1 \d+ 21$/);
  assert.ok(told.includes('true'), 'a model that was written gives the same labels');
  assert.match(told.at(-2) ?? '', /^BAD_INPUT nothing\.npz: cannot be read/);
  assert.equal(run(process.execPath, ['plain.mjs']), '200\n');
});
