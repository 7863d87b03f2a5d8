/**
 * Disks that fill up, files that may not grow, an output that takes nothing: a clear line, nothing partial under a final
 * name, earlier results untouched, and with room again the run goes on.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Precision } from '../../src/memory/row-store.js';
import { emptyFolder, Finding, judge, type RunOptions, tail } from './command.js';
import { generateArgs, knnArgs } from './kills.js';
import { type Digests, digestsIn, filesIn, type Head, heads, labelFiles, tellTimes } from './lab.js';
import { type Case, checkJson, checkOnly, checkSame, checkWhole, earlierResults, type Trial } from './trial.js';

const pageBytes = 4096;

const mounted = new Set<string>();
process.on('exit', () => {
  for (const folder of mounted) spawnSync('umount', [folder]);
});

/** A file system of its own with so many bytes, while `work` runs. Skips where that is not permitted. */
async function onSmallDisk(
  trial: Trial,
  bytes: number,
  work: (folder: string, grow: () => void) => Promise<void>,
): Promise<void> {
  const folder = emptyFolder(trial.path('disk'));
  const mount = (options: string) =>
    spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { encoding: 'utf8' });
  const { status, stderr, error } = mount(`size=${bytes}`);
  if (status !== 0) throw new Finding('skipped', `mount: not permitted here: ${error?.message ?? tail(stderr)}`);
  mounted.add(folder);
  trial.note(`mount -t tmpfs -o size=${bytes} tmpfs ${folder}`);
  try {
    await work(folder, () => {
      mount('remount,size=1g');
      trial.note(`mount -t tmpfs -o remount,size=1g tmpfs ${folder}`);
    });
  } finally {
    spawnSync('umount', [folder]);
    mounted.delete(folder);
  }
}

/** What holds for every output: with too little room a refusal that leaves no trace, with room the right bytes. */
async function refusedThenRight(
  trial: Trial,
  folder: string,
  expected: Digests,
  args: readonly string[],
  options: RunOptions,
  makeRoom: () => void,
  others: readonly string[] = [],
): Promise<void> {
  const before = digestsIn(folder);
  const ended = await trial.naan(args, options);
  const names = [...Object.keys(expected), ...others];
  const produced = () => digestsIn(folder, (name) => name in expected);
  if (judge(ended) === 'done') {
    checkSame(produced(), expected, 'with little room');
    checkOnly(folder, names, 'with little room');
    return;
  }
  checkWhole(folder, before, expected, 'with too little room');
  checkJson(folder);
  checkOnly(folder, names, 'with too little room');
  const changed = Object.keys(before).filter(
    (name) => !others.includes(name) && digestsIn(folder)[name] !== before[name],
  );
  if (changed.length > 0) throw new Finding('failed', `earlier results are gone: ${changed.join(', ')}`);
  makeRoom();
  await trial.done(args);
  checkSame(produced(), expected, 'with room again');
  checkOnly(folder, names, 'with room again');
  throw new Finding('refused', tail(ended.stderr));
}

interface Output {
  readonly name: string;
  readonly args: (trial: Trial, folder: string) => readonly string[];
  /** Files written besides the ones whose bytes are known, and how large they are. */
  readonly others?: readonly string[];
}

const outputs: readonly Output[] = [
  ...heads.map((head) => ({
    name: `label ${head}`,
    args: ({ lab }: Trial, folder: string) => lab.labelArgs({ head, precision: 'f32' as Precision, out: folder }),
    others: tellTimes,
  })),
  ...heads.map((head) => ({
    name: `train ${head}`,
    args: ({ lab }: Trial, folder: string) => lab.trainArgs(head, join(folder, 'model.safetensors'), ['--resume']),
    others: ['train.json', 'train.svg', 'model.safetensors.checkpoint'],
  })),
  ...heads.map((head) => ({
    name: `train ${head} without checkpoints`,
    args: ({ lab }: Trial, folder: string) =>
      lab.trainArgs(head, join(folder, 'model.safetensors'), ['--checkpoint-every', '1000000']),
    others: ['train.json', 'train.svg'],
  })),
  { name: 'knn', args: ({ lab }, folder) => knnArgs(lab.set.features, folder) },
  { name: 'generate', args: (_, folder) => generateArgs(folder) },
  {
    name: 'evaluate --clean-out',
    args({ lab }, folder) {
      const labels = lab.set.features.replace('feats.npz', 'labels.txt');
      return ['evaluate', '--labels', labels, '--truth', labels, '--clean-out', join(folder, 'clean.txt'), '--quiet'];
    },
  },
  {
    name: 'import-model',
    args: (_, folder) => ['import-model', importable, '--out', join(folder, 'model.safetensors'), '--quiet'],
  },
];

const importable = resolve('test/fixtures/one_head/zip.ckpt');

/** What an undisturbed run writes: the bytes that are the same for every run, and of all files their sizes. */
async function undisturbed(
  trial: Trial,
  { name, args, others = [] }: Output,
): Promise<{ expected: Digests; bytes: number }> {
  const key = name.replaceAll(/\W+/g, '-');
  const { digests, sizes } = await trial.lab.outputs(key, (folder) => args(trial, folder));
  const expected = Object.fromEntries(Object.entries(digests).filter(([file]) => !others.includes(file)));
  const pages = Object.values(sizes).reduce((sum, size) => sum + Math.ceil(size / pageBytes), 0);
  const bytes = pages * pageBytes;
  return { expected, bytes };
}

/** The command, to replace earlier results that it finds under some names. */
function withEarlier(trial: Trial, output: Output, folder: string, names: Digests): readonly string[] {
  const found = Object.keys(earlierResults(folder, Object.keys(names)));
  return [...output.args(trial, folder), ...(found.length > 0 ? ['--overwrite'] : [])];
}

function smallDisk(output: Output, index: number): Case {
  const key = output.name.replaceAll(/\W+/g, '-');
  return {
    id: `disk/${key}/${index}`,
    group: `disk full: ${output.name}`,
    async attack(trial) {
      const { expected, bytes } = await undisturbed(trial, output);
      // From almost nothing to almost enough, so that each file is the one that does not fit.
      const room =
        pageBytes * Math.max(2, Math.floor(((index + trial.random.uniform()) / disksOfAnOutput) * (bytes / pageBytes)));
      await onSmallDisk(trial, room, async (disk, grow) => {
        const args = withEarlier(trial, output, disk, index % 2 === 1 && room > 20 * pageBytes ? expected : {});
        await refusedThenRight(trial, disk, expected, args, {}, grow, output.others);
      });
    },
  };
}

const disksOfAnOutput = 5;

/** `ulimit -f`: no file may grow beyond some size. */
function shortFiles(output: Output, index: number): Case {
  const key = output.name.replaceAll(/\W+/g, '-');
  return {
    id: `file-size/${key}/${index}`,
    group: `files may not grow: ${output.name}`,
    async attack(trial) {
      const { expected, bytes } = await undisturbed(trial, output);
      const kibibytes = Math.floor((trial.random.uniform() * bytes) / 2 / 1024);
      const out = emptyFolder(trial.path('out'));
      const args = withEarlier(trial, output, out, index % 2 === 1 ? expected : {});
      const within = ['bash', '-c', `ulimit -f ${kibibytes}; exec "$0" "$@"`];
      await refusedThenRight(trial, out, expected, args, { within }, () => {}, output.others);
    },
  };
}

/** The history of a training is on a full disk, and the model is not: the checkpoint goes on to it. */
function historyDisk(head: Head, index: number): Case {
  return {
    id: `history-disk/${head}/${index}`,
    group: 'disk full: history of train',
    async attack(trial) {
      const expected = await trial.lab.model(head);
      const out = emptyFolder(trial.path('out'));
      await onSmallDisk(trial, pageBytes * (2 + index), async (disk, grow) => {
        const args = trial.lab.trainArgs(head, join(out, 'model.safetensors'), ['--history', join(disk, 'train.json')]);
        const ended = await trial.naan(args);
        if (judge(ended) === 'done') throw new Finding('failed', 'a history that had no room was written');
        checkOnly(out, ['model.safetensors.checkpoint'], 'with too little room');
        checkOnly(disk, ['train.json', 'train.svg'], 'with too little room');
        checkJson(disk);
        grow();
        await trial.done([...args, '--resume']);
        checkSame(digestsIn(out), expected, 'with room again');
        checkOnly(disk, ['train.json', 'train.svg'], 'with room again');
        throw new Finding('refused', tail(ended.stderr));
      });
    },
  };
}

/** The work directory is on a disk that somebody else fills while the run is at work, or that is too small from the start. */
function workDirDisk(head: Head, precision: Precision, how: 'filled' | 'small' | 'short files', index: number): Case {
  return {
    id: `work-dir-${how.replace(' ', '-')}/${head}-${precision}/${index}`,
    group: `work directory: ${how === 'filled' ? 'disk filled meanwhile' : how === 'small' ? 'disk too small' : 'files may not grow'}`,
    async attack(trial) {
      const { lab, random } = trial;
      const { nodes, dim } = lab.size;
      const expected = await lab.labels(head, precision);
      const out = trial.path('out');
      const rowBytes = nodes * dim * (precision === 'bf16' ? 2 : 4);
      const check = async (workDir: string, options: RunOptions, makeRoom: () => void) => {
        const args = lab.labelArgs({ head, precision, out, workDir, more: ['--threads', '1'] });
        const ended = await trial.naan(args, options);
        const refused = judge(ended) === 'refused';
        if (refused) {
          if (filesIn(out).length > 0) throw new Finding('failed', `refused, and wrote ${filesIn(out).join(', ')}`);
          makeRoom();
          await trial.done(args);
        }
        checkSame(labelFiles(out), expected, 'with a work directory that had no room');
        checkOnly(workDir, ['journal'], 'in the work directory');
        if (refused) throw new Finding('refused', tail(ended.stderr));
      };
      if (how === 'short files') {
        const within = ['bash', '-c', `ulimit -f ${random.below(Math.ceil(rowBytes / 1024))}; exec "$0" "$@"`];
        return check(trial.path('work'), { within }, () => {});
      }
      const room = how === 'small' ? random.uniform() * rowBytes * 3 : rowBytes * 6;
      await onSmallDisk(trial, pageBytes * Math.ceil(room / pageBytes), async (disk, grow) => {
        const workDir = emptyFolder(disk, 'work');
        if (how === 'small') return check(workDir, {}, grow);
        const filler = join(disk, 'filler');
        const { changes } = await lab.course(`label-${head}`, ['work', 'out'], (folder) =>
          lab.labelArgs({ head, precision, out: `${folder}/out`, workDir: `${folder}/work`, more: ['--threads', '1'] }),
        );
        const change = 1 + random.below(Math.max(1, changes.work));
        const strike = { moment: { folder: workDir, change, delayMs: random.below(40) }, signals: [] };
        trial.note(`${filler} takes all room`);
        await check(workDir, { strike, onStrike: () => fill(filler) }, () => {
          rmSync(filler, { force: true });
          trial.note(`${filler} removed`);
        });
      });
    },
  };
}

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (let size = 2 ** 20; size >= pageBytes; size >>= 1) {
      try {
        while (writeSync(fd, new Uint8Array(size)) === size);
      } catch {
        // No room for that much: less, then.
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Nothing takes what the command prints. */
function fullStdout(name: string, args: (trial: Trial) => readonly string[]): Case {
  return {
    id: `stdout/${name}`,
    group: 'stdout is /dev/full',
    async attack(trial) {
      if (!existsSync('/dev/full')) throw new Finding('skipped', 'there is no /dev/full');
      const stdout = openSync('/dev/full', 'w');
      try {
        trial.note('> /dev/full');
        const ended = await trial.naan(args(trial), { stdout });
        if (judge(ended) === 'done') throw new Finding('failed', 'ended with 0, and nobody could read what it printed');
        throw new Finding('refused', tail(ended.stderr));
      } finally {
        closeSync(stdout);
      }
    },
  };
}

/** `share` of all: 1 for the whole bench. */
export function fullDiskCases(share: number): Case[] {
  const numbers = (count: number) => Array.from({ length: Math.max(1, Math.round(count * share)) }, (_, i) => i);
  const ways = [['filled', 5] as const, ['small', 3] as const, ['short files', 2] as const];
  const truth = ({ lab }: Trial) => lab.set.features.replace('feats.npz', 'labels.txt');
  return [
    ...outputs.flatMap((output) => numbers(disksOfAnOutput).map((i) => smallDisk(output, i))),
    ...outputs.flatMap((output) => numbers(3).map((i) => shortFiles(output, i))),
    ...heads.flatMap((head) => numbers(2).map((i) => historyDisk(head, i))),
    ...heads.flatMap((head) =>
      (['f32', 'bf16'] as const).flatMap((precision) =>
        ways.flatMap(([how, times]) => numbers(times).map((i) => workDirDisk(head, precision, how, i))),
      ),
    ),
    fullStdout('label', (trial) => trial.lab.labelArgs({ head: 'concat', precision: 'f32', out: trial.path('out') })),
    fullStdout('label-json', (trial) => [
      ...trial.lab.labelArgs({ head: 'concat', precision: 'f32', out: trial.path('out') }),
      '--json',
    ]),
    fullStdout('evaluate', (trial) => ['evaluate', '--labels', truth(trial), '--truth', truth(trial), '--quiet']),
    fullStdout('knn', (trial) => knnArgs(trial.lab.set.features, emptyFolder(trial.path('out')))),
    fullStdout('generate', (trial) => generateArgs(trial.path('out'))),
    fullStdout('help', () => ['label', '--help']),
    fullStdout('doctor-help', () => ['doctor', '--help']),
  ];
}
