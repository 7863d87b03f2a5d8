import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { FolderLock, readOwner } from '../../src/io/folder-lock.js';
import { awaitLease } from '../../src/io/lease.js';
import { quickTiming } from './lock-timing.js';

const root = mkdtempSync(join(tmpdir(), 'naan-lock-'));
after(() => rmSync(root, { recursive: true, force: true }));
const newFolder = () => mkdtempSync(join(root, 'folder-'));
const ownerProgram = resolve('dist/test/io/lock-owner.js');
const isolated = ['--pid', '--fork', '--mount-proc', '--kill-child'];
const cannotIsolate =
  spawnSync('unshare', [...isolated, 'true']).status !== 0 && 'unshare may not make namespaces here';

interface Contender {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  /** The next thing it says. */
  said(): Promise<string>;
}

/** A process that takes the lock, if `apart` in a PID namespace of its own, as in another container. */
function contend(folder: string, apart = false): Contender {
  const command = [process.execPath, ownerProgram, folder];
  const child = apart
    ? spawn('unshare', [...isolated, ...command], { stdio: ['pipe', 'pipe', 'inherit'] })
    : spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: string[] = [];
  let heard: (() => void) | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines.push(...text.trim().split('\n'));
    heard?.();
  });
  const said = async () => {
    while (lines.length === 0) {
      await new Promise<void>((done) => {
        heard = done;
      });
    }
    return lines.shift()!;
  };
  return { child, said, exited: once(child, 'exit') };
}

async function end({ child, exited }: Contender, signal?: NodeJS.Signals): Promise<void> {
  if (signal) child.kill(signal);
  else child.stdin?.end();
  await exited;
}

/** Puts an owner that cannot be seen from here, and shows no sign of life, in the place of the lock's. */
function estrange(folder: string): void {
  const [name] = readdirSync(folder);
  const owner = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  writeFileSync(join(folder, name), JSON.stringify({ ...owner, boot: 'another', host: 'elsewhere', process: 7 }));
}

describe('the lock of a folder', () => {
  it('has one owner in a process, whatever path it is called by, and is there again when given back', async () => {
    const folder = newFolder();
    const link = join(root, 'link');
    symlinkSync(folder, link);
    const lock = await FolderLock.take(folder);
    await assert.rejects(FolderLock.take(link), {
      code: 'BAD_USAGE',
      message: `${link}: another call of this process is working on it: give another --work-dir`,
    });
    assert.equal((await readOwner(link))?.owner.process, process.pid);
    await lock.release();
    assert.deepEqual(readdirSync(folder), []);
    await (await FolderLock.take(link)).release();
  });

  it('is refused while another process has it, and taken over at once from one that was killed', async () => {
    const folder = newFolder();
    const owner = contend(folder);
    assert.equal(await owner.said(), 'owner');
    const refusal = `process ${owner.child.pid} is working on it: give another --work-dir`;
    await assert.rejects(FolderLock.take(folder), { code: 'BAD_USAGE', message: `${folder}: ${refusal}` });
    owner.child.kill('SIGSTOP');
    await assert.rejects(FolderLock.take(folder), { message: `${folder}: ${refusal}` });
    await end(owner, 'SIGKILL');
    assert.equal((await readOwner(folder))?.state, 'gone');
    const lock = await FolderLock.take(folder);
    assert.deepEqual(readdirSync(folder), ['lock']);
    await lock.release();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('goes to one of many that would take over from a dead process', async () => {
    const folder = newFolder();
    for (let round = 0; round < 2; round++) {
      const dead = contend(folder);
      assert.equal(await dead.said(), 'owner');
      await end(dead, 'SIGKILL');
      const contenders = Array.from({ length: 5 }, () => contend(folder));
      const said = await Promise.all(contenders.map((contender) => contender.said()));
      assert.equal(said.filter((line) => line === 'owner').length, 1, said.join('\n'));
      assert.equal(said.filter((line) => line.startsWith('refused')).length, 4);
      // The one that has it is the next to die.
      const winner = contenders[said.indexOf('owner')];
      await Promise.all(contenders.map((contender) => end(contender, contender === winner ? 'SIGKILL' : undefined)));
    }
  });

  it('goes to one of many that would take over from a silent owner', async () => {
    const folder = newFolder();
    const dead = contend(folder);
    assert.equal(await dead.said(), 'owner');
    await end(dead, 'SIGKILL');
    estrange(folder);
    const contenders = Array.from({ length: 4 }, () => contend(folder));
    const said = await Promise.all(contenders.map((contender) => contender.said()));
    assert.equal(said.filter((line) => line === 'owner').length, 1, said.join('\n'));
    assert.ok(
      said.every((line) => line === 'owner' || line.includes('is working on it')),
      said.join('\n'),
    );
    await Promise.all(contenders.map((contender) => end(contender)));
    assert.deepEqual(readdirSync(folder), []);
  });

  it('shows signs of life to who cannot see its process', { skip: cannotIsolate }, async () => {
    const folder = newFolder();
    const owner = contend(folder, true);
    assert.equal(await owner.said(), 'owner');
    const { process: pid } = (await readOwner(folder, quickTiming))!.owner;
    assert.ok(pid < 10); // its number in its own namespace, which is also one of ours
    assert.equal((await readOwner(folder, quickTiming))?.state, 'working');
    await assert.rejects(FolderLock.take(folder, { timing: quickTiming }), {
      code: 'BAD_USAGE',
      message: `${folder}: process ${pid} is working on it: give another --work-dir`,
    });
    await end(owner, 'SIGKILL');
    const notices: string[] = [];
    const lock = await FolderLock.take(folder, { timing: quickTiming, onNotice: (text) => notices.push(text) });
    assert.match(notices[0], new RegExp(`process ${pid} may be working on it: waits up to 2 s for a sign of life`));
    assert.match(notices[1], new RegExp(`process ${pid} gave no sign of life for 2 s: its run is taken over`));
    await lock.release();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('is lost by an owner that was paused, and who took over keeps it', { skip: cannotIsolate }, async () => {
    const folder = newFolder();
    const paused = contend(folder);
    assert.equal(await paused.said(), 'owner');
    paused.child.kill('SIGSTOP');
    const other = contend(folder, true);
    assert.equal(await other.said(), 'owner');
    paused.child.kill('SIGCONT');
    assert.match(
      await paused.said(),
      /^lost .*: process \d+ took it over while this process gave no sign of life: this/,
    );
    await end(paused);
    assert.equal((await readOwner(folder, quickTiming))?.state, 'working');
    assert.equal(readdirSync(folder).length, 2);
    await end(other);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('lost, lets nobody write or go on', async () => {
    const folder = newFolder();
    const lock = await FolderLock.take(folder, { timing: quickTiming });
    awaitLease(lock.lease, () => {});
    const told = new Promise<void>((done) => {
      lock.onLost = done;
    });
    rmSync(join(folder, 'lock'));
    const waiting = setInterval(() => {}, 1000); // heartbeats do not keep a process running
    await told;
    clearInterval(waiting);
    await assert.rejects(lock.check(), {
      code: 'LOCK_LOST',
      message: `${folder}: its lock was removed: this run stops; the same command goes on with the shards that are done`,
    });
    Atomics.store(lock.lease.renewed, 0, lock.lease.renewed[0] - 2);
    assert.throws(() => awaitLease(lock.lease, onceMore()), /stopped/);
    const next = await contendFor(folder);
    await lock.release();
    assert.ok(existsSync(join(folder, 'lock')));
    await end(next);
  });

  it('outlasts a folder that is away for a while: nobody writes meanwhile, and then its owner goes on', async () => {
    const folder = newFolder();
    const told = new EventEmitter();
    const onNotice = (text: string) => void told.emit(text);
    const timing = { ...quickTiming, patienceMs: Number.POSITIVE_INFINITY };
    const lock = await FolderLock.take(folder, { timing, onNotice });
    const waiting = setInterval(() => {}, 1000); // heartbeats do not keep a process running
    for (let round = 0; round < 2; round++) {
      const [away, back] = ['is not there: it is waited for, up to Infinity s', 'is there again'].map((what) =>
        once(told, `${folder}: ${what}`),
      );
      renameSync(folder, `${folder}-away`);
      await away;
      assert.throws(() => awaitLease(lock.lease, onceMore()), /stopped/);
      const checked = lock.check();
      renameSync(`${folder}-away`, folder);
      await Promise.all([back, checked]);
      awaitLease(lock.lease, onceMore());
    }
    clearInterval(waiting);
    await lock.release();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('of a folder that was away is lost at once to who has taken it meanwhile', async () => {
    const folder = newFolder();
    const lock = await FolderLock.take(folder, { timing: { ...quickTiming, patienceMs: Number.POSITIVE_INFINITY } });
    renameSync(folder, `${folder}-away`);
    mkdirSync(folder);
    const other = await contendFor(folder);
    await assert.rejects(lock.check(), { code: 'LOCK_LOST', message: /process \d+ took it over while this process / });
    await lock.release();
    assert.equal((await readOwner(folder))?.state, 'working');
    await end(other);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('of a folder that is away is not waited for at the end, nor after an abort', async () => {
    const stop = new AbortController();
    for (const end of [(lock: FolderLock) => lock.waitNoMore(), () => stop.abort()]) {
      const folder = newFolder();
      const timing = { ...quickTiming, patienceMs: Number.POSITIVE_INFINITY };
      const lock = await FolderLock.take(folder, { timing, signal: stop.signal });
      renameSync(folder, `${folder}-away`);
      const checked = assert.rejects(lock.check(), { code: 'CANCELLED' });
      end(lock);
      await checked;
      await lock.release();
    }
  });

  it('does not follow a copy of the folder: the owner shows no signs of life there', async () => {
    const [folder, copy] = [newFolder(), newFolder()];
    const lock = await FolderLock.take(folder, { timing: quickTiming });
    cpSync(folder, copy, { recursive: true });
    await (await FolderLock.take(copy, { timing: quickTiming })).release();
    assert.deepEqual(readdirSync(copy), []);
    await lock.check();
    await lock.release();
  });

  it('of others is left alone', async () => {
    const folder = newFolder();
    for (const text of ['', 'mine', '{"token":"../../x","process":1}']) {
      writeFileSync(join(folder, 'lock'), text);
      await assert.rejects(FolderLock.take(folder), {
        code: 'BAD_USAGE',
        message: /\/lock: is not a lock of this version of naan: give another folder or, if no naan works there, /,
      });
      assert.equal(readFileSync(join(folder, 'lock'), 'utf8'), text);
      assert.deepEqual(readdirSync(folder), ['lock']);
    }
  });

  it('leaves no trace of contenders that died early', async () => {
    const folder = newFolder();
    const lock = await FolderLock.take(folder);
    await lock.release();
    const token = '0123456789abcdef'.repeat(2);
    for (const name of [`lock.${token}.tmp`, `lock.${token}`, 'lock.txt', 'lock.bak.tmp']) {
      writeFileSync(join(folder, name), 'x');
    }
    renameSync(join(folder, 'lock.txt'), join(folder, 'lock.old'));
    await (await FolderLock.take(folder)).release();
    assert.deepEqual(readdirSync(folder).sort(), ['lock.bak.tmp', 'lock.old']);
  });
});

/** Throws when it is called again. */
function onceMore(): () => void {
  let asked = 0;
  return () => {
    if (asked++ > 0) throw new Error('stopped');
  };
}

async function contendFor(folder: string): Promise<Contender> {
  const contender = contend(folder);
  assert.equal(await contender.said(), 'owner');
  return contender;
}
