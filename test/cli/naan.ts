/** Runs the real command line as a user would. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';

export const main = resolve('dist/src/cli/main.js');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Resolves with what the pattern matched on stderr; rejects when the process ends without a match. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<Outcome>;
}

export interface Surroundings {
  readonly environment?: Record<string, string>;
  readonly cwd?: string;
  /** A command that the command is given to, such as nohup. */
  readonly within?: readonly string[];
  /** Whether it leads a process group of its own. */
  readonly detached?: boolean;
  /** Another copy of the program. */
  readonly main?: string;
}

/** The environment of the tests themselves must not reach the command. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('NAAN_') && name !== '_'),
);

export function start(
  args: readonly string[],
  { environment = {}, cwd, within = [], detached = false, main: program = main }: Surroundings = {},
): Running {
  const [first, ...words] = [...within, process.execPath, program, ...args];
  const child = spawn(first, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, ...environment },
    detached,
    ...(cwd ? { cwd } : {}),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Outcome>((done, fail) => {
    child.on('error', fail);
    // As a shell tells it: 128 and the number of the signal.
    child.on('close', (code, signal) =>
      done({ code: code ?? 128 + (signal ? constants.signals[signal] : 0), stdout, stderr }),
    );
  });
  const said = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((found, fail) => {
      const look = () => {
        const match = pattern.exec(stderr);
        if (match) found(match);
      };
      look();
      child.stderr.on('data', look);
      child.on('close', (code) => fail(new Error(`ended with ${code} and never said ${pattern}:\n${stderr}`)));
    });
  return { child, said, ended };
}

export function naan(args: readonly string[], surroundings?: Surroundings): Promise<Outcome> {
  return start(args, surroundings).ended;
}

/** A temporary folder that `after` removes. */
export function temporaryFolder(after: (clean: () => void) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'naan-cli-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
