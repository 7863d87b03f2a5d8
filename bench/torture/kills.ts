/** Runs that are killed, once or several times, and then run to their end: nothing is lost and nothing is different. */
import { existsSync, rmSync } from 'node:fs';
import type { Precision } from '../../src/memory/row-store.js';
import { emptyFolder, type Moment, type Strike } from './command.js';
import { digestsIn, filesIn, type Head, halfDone, heads, labelFiles, tellTimes } from './lab.js';
import { type Case, checkJson, checkOnly, checkSame, checkWhole, earlierResults, type Trial } from './trial.js';

/** How often the runs of a case are killed: the first case once, the second twice, and so on. */
const killsOfCases = [1, 2, 3, 4, 1, 2, 3, 5];

type Course = { readonly ms: number; readonly changes: Readonly<Record<string, number>> };

/** At any moment of a run, or just when it changes files, where the critical ones are. */
function someStrike(trial: Trial, course: Course, folders: Readonly<Record<string, string>>): Strike {
  const { random } = trial;
  const at = Object.keys(folders).filter((name) => course.changes[name] > 0);
  const anyMoment = (): Moment => ({ afterMs: random.uniform() * course.ms });
  const atChange = (): Moment => {
    const name = trial.pick(at);
    const change = 1 + random.below(course.changes[name]);
    return { folder: folders[name], change, delayMs: trial.pick([0, 0, 1, 3, 10]) };
  };
  /** When shards have just come to count. */
  const atRecord = (): Moment => {
    return { folder: folders.work, file: 'journal', change: 2 + random.below(8), delayMs: random.below(40) };
  };
  const moments = [anyMoment, ...(at.length > 0 ? [atChange] : []), ...(at.includes('work') ? [atRecord] : [])];
  const moment = trial.pick(moments)();
  const signals = trial.pick<readonly NodeJS.Signals[]>([
    ...([['SIGKILL'], ['SIGKILL'], ['SIGKILL'], ['SIGTERM'], ['SIGINT'], ['SIGHUP']] as const),
    ...([
      ['SIGINT', 'SIGINT'],
      ['SIGTERM', 'SIGKILL'],
    ] as const),
  ]);
  return { moment, signals };
}

const gentle = (strike: Strike) => !strike.signals.includes('SIGKILL');

function labelKill(head: Head, precision: Precision, index: number): Case {
  const group = `label ${head} ${precision}, killed`;
  return {
    id: `kill-label/${head}-${precision}/${index}`,
    group,
    async attack(trial) {
      const { lab, random } = trial;
      const [out, workDir] = [emptyFolder(trial.path('out')), trial.path('work')];
      const expected = await lab.labels(head, precision);
      const course = await lab.course(`label-${head}`, ['work', 'out'], (folder) =>
        lab.labelArgs({ head, precision, out: `${folder}/out`, workDir: `${folder}/work`, more: ['--threads', '1'] }),
      );
      const args = () => {
        const more = ['--threads', trial.pick(['1', '1', '2', '3'])];
        if (random.uniform() < 0.5) more.push('--shards', trial.pick(['5', '24', '77']));
        if (random.uniform() < 0.3) more.push('--batch', trial.pick(['64', '200', '1024']));
        if (random.uniform() < 0.3) more.push('--memory', trial.pick(['2GiB', '6GiB']));
        return lab.labelArgs({ head, precision, out, workDir, more });
      };
      const wanted = killsOfCases[index % killsOfCases.length];
      while (trial.kills < wanted) {
        emptyFolder(workDir);
        const strike = someStrike(trial, course, { work: workDir, out });
        if (halfDone(workDir)) trial.midway++;
        const before = filesIn(out);
        const stopped = await trial.struck(args(), strike);
        checkWhole(out, {}, expected, 'after a kill');
        checkJson(out);
        if (stopped && gentle(strike))
          checkOnly(out, [...before, ...Object.keys(expected), ...tellTimes], 'after a signal');
        if (stopped) continue;
        checkSame(labelFiles(out), expected, 'a run that was done before it was struck');
        rmSync(out, { recursive: true });
        emptyFolder(out);
      }
      if (halfDone(workDir)) trial.midway++;
      await trial.done(args());
      checkSame(labelFiles(out), expected, 'after kills');
      checkOnly(workDir, ['journal'], 'in the work directory');
    },
  };
}

function trainKill(head: Head, index: number): Case {
  return {
    id: `kill-train/${head}/${index}`,
    group: `train ${head}, killed`,
    async attack(trial) {
      const { lab } = trial;
      const out = emptyFolder(trial.path('out'));
      const expected = await lab.model(head);
      const course = await lab.course(`train-${head}`, ['out'], (folder) =>
        lab.trainArgs(head, `${folder}/out/model.safetensors`),
      );
      const args = () => {
        const more = ['--threads', trial.pick(['1', '2'])];
        if (trial.random.uniform() < 0.3) more.push('--checkpoint-every', trial.pick(['1', '12']));
        return lab.trainArgs(head, `${out}/model.safetensors`, ['--resume', ...more]);
      };
      const model = (name: string) => name === 'model.safetensors';
      const results = ['model.safetensors', 'train.json', 'train.svg'];
      while (trial.kills < 1 + (index % 3)) {
        if (existsSync(`${out}/model.safetensors.checkpoint`)) trial.midway++;
        const strike = someStrike(trial, course, { out });
        const before = filesIn(out);
        const stopped = await trial.struck(args(), strike);
        checkWhole(out, {}, expected, 'after a kill');
        checkJson(out);
        if (stopped && gentle(strike)) {
          // A second signal ends the process at once, and its lock stays, as after a kill: the next run takes it over.
          const lock = strike.signals.length > 1 ? ['model.safetensors.checkpoint.lock/lock'] : [];
          checkOnly(out, [...before, ...results, 'model.safetensors.checkpoint', ...lock], 'after a signal');
        }
        if (stopped) continue;
        checkSame(digestsIn(out, model), expected, 'a run that was done before it was struck');
        rmSync(out, { recursive: true });
        emptyFolder(out);
      }
      if (existsSync(`${out}/model.safetensors.checkpoint`)) trial.midway++;
      await trial.done(args());
      checkSame(digestsIn(out, model), expected, 'after kills');
      checkOnly(out, results, 'after the run that went to its end');
    },
  };
}

/** A command without anything to go on with: what bears a final name is whole, and the next run clears up. */
function plainKill(name: string, index: number, commandLine: (trial: Trial, out: string) => readonly string[]): Case {
  return {
    id: `kill-${name}/${index}`,
    group: `${name}, killed`,
    async attack(trial) {
      const { lab } = trial;
      const out = emptyFolder(trial.path('out'));
      const earlier = index % 2 === 1;
      const args = [...commandLine(trial, out), ...(earlier ? ['--overwrite'] : [])];
      const { digests: expected } = await lab.outputs(name, (folder) => commandLine(trial, folder));
      const course = await lab.course(name, ['.'], (folder) => commandLine(trial, folder));
      const before = earlier ? earlierResults(out, Object.keys(expected)) : {};
      while (trial.kills < 1) {
        const strike = someStrike(trial, course, { '.': out });
        if (!(await trial.struck(args, strike))) {
          checkSame(digestsIn(out), expected, 'a run that was done before it was struck');
          if (!earlier) rmSync(out, { recursive: true });
          emptyFolder(out);
          continue;
        }
        checkWhole(out, before, expected, 'after a kill');
        if (gentle(strike)) checkOnly(out, Object.keys(expected), 'after a signal');
      }
      const left = filesIn(out).filter((file) => !(file in expected));
      if (left.length > 0) trial.note(`left by the kill: ${left.join(', ')}`);
      // A kill may come when files of the set have their names already: a set that is there is replaced only when asked.
      const isThere = name === 'generate' && !earlier && filesIn(out).some((file) => file in expected);
      await trial.done([...args, ...(isThere ? ['--overwrite'] : [])]);
      checkSame(digestsIn(out), expected, 'the run after a kill');
    },
  };
}

/** `share` of all: 1 for the whole bench. */
export function killCases(share: number): Case[] {
  const numbers = (count: number) => Array.from({ length: Math.max(1, Math.round(count * share)) }, (_, i) => i);
  return [
    ...heads.flatMap((head) =>
      (['f32', 'bf16'] as const).flatMap((precision) => numbers(20).map((i) => labelKill(head, precision, i))),
    ),
    ...heads.flatMap((head) => numbers(15).map((i) => trainKill(head, i))),
    ...numbers(30).map((i) => plainKill('knn', i, ({ lab }, out) => knnArgs(lab.set.features, out))),
    ...numbers(30).map((i) => plainKill('generate', i, (_, out) => generateArgs(out))),
  ];
}

export function knnArgs(features: string, out: string): string[] {
  return ['knn', '--features', features, '--out', `${out}/knn.npy`, '--k', '12', '--method', 'exact', '--quiet'];
}

export function generateArgs(out: string): string[] {
  return ['generate', '--out', out, '--nodes', '6000', '--dim', '64', '--k', '10', '--planted-knn', '--quiet'];
}
