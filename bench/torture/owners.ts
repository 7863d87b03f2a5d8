/**
 * One work directory, two that want it: processes, namespaces, calls of one process, an owner that was paused, and locks
 * that someone has left. One works and writes the right bytes; the other is refused in one line or waits its turn.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { type Ended, emptyFolder, Finding, judge, tail } from './command.js';
import { type Head, heads, labelFiles } from './lab.js';
import { type Case, checkOnly, checkSame, type Trial } from './trial.js';

const namespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

/** Ends the case as skipped where the machine does not permit what it needs. */
function need(words: readonly string[]): void {
  const [program, ...args] = [...words, 'true'];
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Finding('skipped', `${words[0]}: not permitted here: ${error?.message ?? tail(stderr)}`);
}

async function checkPair(trial: Trial, ends: readonly Ended[], outs: readonly string[], head: Head): Promise<void> {
  const expected = await trial.lab.labels(head, 'f32');
  const judged = ends.map(judge);
  judged.forEach((end, i) => {
    if (end === 'done') checkSame(labelFiles(outs[i]), expected, `owner ${i + 1}`);
  });
  if (!judged.includes('done'))
    throw new Finding('failed', `both were refused: ${ends.map((e) => tail(e.stderr)).join(' | ')}`);
  trial.note(`owners: ${judged.join(', ')}`);
}

function twoAtOnce(head: Head, apart: boolean, index: number): Case {
  return {
    id: `owners/${apart ? 'namespaces' : 'processes'}-${head}/${index}`,
    group: apart ? 'two owners in two pid namespaces' : 'two owners at once',
    async attack(trial) {
      if (apart) need(namespace);
      const { lab, random } = trial;
      const workDir = trial.path('work');
      const outs = ['out1', 'out2'].map((name) => trial.path(name));
      const { ms } = await courseOf(trial, head);
      const args = (out: string) => lab.labelArgs({ head, precision: 'f32', out, workDir, more: ['--threads', '1'] });
      const within = apart ? namespace : [];
      const first = trial.naan(args(outs[0]), { within });
      await pause(index === 0 ? 0 : random.uniform() * ms);
      const second = trial.naan(args(outs[1]), { within });
      await checkPair(trial, await Promise.all([first, second]), outs, head);
      checkOnly(workDir, ['journal'], 'in the work directory');
    },
  };
}

/** Two calls of `label` in one process. */
function oneProcess(head: Head, index: number): Case {
  return {
    id: `owners/one-process-${head}/${index}`,
    group: 'two owners in one process',
    async attack(trial) {
      const { lab, random } = trial;
      const expected = await lab.labels(head, 'f32');
      const { ms } = await courseOf(trial, head);
      const outs = ['out1', 'out2'].map((name) => trial.path(name));
      const { features, knn } = lab.set;
      const options = { features, knn, model: lab.models[head], threshold: 0.4, saveEdges: true, threads: 1 };
      const script = `
        import { label } from ${JSON.stringify(resolve('dist/src/index.js'))};
        const options = ${JSON.stringify({ ...options, workDir: trial.path('work') })};
        const outs = ${JSON.stringify(outs)};
        const first = label({ ...options, out: outs[0] });
        await new Promise((done) => setTimeout(done, ${Math.round(index === 0 ? 0 : random.uniform() * ms)}));
        const ends = await Promise.allSettled([first, label({ ...options, out: outs[1] })]);
        console.log(JSON.stringify(ends.map(({ status, reason }) => ({ status, code: reason?.code, message: reason?.message }))));
        process.exit(0);`;
      const ended = await trial.words([process.execPath, '--input-type=module', '--eval', script]);
      if (judge(ended) === 'refused') throw new Finding('failed', tail(ended.stderr));
      const ends = JSON.parse(ended.stdout) as { status: string; code?: string; message?: string }[];
      ends.forEach(({ status, code, message }, i) => {
        if (status === 'fulfilled') checkSame(labelFiles(outs[i]), expected, `call ${i + 1}`);
        else if (code === undefined) throw new Finding('failed', `call ${i + 1} failed without a code: ${message}`);
      });
      if (!ends.some(({ status }) => status === 'fulfilled')) {
        throw new Finding('failed', `both failed: ${ends.map(({ message }) => message).join(' | ')}`);
      }
      trial.note(`calls: ${ends.map(({ status, code }) => code ?? status).join(', ')}`);
    },
  };
}

/**
 * An owner that does nothing for longer than any lock should wait, and then wakes up. Whoever can see that it is there is
 * refused; in another namespace its work is taken over.
 */
function paused(head: Head, index: number): Case {
  const apart = index % 2 === 1;
  return {
    id: `owners/paused-${head}/${index}`,
    group: 'an owner paused past the patience of the lock',
    async attack(trial) {
      if (apart) need(namespace);
      const { lab, random } = trial;
      const workDir = emptyFolder(trial.path('work'));
      const outs = ['out1', 'out2'].map((name) => trial.path(name));
      const args = (out: string) => lab.labelArgs({ head, precision: 'f32', out, workDir, more: ['--threads', '1'] });
      const { changes } = await courseOf(trial, head);
      const change = 1 + random.below(Math.max(1, changes.work >> 1));
      const strike = { moment: { folder: workDir, change, delayMs: random.below(20) }, signals: ['SIGSTOP'] as const };
      const bounds = { boundMs: 400_000, graceMs: 400_000 };
      let pid = 0;
      let first: Promise<Ended> | undefined;
      const stopped = new Promise<void>((done) => {
        const onStart = (id: number) => {
          pid = id;
        };
        first = trial.naan(args(outs[0]), { ...bounds, strike, onStart, onStrike: done });
      });
      await Promise.race([stopped, first]);
      // As long as the first is known to be there the second is refused; then, perhaps, it takes over.
      let second: Ended;
      const until = performance.now() + (apart ? patienceMs : 6000);
      do {
        await pause(1500);
        second = await trial.naan(args(outs[1]), { within: apart ? namespace : [] });
      } while (judge(second) === 'refused' && performance.now() < until);
      trial.note(`SIGCONT to process ${pid}`);
      process.kill(pid, 'SIGCONT');
      await checkPair(trial, [await first!, second], outs, head);
    },
  };
}

const patienceMs = 100_000;

type Left = 'in another pid namespace' | 'in another boot' | 'on another host';

/** Killed where its process number means something else, and gone on with here. */
function leftLock(head: Head, left: Left, index: number): Case {
  return {
    id: `owners/${left.replaceAll(' ', '-')}-${head}/${index}`,
    group: 'a lock left by a process that died elsewhere',
    async attack(trial) {
      const { lab } = trial;
      const [workDir, out] = [emptyFolder(trial.path('work')), trial.path('out')];
      const within = elsewhere(trial, left);
      const args = lab.labelArgs({ head, precision: 'f32', out, workDir, more: ['--threads', '1'] });
      const { changes } = await courseOf(trial, head);
      for (let tries = 0; !existsSync(join(workDir, 'lock')); tries++) {
        if (tries > 20) throw new Finding('skipped', 'no run was killed while it held the lock');
        const change = 1 + trial.random.below(Math.max(1, changes.work - 2));
        await trial.naan(args, {
          within,
          strike: { moment: { folder: workDir, change, delayMs: 0 }, signals: ['SIGKILL'] },
        });
      }
      trial.kills++;
      const lock = readFileSync(join(workDir, 'lock'), 'utf8');
      trial.note(`the lock says ${JSON.stringify(lock)}, this host is ${hostname()}`);
      const until = performance.now() + patienceMs;
      let ended = await trial.naan(args);
      const first = ended;
      while (judge(ended) === 'refused' && performance.now() < until) {
        await pause(5000);
        ended = await trial.naan(args);
      }
      if (judge(ended) === 'refused') throw new Finding('refused', `for ${patienceMs / 1000} s: ${tail(ended.stderr)}`);
      checkSame(labelFiles(out), await lab.labels(head, 'f32'), 'after the lock was taken over');
      if (first !== ended) throw new Finding('refused', `for a while: ${tail(first.stderr)}`);
    },
  };
}

/** What a command is given to, to run it in another place. */
function elsewhere(trial: Trial, left: Left): string[] {
  if (left === 'in another pid namespace') {
    need(namespace);
    return namespace;
  }
  const script =
    left === 'on another host'
      ? 'hostname other-host && exec "$0" "$@"'
      : `mount --bind ${trial.path('boot_id')} /proc/sys/kernel/random/boot_id && exec "$0" "$@"`;
  writeFileSync(trial.path('boot_id'), 'f3a1c8de-0000-4000-8000-000000000001\n');
  const within = [...namespace, left === 'on another host' ? '--uts' : '--mount', 'sh', '-c', script];
  need(within);
  return within;
}

/** Two runs one after the other, the second from a copy of the folder of the first while that still works on it. */
function copiedWhileAtWork(head: Head, index: number): Case {
  return {
    id: `owners/copied-${head}/${index}`,
    group: 'a work directory copied while at work',
    async attack(trial) {
      const { lab, random } = trial;
      const [workDir, copy] = [emptyFolder(trial.path('work')), trial.path('copy')];
      const outs = ['out1', 'out2'].map((name) => trial.path(name));
      const args = (out: string, folder: string) =>
        lab.labelArgs({ head, precision: 'f32', out, workDir: folder, more: ['--threads', '1'] });
      const { ms } = await courseOf(trial, head);
      const first = trial.naan(args(outs[0], workDir));
      await pause(ms * (0.3 + 0.6 * random.uniform()));
      try {
        cpSync(workDir, copy, { recursive: true });
      } catch {
        throw new Finding('skipped', 'the run removed files while they were copied');
      }
      trial.note(`${workDir} copied to ${copy}`);
      const second = await trial.naan(args(outs[1], copy));
      await checkPair(trial, [await first], [outs[0]], head);
      // With the files the lock was copied: as long as its process lives the copy is refused.
      const again = judge(second) === 'refused' ? await trial.naan(args(outs[1], copy)) : second;
      await checkPair(trial, [again], [outs[1]], head);
      if (again !== second) throw new Finding('refused', tail(second.stderr));
    },
  };
}

function courseOf(trial: Trial, head: Head) {
  const { lab } = trial;
  return lab.course(`label-${head}`, ['work', 'out'], (folder) =>
    lab.labelArgs({
      head,
      precision: 'f32',
      out: `${folder}/out`,
      workDir: `${folder}/work`,
      more: ['--threads', '1'],
    }),
  );
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** `share` of all: 1 for the whole bench. */
export function ownerCases(share: number): Case[] {
  const numbers = (count: number) => Array.from({ length: Math.max(1, Math.round(count * share)) }, (_, i) => i);
  const lefts: Left[] = ['in another pid namespace', 'in another boot', 'on another host'];
  return heads.flatMap((head) => [
    ...numbers(8).map((i) => twoAtOnce(head, false, i)),
    ...numbers(8).map((i) => twoAtOnce(head, true, i)),
    ...numbers(6).map((i) => oneProcess(head, i)),
    ...numbers(6).map((i) => copiedWhileAtWork(head, i)),
    ...numbers(4).map((i) => paused(head, i)),
    ...lefts.flatMap((left) => numbers(2).map((i) => leftLock(head, left, i))),
  ]);
}
