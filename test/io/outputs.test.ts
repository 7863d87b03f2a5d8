import assert from 'node:assert/strict';
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { writeText } from '../../src/io/output-file.js';
import { isRecorded, readRecord, recordName, recordOutputs } from '../../src/io/output-record.js';
import { checkOutputs } from '../../src/io/outputs.js';
import { temporaryFolder } from './python.js';

const output = (path: string, name = 'out') => ({ name, path, isOurs: () => true, otherwise: '' });
const check = (path: string, features: unknown) => checkOutputs([output(path)], { features }, true);

test('an output that is an input is refused by whatever path', async (t) => {
  const folder = temporaryFolder(t);
  const input = join(folder, 'in.npy');
  writeFileSync(input, 'features');
  symlinkSync(input, join(folder, 'symbolic.npy'));
  linkSync(input, join(folder, 'hard.npy'));
  mkdirSync(join(folder, 'sub'));
  symlinkSync(folder, join(folder, 'sub', 'back'));
  const names = [
    input,
    relative('.', input),
    join(folder, 'symbolic.npy'),
    join(folder, 'hard.npy'),
    `${folder}/sub/../in.npy`,
    join(folder, 'sub', 'back', 'in.npy'),
  ];
  const message = /--out would replace the features/;
  for (const name of names) {
    await assert.rejects(check(name, input), { code: 'BAD_USAGE', message }, name);
    await assert.rejects(check(input, name), { code: 'BAD_USAGE', message }, name);
  }
  await check(join(folder, 'other.npy'), input);
  await check(input, { rows: new Float32Array(4), dim: 2 });
  await check(input, join(folder, 'none.npy'));
  assert.equal(readFileSync(input, 'utf8'), 'features');
});

test('two outputs are two files, also where capitals do not count', async (t) => {
  const folder = temporaryFolder(t);
  const pair = (a: string, b: string) =>
    checkOutputs([output(join(folder, a)), output(join(folder, b), 'history')], {}, true);
  for (const [a, b] of [
    ['new', 'new'],
    ['new/model', 'new/./model'],
    ['Model', 'model'],
    ['caf\u00e9', 'cafe\u0301'],
  ]) {
    await assert.rejects(pair(a, b), { code: 'BAD_USAGE', message: /would be written twice, by --out .*--history/ }, a);
  }
  await pair('model', 'model.json');
  await pair('a/model', 'b/model');
  assert.deepEqual(readdirSync(folder), []);
});

test('a file that is not ours is replaced only when asked', async (t) => {
  const path = join(temporaryFolder(t), 'out');
  const theirs = { name: 'out', path, isOurs: () => false, otherwise: 'is not ours' };
  await checkOutputs([theirs], {}, false);
  writeFileSync(path, '');
  const expected = { code: 'BAD_USAGE', message: /out: is there already and is not ours: .*--overwrite/ };
  await assert.rejects(checkOutputs([theirs], {}, undefined), expected);
  await checkOutputs([theirs], {}, true);
});

test('a record tells what naan wrote from what was changed or came from elsewhere', async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  const record = async (names: string[]) => {
    const next = await recordOutputs(folder, names, readRecord(folder));
    await writeText(at(recordName), JSON.stringify(next));
  };
  writeFileSync(at('a.txt'), '1\n2\n');
  assert.equal(await isRecorded(at('a.txt')), false);
  await record(['a.txt']);
  assert.equal(await isRecorded(at('a.txt')), true);
  writeFileSync(at('a.txt'), '1\n3\n');
  assert.equal(await isRecorded(at('a.txt')), false, 'one digit, the same size');

  writeFileSync(at('b.txt'), '7\n');
  await record(['b.txt']);
  writeFileSync(at('a.txt'), '1\n2\n');
  assert.equal(await isRecorded(at('a.txt')), true, 'another run into the folder keeps what was recorded');
  assert.equal(await isRecorded(at('b.txt')), true);

  writeFileSync(at('a.txt'), '5\n');
  await record(['a.txt']);
  assert.equal(await isRecorded(at('a.txt')), true);
  writeFileSync(at('a.txt'), '1\n2\n');
  assert.equal(await isRecorded(at('a.txt')), true, 'the one before: a crash came between two renames');

  writeFileSync(at(recordName), '{"outputs": 3, "replaced": [null]}');
  assert.equal(await isRecorded(at('a.txt')), false);
  writeFileSync(at(recordName), 'null');
  assert.equal(await isRecorded(at('a.txt')), false);
});
