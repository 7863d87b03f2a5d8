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
import { checkWritable, writeJson, writeOutput, writeText, writeTogether } from '../../src/io/output-file.js';
import { removeUnfinished } from '../../src/io/temporaries.js';
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

test('a file in place of a folder, a folder as target and a device are refused by name', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'folder'));
  const refused: [path: string, reason: RegExp][] = [
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

test('a missing folder is made when the file is written', async (t) => {
  const path = join(temporaryFolder(t), 'a', 'b', 'out.txt');
  await writeText(path, 'text');
  assert.equal(readFileSync(path, 'utf8'), 'text');
});

test('a file is proved writable before a long run, and nothing is made yet', async (t) => {
  const folder = temporaryFolder(t);
  await checkWritable(join(folder, 'a', 'b', 'out.txt'));
  await checkWritable(join(folder, 'x'.repeat(255)));
  assert.deepEqual(readdirSync(folder), []);
});

test('whatever cannot be written is refused before a long run', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('loop', join(folder, 'loop'));
  const long = 'x'.repeat(256);
  const refused: [path: string, reason: RegExp][] = [
    [join(folder, 'file', 'b'), /not a directory/],
    [folder, /it is a folder/],
    [`${join(folder, 'new')}/`, /names a folder/],
    [join(folder, '..'), /a folder/],
    ['', /names a folder/],
    ['/dev/null', /it is a device or pipe/],
    [join(folder, long), /name too long/],
    [join(folder, 'new', 'newer', long), /name too long/],
    [join(folder, 'new', long, 'out.txt'), /name too long/],
    [join(folder, 'a\0b'), /zero byte/],
    [join(folder, 'loop'), /symbolic links/],
    ['/proc/nowhere/out', /cannot be written/],
  ];
  for (const [path, message] of refused) {
    await assert.rejects(checkWritable(path), { name: 'NaanError', code: 'NOT_WRITABLE', message }, path);
  }
  assert.deepEqual(readdirSync(folder).sort(), ['file', 'loop']);
});

const root = process.getuid?.() === 0 && 'root may write everywhere';
test('a read-only folder is refused', { skip: root }, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o555);
  t.after(() => chmodSync(folder, 0o755));
  const expected = { code: 'NOT_WRITABLE', message: /permission denied/ };
  await assert.rejects(checkWritable(join(folder, 'out.txt')), expected);
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
      writeFileSync(join(staging, 'file'), '');
      await writeText(join(staging, 'file', 'b.txt'), 'b');
    }),
    writeTogether(folder, async (staging) => {
      await writeText(join(staging, 'a.txt'), 'a');
      await writeText(join(staging, 'taken'), 'b');
    }),
  ];
  await assert.rejects(failing[0], (error: Error) => error.message.startsWith(`${join(folder, 'file', 'b.txt')}: `));
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
