/**
 * What a later run relies on is damaged: by the storage, or because inputs are no longer what they were. The later run
 * writes the right bytes, or refuses in one line and writes them when the advice of that line is followed.
 */

import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { RandomStream } from '../../src/graph/random.js';
import { readFloat32Array } from '../../src/io/arrays.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import type { Precision } from '../../src/memory/row-store.js';
import { emptyFolder, Finding, judge, tail } from './command.js';
import { type Digests, digestsIn, type Head, halfDone, heads, keptStages, labelFiles } from './lab.js';
import { type Case, checkOnly, checkSame, type Trial } from './trial.js';

/** Damages the file at `path`, of which `spare` is one of another run or moment; says how. */
type Fault = (path: string, random: RandomStream, spare: string | undefined) => string;

const storageFaults: Readonly<Record<string, Fault>> = {
  flipped(path, random) {
    const bytes = readFileSync(path);
    const at = random.below(bytes.length);
    const bit = random.below(8);
    bytes[at] ^= 1 << bit;
    writeFileSync(path, bytes);
    return `bit ${bit} of byte ${at} flipped`;
  },
  zeroed(path, random) {
    const bytes = readFileSync(path);
    const start = random.below(bytes.length);
    const length = Math.min(bytes.length - start, 1 + random.below(2 ** (4 + random.below(14))));
    bytes.fill(0, start, start + length);
    writeFileSync(path, bytes);
    return `${length} bytes from ${start} zeroed`;
  },
  shortened(path, random) {
    const length = random.below(statSync(path).size);
    truncateSync(path, length);
    return `cut to ${length} bytes`;
  },
  emptied(path) {
    truncateSync(path, 0);
    return 'cut to 0 bytes';
  },
  extended(path, random) {
    const more = Buffer.from(Int32Array.from({ length: 1 + random.below(64) }, () => random.next()).buffer);
    appendFileSync(path, more);
    return `${more.length} random bytes more`;
  },
  'zeros appended'(path, random) {
    const more = 1 + random.below(5000);
    appendFileSync(path, new Uint8Array(more));
    return `${more} zeros more`;
  },
  missing(path) {
    rmSync(path);
    return 'removed';
  },
  'of another run'(path, _, spare) {
    if (spare === undefined || !existsSync(spare)) throw new Finding('skipped', 'the other run has no such file');
    copyFileSync(spare, path);
    return `replaced by ${spare}`;
  },
  'of an earlier moment'(path, _, spare) {
    if (spare === undefined || !existsSync(spare)) throw new Finding('skipped', 'there was no such file earlier');
    copyFileSync(spare, path);
    return `replaced by ${spare}`;
  },
};

/** Runs after a fault; after a refusal does what that says. `check` throws when what was written is not right. */
async function survive(trial: Trial, args: readonly string[], check: (when: string) => void): Promise<void> {
  const ended = await trial.naan(args);
  if (judge(ended) === 'done') return check('after the fault');
  await trial.done(advised(trial, ended.stderr, args));
  check('when the advice was followed');
  throw new Finding('refused', tail(ended.stderr));
}

/** The command that a refusal asks for. */
function advised(trial: Trial, refusal: string, args: readonly string[]): readonly string[] {
  if (refusal.includes('--restart')) return [...args, '--restart'];
  if (refusal.includes('leave out --resume')) return args.filter((word) => word !== '--resume');
  const path = /^naan \w+: (\/\S+): .* remove this file$/.exec(refusal.trim())?.[1];
  if (path !== undefined) {
    trial.note(`rm ${path}`);
    rmSync(path);
    return args;
  }
  if (!/give another (--work-dir|folder)/.test(refusal)) throw new Finding('failed', `no advice: ${tail(refusal)}`);
  return args.map((word, i) => (args[i - 1] === '--work-dir' ? `${word}-another` : word));
}

const dataFiles = (name: string) => name.endsWith('.rows') || name.endsWith('.column');
const kinds = {
  rows: { files: dataFiles, faults: Object.keys(storageFaults).filter((name) => name !== 'zeros appended'), times: 3 },
  journal: { files: (name: string) => name === 'journal', faults: Object.keys(storageFaults), times: 2 },
  lock: {
    files: (name: string) => name === 'lock',
    faults: ['flipped', 'emptied', 'extended', 'zeroed', 'missing', 'of another run'],
    times: 1,
  },
} as const;

function workDirFault(head: Head, precision: Precision, kind: keyof typeof kinds, fault: string, index: number): Case {
  const stages = keptStages[head];
  return {
    id: `fault-${kind}/${head}-${precision}/${fault.replaceAll(' ', '-')}/${index}`,
    group: `${kind === 'rows' ? 'rows and columns' : kind} of a work directory, damaged`,
    async attack(trial) {
      const { lab, random } = trial;
      const [out, workDir] = [trial.path('out'), trial.path('work')];
      // The last stages rely on the most.
      const stage = stages[stages.length - 1 - (index % 3)];
      const expected = await lab.labels(head, precision);
      const { path, early } =
        fault === 'of an earlier moment'
          ? await lab.twicePartial(head, precision, stage)
          : { ...(await lab.partial(head, precision, stage)), early: '' };
      cpSync(path, workDir, { recursive: true });
      if (fault !== 'none') {
        const names = readdirSync(workDir).filter(kinds[kind].files).sort();
        if (names.length === 0) throw new Finding('skipped', `the killed run has left no ${kind}`);
        const name = trial.pick(names);
        const other = fault === 'of another run' ? (await lab.partialOfOther(head, precision)).path : early;
        trial.note(
          `${name} of ${path}, copied to ${workDir}: ${storageFaults[fault](join(workDir, name), random, join(other, name))}`,
        );
      }
      if (halfDone(workDir)) trial.midway++;
      const args = lab.labelArgs({ head, precision, out, workDir, more: ['--threads', '1'] });
      await survive(trial, args, (when) => checkSame(labelFiles(out), expected, when));
      checkOnly(workDir, ['journal'], 'in the work directory');
    },
  };
}

/** What is done to inputs between a kill and the run that goes on. Returns which inputs are then right, and what was done. */
const inputChanges = {
  'a row between samples of the digest changed'(features: string, random: RandomStream) {
    const bytes = readFileSync(features);
    const gap = gapOfDigest(bytes.length, random);
    const values = new Float32Array(bytes.buffer, bytes.byteOffset + gap, 64);
    values.reverse();
    writeFileSync(features, bytes);
    return `64 values from byte ${gap} of ${features} reversed`;
  },
  'the same, and its times put back'(features: string, random: RandomStream) {
    const { atime, mtime } = statSync(features);
    const what = inputChanges['a row between samples of the digest changed'](features, random);
    utimesSync(features, atime, mtime);
    return `${what}, times as before`;
  },
  'a row that the digest samples changed'(features: string, random: RandomStream) {
    const bytes = readFileSync(features);
    new Float32Array(bytes.buffer, bytes.byteOffset + 4096 + 4 * random.below(64), 64).reverse();
    writeFileSync(features, bytes);
    return `64 values near the start of ${features} reversed`;
  },
  touched(features: string) {
    const later = new Date(Date.now() + 5000);
    utimesSync(features, later, later);
    return `${features} touched`;
  },
  'copied over itself'(features: string) {
    copyFileSync(features, `${features}.copy`);
    cpSync(`${features}.copy`, features);
    rmSync(`${features}.copy`);
    return `${features} written again`;
  },
  'the neighbours of a node changed'(_: string, random: RandomStream, knn: string) {
    const bytes = readFileSync(knn);
    const ids = new Int32Array(bytes.buffer, bytes.byteOffset + 128, (bytes.length - 128) >> 2);
    const at = 25 * random.below(Math.floor(ids.length / 25)) + 3;
    const first = ids[at];
    ids[at] = ids[at + 1];
    ids[at + 1] = first;
    ids[at + 2] = (ids[at + 2] + 1) % (ids.length / 25);
    writeFileSync(knn, bytes);
    return `ids ${at} to ${at + 2} of ${knn} changed`;
  },
  'the model changed'(_: string, random: RandomStream, __: string, model: string) {
    const bytes = readFileSync(model);
    const at = bytes.length - 4 * (1 + random.below(200));
    bytes[at + 2] ^= 0x40;
    writeFileSync(model, bytes);
    return `byte ${at + 2} of ${model} changed`;
  },
};

function inputChange(head: Head, change: keyof typeof inputChanges | 'another path', index: number): Case {
  const stages = keptStages[head];
  return {
    id: `inputs/${head}/${change.replaceAll(/[ ,]+/g, '-')}/${index}`,
    group: 'inputs changed between kill and next run',
    async attack(trial) {
      const { lab } = trial;
      const [out, workDir] = [trial.path('out'), trial.path('work')];
      const place = async (name: string) => {
        const folder = emptyFolder(trial.path(name));
        // An archive has a checksum, by which a changed row would be refused as damage.
        const inputs = { features: join(folder, 'split1_feats.npy'), knn: join(folder, 'split1_knn.npy') };
        const model = join(folder, 'model.safetensors');
        const { shape, data } = await readFloat32Array(lab.set.features, 'embs');
        await writeNpy(inputs.features, 'f4', shape, data);
        cpSync(lab.set.knn, inputs.knn, { preserveTimestamps: true });
        cpSync(lab.models[head], model, { preserveTimestamps: true });
        return { inputs, model };
      };
      const { inputs, model } = await place('inputs');
      const stage = stages[stages.length - 1 - (index % 2)];
      const common = { head, precision: 'f32' as const, out, workDir };
      await lab.killedAt({ ...common, inputs, model }, stage);
      let now = { inputs, model };
      if (change === 'another path') {
        now = await place('elsewhere');
        trial.note(`the same inputs in ${trial.path('elsewhere')}`);
      } else {
        trial.note(inputChanges[change](inputs.features, trial.random, inputs.knn, model));
      }
      const fresh = trial.path('fresh');
      await lab.must(lab.labelArgs({ head, precision: 'f32', out: fresh, ...now }));
      const expected = labelFiles(fresh);
      const args = lab.labelArgs({ ...common, ...now, more: ['--threads', '1'] });
      trial.midway++;
      await survive(trial, args, (when) => checkSame(labelFiles(out), expected, when));
    },
  };
}

/** A byte of a file of 64-bit floats or shorter that no block of the sampled digest covers, 256 bytes before one that is. */
function gapOfDigest(size: number, random: RandomStream): number {
  const [block, blocks] = [2 ** 16, 256];
  const room = (size - block) / (blocks - 1) - block;
  if (room < 1024) throw new Finding('skipped', `${size} bytes of features are digested whole`);
  const i = 1 + random.below(blocks - 3);
  const end = Math.floor(((size - block) * i) / (blocks - 1)) + block;
  return Math.ceil((end + 256) / 4) * 4;
}

function checkpointFault(head: Head, fault: string, index: number): Case {
  return {
    id: `fault-checkpoint/${head}/${fault.replaceAll(' ', '-')}/${index}`,
    group: 'checkpoint of training, damaged',
    async attack(trial) {
      const { lab, random } = trial;
      const expected = await lab.model(head);
      const out = emptyFolder(trial.path('out'));
      const { path } = await lab.checkpoint(head, 4, 1);
      const checkpoint = join(out, 'model.safetensors.checkpoint');
      copyFileSync(path, checkpoint);
      if (fault !== 'none') {
        const others = { 'of another run': [4, 2], 'of an earlier moment': [1, 1] } as const;
        const other = fault in others && others[fault as keyof typeof others];
        const spare = other ? (await lab.checkpoint(head, other[0], other[1])).path : undefined;
        trial.note(`${path}, copied to ${checkpoint}: ${storageFaults[fault](checkpoint, random, spare)}`);
      }
      trial.midway++;
      const args = lab.trainArgs(head, join(out, 'model.safetensors'), ['--resume']);
      const model = (): Digests => digestsIn(out, (name) => name === 'model.safetensors');
      await survive(trial, args, (when) => checkSame(model(), expected, when));
      checkOnly(out, ['model.safetensors', 'train.json', 'train.svg'], 'after training');
    },
  };
}

/** `share` of all: 1 for the whole bench. */
export function faultCases(share: number): Case[] {
  const numbers = (count: number) => Array.from({ length: Math.max(1, Math.round(count * share)) }, (_, i) => i);
  const workDirs = heads.flatMap((head) =>
    (['f32', 'bf16'] as const).flatMap((precision) =>
      (Object.keys(kinds) as (keyof typeof kinds)[]).flatMap((kind) => [
        ...numbers(kind === 'rows' ? 3 : 1).map((i) => workDirFault(head, precision, kind, 'none', i)),
        ...kinds[kind].faults.flatMap((fault) =>
          numbers(kinds[kind].times).map((i) => workDirFault(head, precision, kind, fault, i)),
        ),
      ]),
    ),
  );
  const changes = [...Object.keys(inputChanges), 'another path'] as (keyof typeof inputChanges | 'another path')[];
  const inputs = heads.flatMap((head) =>
    changes.flatMap((change) => numbers(3).map((i) => inputChange(head, change, i))),
  );
  const checkpoints = heads.flatMap((head) => [
    checkpointFault(head, 'none', 0),
    ...Object.keys(storageFaults).flatMap((fault) => numbers(2).map((i) => checkpointFault(head, fault, i))),
  ]);
  return [...workDirs, ...inputs, ...checkpoints];
}
