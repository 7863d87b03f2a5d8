/**
 * Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal or its connection is closed. The first asks the command to stop
 * through its AbortSignal and leaves it a moment to do so; the process ends with 130, 143 or 129, or of the signal, which
 * a shell tells in the same way, and leaves no unfinished file behind. A second signal ends it at once. Under nohup SIGHUP does
 * nothing.
 */
import { constants, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export class Interrupt {
  private readonly controller = new AbortController();
  readonly signal = this.controller.signal;
  /** Exit code once a signal has come. */
  exitCode: number | undefined;
  /** The moment: longer for a command that has work to save. */
  graceMs = 600;

  constructor(cleanUp: () => void, environment: NodeJS.ProcessEnv) {
    const underNohup = isUnderNohup(environment);
    for (const [name, code] of Object.entries(signals)) {
      if (name === 'SIGHUP' && underNohup) {
        process.on(name, () => {});
        continue;
      }
      const end = () => {
        cleanUp();
        // By the signal itself: `exit` would end the threads one by one, and wait for native code or break it off.
        process.removeAllListeners(name);
        process.kill(process.pid, name);
        process.exit(code);
      };
      process.on(name, () => {
        if (this.exitCode !== undefined) return end();
        this.exitCode = code;
        setTimeout(end, this.graceMs).unref();
        this.controller.abort();
      });
    }
  }
}

/**
 * Whether `nohup` started this process, which then outlives its terminal. nohup ignores SIGHUP, but Node resets every signal
 * before any JavaScript runs, so other traces are looked for: shells name the program that they start in `_`; in a script that
 * nohup started the shell, which is the parent, ignores SIGHUP; and GNU nohup replaces a terminal as standard input by
 * /dev/null, opened for writing only.
 */
function isUnderNohup(environment: NodeJS.ProcessEnv): boolean {
  if (basename(environment._ ?? '') === 'nohup') return true;
  try {
    const parentIgnores = lastDigit(`/proc/${process.ppid}/status`, /^SigIgn:.*(.)$/m) & 1;
    if (parentIgnores) return true;
    const accessMode = lastDigit('/proc/self/fdinfo/0', /^flags:.*(.)$/m) & 3;
    return accessMode === constants.O_WRONLY && readlinkSync('/proc/self/fd/0') === '/dev/null';
  } catch {
    return false; // not Linux, or no standard input
  }
}

/** The last digit, octal or hexadecimal, of a number in a file of /proc. */
function lastDigit(path: string, line: RegExp): number {
  return Number.parseInt(line.exec(readFileSync(path, 'utf8'))?.[1] ?? '0', 16);
}
