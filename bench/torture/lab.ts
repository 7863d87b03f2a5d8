/** What the cases share: sets, models, and the bytes that undisturbed runs write. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { readWork, type WorkStatus } from '../../src/engine/work-dir.js';
import type { Precision } from '../../src/memory/row-store.js';
import { writeModel } from '../../src/model/model-file.js';
import { smoothedDistanceModel } from '../smoothed-distance-model.js';
import { type Ended, emptyFolder, naanWords, run } from './command.js';

export type Head = 'concat' | 'pairwise';
export const heads: readonly Head[] = ['concat', 'pairwise'];

export interface Size {
  readonly nodes: number;
  readonly dim: number;
  /** Identities to train on. */
  readonly ids: number;
  /** Epochs of training, by head. */
  readonly epochs: Readonly<Record<Head, number>>;
}

/** SHA-256 by the name of the file below a folder. */
export type Digests = Readonly<Record<string, string>>;

interface Inputs {
  readonly features: string;
  readonly knn: string;
}

export interface LabelRun {
  readonly head: Head;
  readonly precision: Precision;
  readonly out: string;
  readonly workDir?: string | undefined;
  readonly inputs?: Inputs;
  readonly model?: string;
  readonly more?: readonly string[];
}

/** Stages that leave something in files, in order. */
export const keptStages: Readonly<Record<Head, readonly string[]>> = {
  concat: ['project', 'aggregate', 'embed', 'split', 'score'],
  pairwise: ['load', 'similarities', 'score'],
};

export class Lab {
  private readonly made = new Map<string, Promise<unknown>>();

  constructor(
    readonly folder: string,
    readonly size: Size,
  ) {}

  get set(): Inputs {
    return this.inputsIn('set');
  }

  /** Inputs of the same shape with other values. */
  get otherSet(): Inputs {
    return this.inputsIn('other-set');
  }

  get labelled(): Inputs {
    const path = join(this.folder, 'set', 'labeled', 'split0');
    return { features: `${path}_feats.npz`, knn: `${path}_knn.npy` };
  }

  get models(): Readonly<Record<Head, string>> {
    return {
      concat: join(this.folder, 'concat.safetensors'),
      pairwise: join(this.folder, 'pairwise.safetensors'),
    };
  }

  /** Makes sets and models, unless an earlier bench has left them here. */
  async prepare(): Promise<void> {
    const { nodes, dim, ids } = this.size;
    const shape = ['--nodes', String(nodes), '--dim', String(dim), '--k', '24', '--shuffle', '--planted-knn'];
    for (const [name, seed] of [['set', '5'] as const, ['other-set', '6'] as const]) {
      const out = join(this.folder, name);
      if (existsSync(join(out, 'unlabeled'))) continue;
      await this.must(['generate', '--out', out, ...shape, '--seed', seed, '--labeled-ids', String(ids)]);
    }
    if (existsSync(this.models.concat)) return;
    const { features, knn } = this.labelled;
    await this.must(['train', '--features', features, '--knn', knn, '--out', this.models.pairwise, '--epochs', '1']);
    await writeModel(this.models.concat, smoothedDistanceModel(dim, [20, 10]));
  }

  labelArgs({ head, precision, out, workDir, inputs = this.set, model = this.models[head], more }: LabelRun): string[] {
    const files = ['--features', inputs.features, '--knn', inputs.knn, '--model', model, '--out', out];
    const rows = precision === 'bf16' ? ['--precision', 'bf16'] : [];
    const work = workDir === undefined ? [] : ['--work-dir', workDir];
    return ['label', ...files, ...rows, '--threshold', '0.4', '--save-edges', ...work, '--quiet', ...(more ?? [])];
  }

  /** What an undisturbed run without a work directory writes. */
  labels(head: Head, precision: Precision): Promise<Digests> {
    return this.once(`labels-${head}-${precision}`, async (out) => {
      await this.must(this.labelArgs({ head, precision, out }));
      return labelFiles(out);
    });
  }

  trainArgs(head: Head, out: string, more: readonly string[] = []): string[] {
    const { features, knn } = this.labelled;
    const hops =
      head === 'concat' ? ['--k-hops', '8', '4', '--sample-hops', '8', '--passes', '4', '--batch', '64'] : [];
    const course = ['--head', head, '--epochs', String(this.size.epochs[head]), '--checkpoint-every', '5'];
    return ['train', '--features', features, '--knn', knn, '--out', out, ...course, ...hops, '--quiet', ...more];
  }

  /** The model file that an undisturbed training writes. */
  model(head: Head): Promise<Digests> {
    return this.once(`model-${head}`, async (folder) => {
      await this.must(this.trainArgs(head, join(folder, 'model.safetensors')));
      return digestsIn(folder, (name) => name === 'model.safetensors');
    });
  }

  /** How long an undisturbed run takes here, and how often it changes folders, which are there before it starts. */
  course(
    name: string,
    folders: readonly string[],
    args: (folder: string) => readonly string[],
  ): Promise<{ ms: number; changes: Record<string, number> }> {
    return this.once(`course-${name}`, async (folder) => {
      const changes = Object.fromEntries(folders.map((below) => [below, 0]));
      const watchers = folders.map((below) => watch(emptyFolder(folder, below), () => void changes[below]++));
      try {
        const { seconds } = await this.must(args(folder));
        return { ms: seconds * 1000, changes };
      } finally {
        for (const watcher of watchers) watcher.close();
      }
    });
  }

  /** What an undisturbed run of another command writes below a folder, and how large its files are. */
  outputs(
    name: string,
    args: (out: string) => readonly string[],
  ): Promise<{ digests: Digests; sizes: Readonly<Record<string, number>> }> {
    return this.once(`outputs-${name}`, async (folder) => {
      const out = emptyFolder(folder, 'out');
      await this.must(args(out));
      const sizes = filesIn(out).map((file) => [file, statSync(join(out, file)).size]);
      return { digests: digestsIn(out), sizes: Object.fromEntries(sizes) };
    });
  }

  /** A work directory whose run was killed in the middle of a stage. */
  partial(head: Head, precision: Precision, stage: string): Promise<{ path: string }> {
    return this.once(`partial-${head}-${precision}-${stage}`, async (folder) => {
      const path = join(folder, 'work');
      await this.killedAt({ head, precision, out: join(folder, 'out'), workDir: path }, stage);
      return { path };
    });
  }

  /** The same of a run that was killed in the stage before too, and how its files were then. */
  twicePartial(head: Head, precision: Precision, stage: string): Promise<{ path: string; early: string }> {
    return this.once(`twice-partial-${head}-${precision}-${stage}`, async (folder) => {
      const [path, early] = [join(folder, 'work'), join(folder, 'early')];
      const common = { head, precision, out: join(folder, 'out') };
      const stages = keptStages[head];
      await this.killedAt({ ...common, workDir: early }, stages[Math.max(0, stages.indexOf(stage) - 1)]);
      await this.killedAt({ ...common, workDir: path }, stage, early);
      return { path, early };
    });
  }

  /** A work directory of the other set, killed in the middle of the last stage. */
  partialOfOther(head: Head, precision: Precision): Promise<{ path: string }> {
    return this.once(`partial-other-${head}-${precision}`, async (folder) => {
      const path = join(folder, 'work');
      const run = { head, precision, inputs: this.otherSet, out: join(folder, 'out'), workDir: path };
      await this.killedAt(run, keptStages[head].at(-1)!);
      return { path };
    });
  }

  /** The checkpoint of a training killed when it had written so many; another seed makes another training. */
  checkpoint(head: Head, written: number, seed: number): Promise<{ path: string }> {
    return this.once(`checkpoint-${head}-${written}-${seed}`, async (folder) => {
      const model = join(folder, 'model.safetensors');
      const path = `${model}.checkpoint`;
      for (let tries = 0; tries < 20; tries++) {
        rmSync(path, { force: true });
        const moment = { folder, file: basename(path), change: written, delayMs: 0 };
        const args = this.trainArgs(head, model, ['--seed', String(seed)]);
        await run(naanWords(args), { strike: { moment, signals: ['SIGKILL'] } });
        if (existsSync(path) && !existsSync(model)) return { path };
        rmSync(model, { force: true });
      }
      throw new Error(`${path}: no training could be killed after checkpoint ${written}`);
    });
  }

  /** Leaves a work directory in which some shards of `stage`, not all, are done; from a copy of `start` if given. */
  async killedAt(wanted: LabelRun & { readonly workDir: string }, stage: string, start?: string): Promise<void> {
    const { workDir, out } = wanted;
    const args = this.labelArgs({ ...wanted, more: ['--threads', '1', '--shards', '24'] });
    const change = () => halfDone(workDir, stage);
    for (let tries = 0; tries < 40; tries++) {
      rmSync(workDir, { recursive: true, force: true });
      if (start) cpSync(start, workDir, { recursive: true });
      emptyFolder(workDir);
      await run(naanWords(args), {
        strike: { moment: { folder: workDir, file: 'journal', change, delayMs: 0 }, signals: ['SIGKILL'] },
      });
      rmSync(out, { recursive: true, force: true });
      if (halfDone(workDir, stage)) return;
    }
    throw new Error(`${workDir}: no run could be killed in the middle of ${stage}`);
  }

  /** Runs a command that nothing is done to. Throws when it fails, as nothing can be judged then. */
  async must(args: readonly string[]): Promise<Ended> {
    const ended = await run(naanWords(args));
    if (ended.code !== 0) throw new Error(`undisturbed, failed: ${ended.command}\n${ended.stderr}`);
    return ended;
  }

  /** Makes something once, in a folder of its own, for this bench and those that go on with it. */
  private once<T>(name: string, make: (folder: string) => Promise<T>): Promise<T> {
    let made = this.made.get(name);
    if (!made) {
      const folder = join(this.folder, name);
      const kept = join(folder, 'made.json');
      made = existsSync(kept)
        ? Promise.resolve(JSON.parse(readFileSync(kept, 'utf8')))
        : (async () => {
            rmSync(folder, { recursive: true, force: true });
            const value = await make(emptyFolder(folder));
            writeFileSync(kept, JSON.stringify(value));
            return value;
          })();
      this.made.set(name, made);
    }
    return made as Promise<T>;
  }

  private inputsIn(name: string): Inputs {
    const path = join(this.folder, name, 'unlabeled', 'split1');
    return { features: `${path}_feats.npz`, knn: `${path}_knn.npy` };
  }
}

/** Whether some shards of a stage and round are done, and not all. */
export function halfDone(workDir: string, stage?: string): boolean {
  let status: WorkStatus | undefined;
  try {
    status = readWork(workDir);
  } catch {
    // A damaged journal.
  }
  if (!status) return false;
  const { done, header } = status;
  return done.some((at) => (stage ?? at.stage) === at.stage && at.shards > 0 && at.shards < header.shards);
}

/** Files of label that tell times. */
export const tellTimes: readonly string[] = ['run.json', 'report.html'];

/** Results of label but those that tell times. */
export function labelFiles(out: string): Digests {
  return digestsIn(out, (name) => !tellTimes.includes(name));
}

/** Digests of all files below a folder, or of some. */
export function digestsIn(folder: string, wanted: (name: string) => boolean = () => true): Digests {
  const names = filesIn(folder).filter(wanted);
  return Object.fromEntries(names.map((name) => [name, sha256(readFileSync(join(folder, name)))]));
}

/** Names of all files below a folder, hidden ones too; none if there is no folder. */
export function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
