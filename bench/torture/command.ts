/** Runs the built command as an attack needs it: bounded in time, struck at a moment, and judged by how it ended. */
import { spawn } from 'node:child_process';
import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';

const main = resolve('dist/src/cli/main.js');
const sooner = resolve('dist/bench/torture-sooner.js');

/** What became of an attack. */
export type Ending = 'survived' | 'refused' | 'different' | 'failed' | 'skipped';

/** Ends a case: what was found, in a line. */
export class Finding extends Error {
  constructor(
    readonly ending: Ending,
    message: string,
  ) {
    super(message);
  }
}

/** When a run is struck: so long after it started, or after a change in a folder that exists. */
export type Moment =
  | { readonly afterMs: number }
  | {
      readonly folder: string;
      /** Only changes of this file count; default: of any. */
      readonly file?: string;
      /** The number of the change, from 1, or whether to strike now that there was one. */
      readonly change: number | (() => boolean);
      readonly delayMs: number;
    };

export interface Strike {
  readonly moment: Moment;
  /** Sent one after another, a moment apart. */
  readonly signals: readonly NodeJS.Signals[];
}

export interface RunOptions {
  readonly strike?: Strike | undefined;
  /** A command that the command is given to, such as unshare. */
  readonly within?: readonly string[];
  /** Of the process; default: captured. */
  readonly stdout?: number;
  /** A run that takes longer hangs. */
  readonly boundMs?: number;
  /** After the strike. */
  readonly graceMs?: number;
  /** What else is done then. */
  readonly onStrike?: () => void;
  /** Given the process when it has started. */
  readonly onStart?: (pid: number) => void;
}

export interface Ended {
  readonly command: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly hung: boolean;
  /** Whether the strike came before the end. */
  readonly struck: boolean;
  readonly seconds: number;
}

/** A run ends within this, whatever was done to it; much more than any takes on a busy machine. */
const boundMs = 180_000;
/** Ends this soon after a signal that can be handled: training may take a step and a checkpoint. */
const graceMs = 45_000;
let patience = 1;

/** Multiplies both, for a machine that has much else to do. */
export function setPatience(factor: number): void {
  patience = factor;
}

const children = new Set<number>();
process.on('exit', () => {
  for (const pid of children) killGroup(pid);
});

/** `naan` with arguments, as words. */
export function naanWords(args: readonly string[]): string[] {
  return [process.execPath, '--import', sooner, main, ...args];
}

/** Runs words to their end. */
export function run(words: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { strike, within = [], stdout = 'pipe' } = options;
  const [program, ...args] = [...within, ...words];
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('NAAN_') && name !== '_');
  const began = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', stdout, 'pipe'],
    env: Object.fromEntries(environment),
    detached: true,
  });
  const { pid } = child;
  if (pid !== undefined) {
    children.add(pid);
    options.onStart?.(pid);
  }
  let [out, err, hung, struck] = ['', '', false, false];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const timers: NodeJS.Timeout[] = [];
  const later = (ms: number, work: () => void) => void timers.push(setTimeout(work, ms));
  const hang = () => {
    hung = true;
    if (pid !== undefined) killGroup(pid);
  };
  later(patience * (options.boundMs ?? boundMs), hang);
  const disarm =
    strike &&
    arm(strike.moment, later, () => {
      struck = true;
      options.onStrike?.();
      strike.signals.forEach((signal, i) => {
        later(i * 15, () => child.kill(signal));
      });
      later(patience * (options.graceMs ?? graceMs), hang);
    });
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => {
      for (const timer of timers) clearTimeout(timer);
      disarm?.();
      if (pid !== undefined) children.delete(pid);
      const seconds = (performance.now() - began) / 1000;
      const command = quoted([...within, ...words]);
      done({ command, code, signal, stdout: out, stderr: err, hung, struck, seconds });
    });
  });
}

/** Calls `strike` once, at the moment. Returns what stops the waiting. */
function arm(moment: Moment, later: (ms: number, work: () => void) => void, strike: () => void): () => void {
  if ('afterMs' in moment) {
    later(moment.afterMs, strike);
    return () => {};
  }
  const { folder, file, change, delayMs } = moment;
  let changes = 0;
  const watcher: FSWatcher = watch(folder, (_, name) => {
    if (file !== undefined && name !== file) return;
    changes++;
    if (!(typeof change === 'number' ? changes >= change : change())) return;
    watcher.close();
    later(delayMs, strike);
  });
  return () => watcher.close();
}

/**
 * Whether a run did its work or refused it in one line. Throws a finding that failed for whatever else: a stack trace, an
 * end by a signal, a hang, no word at all.
 */
export function judge(ended: Ended): 'done' | 'refused' {
  checkManners(ended);
  if (ended.signal !== null) throw new Finding('failed', `died of ${ended.signal}: ${tail(ended.stderr)}`);
  if (ended.code === 0) return 'done';
  const lines = ended.stderr.split('\n').filter((line) => line !== '');
  // With --json the line is an object.
  if (lines.length !== 1 || !/^(naan( \S+)?: .|\{.*"code":"\w+".*"message":".)/.test(lines[0])) {
    throw new Finding('failed', `ended with ${ended.code} and ${lines.length} lines: ${tail(ended.stderr)}`);
  }
  return 'refused';
}

/** Whether the strike ended the run; else it had ended before, with 0. Throws a finding that failed. */
export function judgeStruck(ended: Ended, signals: readonly NodeJS.Signals[]): boolean {
  checkManners(ended);
  const { code, signal, struck } = ended;
  if (struck && signals.some((sent) => signal === sent || code === 128 + constants.signals[sent])) return true;
  if (judge(ended) === 'refused') throw new Finding('failed', `struck, ended with ${code}: ${tail(ended.stderr)}`);
  return false;
}

/** No hang and no stack trace, however a run ended. */
function checkManners({ hung, stderr, stdout, seconds }: Ended): void {
  if (hung) throw new Finding('failed', `hung: ended by force after ${seconds.toFixed(0)} s: ${tail(stderr)}`);
  if (/^\s+at .+[:(]|node:internal|^\s*throw /m.test(stderr + stdout)) {
    throw new Finding('failed', `a stack trace: ${tail(stderr)}`);
  }
}

/** The last words, in one line. */
export function tail(text: string): string {
  const line = text.trim().replace(/\s*\n\s*/g, ' / ');
  return line.length > 400 ? `… ${line.slice(-400)}` : line || '(nothing on stderr)';
}

function quoted(words: readonly string[]): string {
  const shorter = words.map((word) => (word === process.execPath ? 'node' : word));
  return shorter.map((word) => (/^[\w./:=,@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}

export function emptyFolder(...path: string[]): string {
  const folder = join(...path);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
