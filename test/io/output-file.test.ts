import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkWritableDirectory,
  removeUnfinished,
  writeJson,
  writeOutput,
  writeText,
  writeTogether,
} from '../../src/io/output-file.js';
import { temporaryFolder } from './python.js';

const module = new URL('../../src/io/output-file.js', import.meta.url).href;

test('a file takes its name only when it is whole', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'out.txt');
  await writeText(path, 'before');
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from('abcdef'));
    await file.writeAt(Buffer.from('XY'), 1);
    assert.equal(file.length, 6);
    assert.equal(readFileSync(path, 'utf8'), 'before');
  });
  assert.equal(readFileSync(path, 'utf8'), 'aXYdef');
  await writeJson(path, { a: [1] });
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), { a: [1] });
  assert.deepEqual(readdirSync(folder), ['out.txt']);
});

test('what fails on the way leaves the file as it was and no temporary', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'out.txt');
  await writeText(path, 'before');
  const failing = writeOutput(path, async (file) => {
    await file.write(Buffer.from('half'));
    throw new Error('stopped');
  });
  await assert.rejects(failing, { message: 'stopped' });
  assert.equal(readFileSync(path, 'utf8'), 'before');
  assert.deepEqual(readdirSync(folder), ['out.txt']);
});

test('a folder that is missing, a file in its place, a folder as target and a device are refused by name', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'folder'));
  const refused: [path: string, reason: RegExp][] = [
    [join(folder, 'missing', 'out.txt'), /missing\/out\.txt: cannot be written: no such file or directory/],
    [join(folder, 'file', 'out.txt'), /file\/out\.txt: cannot be written: not a directory/],
    [join(folder, 'folder'), /folder: cannot be written: it is a folder/],
    ['/dev/null', /\/dev\/null: cannot be written: it is a device or pipe/],
  ];
  for (const [path, message] of refused) {
    await assert.rejects(writeText(path, 'x'), { name: 'NaanError', code: 'NOT_WRITABLE', message }, path);
  }
  assert.ok(!statSync('/dev/null').isFile());
});

test('a linked output is written where the link points', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'real'), '');
  symlinkSync(join(folder, 'real'), join(folder, 'link'));
  await writeText(join(folder, 'link'), 'text');
  assert.equal(readFileSync(join(folder, 'real'), 'utf8'), 'text');
});

test('a folder is proved writable before a long run, and not made yet', async (t) => {
  const folder = temporaryFolder(t);
  await checkWritableDirectory(join(folder, 'a', 'b'));
  assert.deepEqual(readdirSync(folder), []);
  writeFileSync(join(folder, 'file'), '');
  const expected = { code: 'NOT_WRITABLE', message: /file\/b: cannot be written: not a directory/ };
  await assert.rejects(checkWritableDirectory(join(folder, 'file', 'b')), expected);
});

const root = process.getuid?.() === 0 && 'root may write everywhere';
test('a read-only folder is refused', { skip: root }, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o555);
  t.after(() => chmodSync(folder, 0o755));
  const expected = { code: 'NOT_WRITABLE', message: /permission denied/ };
  await assert.rejects(checkWritableDirectory(folder), expected);
  await assert.rejects(writeText(join(folder, 'out.txt'), 'x'), expected);
});

test('a disk that refuses more is NOT_WRITABLE, and the temporary is gone', async (t) => {
  const folder = temporaryFolder(t);
  // A limit on file size fails a write half-way, as a full disk does.
  const code = `
    const { writeOutput } = await import(${JSON.stringify(module)});
    const fill = async (file) => { for (let i = 0; i < 64; i++) await file.write(Buffer.alloc(1024)); };
    await writeOutput(${JSON.stringify(join(folder, 'out'))}, fill).catch((error) => console.log(error.code, error.message));`;
  const limited = ['-c', 'ulimit -f 16; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', code];
  const { stdout } = spawnSync('sh', limited, { encoding: 'utf8' });
  assert.match(stdout, /^NOT_WRITABLE .*out: cannot be written: file too large$/m);
  assert.deepEqual(readdirSync(folder), []);
});

test('a signal handler can remove what is unfinished', async (t) => {
  const folder = temporaryFolder(t);
  const writing = writeOutput(join(folder, 'out'), async (file) => {
    await file.write(Buffer.from('half'));
    assert.equal(readdirSync(folder).length, 1);
    removeUnfinished();
    assert.equal(readdirSync(folder).length, 0);
  });
  await assert.rejects(writing, { code: 'NOT_WRITABLE' });
  assert.ok(!existsSync(join(folder, 'out')));
});

test('files of one result appear together, in folders of their own too', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'a.txt'), 'before');
  const result = await writeTogether(folder, async (staging) => {
    await writeText(join(staging, 'a.txt'), 'after');
    mkdirSync(join(staging, 'deep'));
    await writeText(join(staging, 'deep', 'b.txt'), 'b');
    assert.equal(readFileSync(join(folder, 'a.txt'), 'utf8'), 'before');
    assert.ok(!existsSync(join(folder, 'deep')));
    return 7;
  });
  assert.equal(result, 7);
  assert.deepEqual(readdirSync(folder, { recursive: true }).sort(), ['a.txt', 'deep', 'deep/b.txt']);
  assert.equal(readFileSync(join(folder, 'a.txt'), 'utf8'), 'after');
});

test('none of them appears when one fails, and the message names where it would have been', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'taken'));
  const failing = [
    writeTogether(folder, async (staging) => {
      await writeText(join(staging, 'a.txt'), 'a');
      await writeText(join(staging, 'missing', 'b.txt'), 'b');
    }),
    writeTogether(folder, async (staging) => {
      await writeText(join(staging, 'a.txt'), 'a');
      await writeText(join(staging, 'taken'), 'b');
    }),
  ];
  await assert.rejects(failing[0], (error: Error) => error.message.startsWith(`${join(folder, 'missing', 'b.txt')}: `));
  await assert.rejects(failing[1], { code: 'NOT_WRITABLE', message: /taken: cannot be written: it is a folder/ });
  assert.deepEqual(readdirSync(folder), ['taken']);
});

test('a signal handler can remove what is unfinished of them', async (t) => {
  const folder = temporaryFolder(t);
  const writing = writeTogether(folder, async (staging) => {
    await writeText(join(staging, 'a.txt'), 'a');
    removeUnfinished();
    assert.deepEqual(readdirSync(folder), []);
  });
  await assert.rejects(writing);
  assert.deepEqual(readdirSync(folder), []);
});
