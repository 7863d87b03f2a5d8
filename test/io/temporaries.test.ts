import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeText, writeTogether } from '../../src/io/output-file.js';
import { thisProcess } from '../../src/io/process-identity.js';
import { temporaryIn } from '../../src/io/temporaries.js';
import { temporaryFolder } from './python.js';

const module = new URL('../../src/io/temporaries.js', import.meta.url).href;
const linuxOnly = thisProcess().boot === undefined && 'needs /proc, to see which process made a file';

/** Another process that is writing: a file, and a folder with a file in it. */
async function writer(t: TestContext, folder: string) {
  const code = `
    const { temporaryIn } = await import(${JSON.stringify(module)});
    const { mkdirSync, writeFileSync } = await import('node:fs');
    const [file, staging] = [temporaryIn(${JSON.stringify(folder)}), temporaryIn(${JSON.stringify(folder)})];
    writeFileSync(file, 'half');
    mkdirSync(staging + '/deep', { recursive: true });
    writeFileSync(staging + '/deep/part', 'half');
    console.log('written');
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('what a killed run left goes with the next write into the folder, what a living one writes stays', {
  skip: linuxOnly,
}, async (t) => {
  const folder = temporaryFolder(t);
  const killed = await writer(t, folder);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  const left = readdirSync(folder);
  assert.equal(left.length, 2);
  const living = await writer(t, folder);
  const written = readdirSync(folder).filter((name) => !left.includes(name));
  assert.equal(written.length, 2);
  await writeText(join(folder, 'out'), 'text');
  assert.deepEqual(readdirSync(folder).sort(), [...written, 'out'].sort());
  living.kill();
});

test('of a process that cannot be seen only what was long left alone goes', async (t) => {
  const folder = temporaryFolder(t);
  const foreign = (days: number) => {
    const name = basename(temporaryIn(folder)).replace(/-\w*-/, `-${'0123456789abcdef'.repeat(2)}-`);
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'part'), 'half');
    const time = Date.now() / 1000 - days * 24 * 3600;
    utimesSync(join(folder, name, 'part'), time, time);
    utimesSync(join(folder, name), time - 1e6, time - 1e6);
    return name;
  };
  const [fresh, old] = [foreign(6), foreign(8)];
  for (const name of ['.naan-notes.tmp', '.naan-1-2-3.tmp', 'naan.tmp']) writeFileSync(join(folder, name), 'by hand');
  await writeTogether(folder, (staging) => writeText(join(staging, 'out'), 'text'));
  assert.ok(existsSync(join(folder, fresh)));
  assert.ok(!existsSync(join(folder, old)));
  assert.deepEqual(readdirSync(folder).sort(), [fresh, '.naan-notes.tmp', '.naan-1-2-3.tmp', 'naan.tmp', 'out'].sort());
});
