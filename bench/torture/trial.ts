/** One case at work: its folder, its random numbers, and the commands that repeat it. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RandomStream } from '../../src/graph/random.js';
import {
  type Ended,
  type Ending,
  emptyFolder,
  Finding,
  judge,
  judgeStruck,
  naanWords,
  type RunOptions,
  run,
  type Strike,
  tail,
} from './command.js';
import { type Digests, digestsIn, filesIn, type Lab } from './lab.js';

export interface Case {
  /** What `--only` names: group/…/number. */
  readonly id: string;
  /** The row of the table. */
  readonly group: string;
  /** Returns when what was attacked survived. Throws a finding for every other end. */
  readonly attack: (trial: Trial) => Promise<void>;
}

export class Trial {
  /** What was run and done, in order. */
  readonly log: string[] = [];
  kills = 0;
  /** Runs that went on with a stage that was half done. */
  midway = 0;

  constructor(
    readonly lab: Lab,
    readonly folder: string,
    readonly random: RandomStream,
  ) {}

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.random.below(choices.length)];
  }

  /** Notes what the bench itself did. */
  note(what: string): void {
    this.log.push(`# ${what}`);
  }

  async words(words: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const ended = await run(words, options);
    const { code, signal, seconds, stderr } = ended;
    const end = signal ?? code;
    this.log.push(ended.command, `# ended with ${end} after ${seconds.toFixed(2)} s${stderr && `: ${tail(stderr)}`}`);
    return ended;
  }

  naan(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.words(naanWords(args), options);
  }

  /** Runs a command that must do its work. */
  async done(args: readonly string[], options?: RunOptions): Promise<void> {
    const ended = await this.naan(args, options);
    if (judge(ended) === 'refused') throw new Finding('failed', `refused what should go well: ${tail(ended.stderr)}`);
  }

  /** Runs a command and strikes it. Returns whether that ended it, rather than that it had done its work before. */
  async struck(args: readonly string[], strike: Strike): Promise<boolean> {
    const when = 'afterMs' in strike.moment ? `${strike.moment.afterMs.toFixed(0)} ms` : 'a change of files';
    this.note(`${strike.signals.join(' ')} after ${when}`);
    const ended = await this.naan(args, { strike });
    const stopped = judgeStruck(ended, strike.signals);
    if (stopped) this.kills++;
    return stopped;
  }
}

/** What is known of a case when it is over. */
export interface Verdict {
  readonly id: string;
  readonly group: string;
  readonly ending: Ending;
  readonly note: string;
  readonly kills: number;
  readonly midway: number;
}

/** Tries a case in a folder of its own, which stays, with the commands, when something was wrong. */
export async function tried({ id, group, attack }: Case, lab: Lab, folder: string, seed: number): Promise<Verdict> {
  const place = join(folder, id.replaceAll('/', '-'));
  rmSync(place, { recursive: true, force: true });
  const purpose = createHash('sha256').update(id).digest().readUInt32LE();
  const trial = new Trial(lab, emptyFolder(place), new RandomStream(seed, purpose, 0));
  let [ending, note]: [Ending, string] = ['survived', ''];
  try {
    await attack(trial);
  } catch (error) {
    [ending, note] =
      error instanceof Finding
        ? [error.ending, error.message]
        : ['failed', `the bench itself: ${error instanceof Error ? error.stack : error}`];
  }
  if (ending === 'different' || ending === 'failed') {
    writeFileSync(join(place, 'commands.sh'), [...trial.log, `# ${ending}: ${note}`, ''].join('\n'));
  } else {
    rmSync(place, { recursive: true, force: true });
  }
  return { id, group, ending, note, kills: trial.kills, midway: trial.midway };
}

/** Throws a finding when files differ from those of an undisturbed run. */
export function checkSame(found: Digests, expected: Digests, what: string): void {
  const wrong = Object.keys(expected).filter((name) => found[name] !== expected[name]);
  if (wrong.length > 0) {
    const told = wrong.map((name) => (name in found ? name : `${name} is missing`));
    throw new Finding('different', `${what}: ${told.join(', ')}`);
  }
  const surplus = Object.keys(found).filter((name) => !(name in expected));
  if (surplus.length > 0) throw new Finding('failed', `${what}: left over: ${surplus.join(', ')}`);
}

/** Throws a finding when a folder holds other files than `expected`, such as temporaries left over. */
export function checkOnly(folder: string, expected: readonly string[], when: string): void {
  const found = filesIn(folder);
  const surplus = found.filter((name) => !expected.includes(name));
  if (surplus.length > 0) throw new Finding('failed', `left over ${when}: ${surplus.join(', ')}`);
}

/** Throws a finding when a file that bears a final name is neither as it was before nor as it should be. */
export function checkWhole(folder: string, before: Digests, complete: Digests, when: string): void {
  for (const [name, digest] of Object.entries(digestsIn(folder, (file) => file in complete))) {
    if (digest === complete[name] || digest === before[name]) continue;
    const { length } = readFileSync(join(folder, name));
    throw new Finding('different', `${when}: ${name}, ${length} bytes, is neither whole nor as it was before`);
  }
}

/** Throws a finding when a file of JSON in a folder, such as run.json, is not whole. */
export function checkJson(folder: string): void {
  for (const name of filesIn(folder).filter((file) => file.endsWith('.json'))) {
    const text = readFileSync(join(folder, name), 'utf8');
    try {
      if (text !== earlierResult) JSON.parse(text);
    } catch {
      throw new Finding('different', `${name}, ${text.length} bytes, is not whole`);
    }
  }
}

const earlierResult = 'an earlier result\n';

/** Puts earlier results under some of the names. */
export function earlierResults(folder: string, names: readonly string[]): Digests {
  for (const name of names) {
    emptyFolder(folder, name, '..');
    writeFileSync(join(folder, name), earlierResult);
  }
  return digestsIn(folder);
}
