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

test('every type that the signature of a function names is exported', () => {
  const index = readFileSync('dist/src/index.d.ts', 'utf8');
  const exports = [...index.matchAll(/export (?:type )?\{([^}]*)\} from '(.*)\.js'/g)].map(([, names, file]) => ({
    names: names.match(/\b(?!type\b)\w+/g) ?? [],
    declarations: readFileSync(join('dist/src', `${file}.d.ts`), 'utf8'),
  }));
  const exported = new Set(exports.flatMap(({ names }) => names));
  const missing: string[] = [];
  let functions = 0;
  for (const { names, declarations } of exports) {
    // Types of the language itself are neither imported nor declared.
    const own = [
      ...declarations.matchAll(/^(?:import .*\{(.*)\}|export (?:declare )?(?:interface|type|class) (\w+))/gm),
    ];
    const types = own.flatMap(([, imported, declared]) => imported?.match(/\w+/g) ?? [declared]);
    for (const name of names) {
      const signature = declarations.match(
        new RegExp(`^export declare function ${name}\\b[^;]*(?:\\n\\}[^;]*)?;`, 'm'),
      );
      if (!signature) continue;
      functions++;
      const named = types.filter((type) =>
        new RegExp(`\\b${type}\\b`).test(signature[0].slice(signature[0].indexOf('('))),
      );
      for (const type of named) if (!exported.has(type)) missing.push(`${type} of ${name}`);
    }
  }
  assert.ok(functions > 20, `${functions} functions`);
  assert.deepEqual(missing, []);
});
