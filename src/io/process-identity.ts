/**
 * Which process made something, so that another one can find out later whether it still runs. A number alone does not
 * say: it is given again after an end, and means another process in another container or on another machine.
 */
import { readFileSync, readlinkSync } from 'node:fs';

/** The process of this number, started then, of this boot of a kernel, in this PID namespace. */
export interface ProcessIdentity {
  readonly process: number;
  /** The next three are known on Linux only. */
  readonly boot?: string | undefined;
  readonly pidNamespace?: string | undefined;
  readonly processStart?: string | undefined;
}

let own: ProcessIdentity | undefined;

export function thisProcess(): ProcessIdentity {
  own ??= { process: process.pid, ...whereabouts() };
  return own;
}

/** The process that has a number now; where none has it, one that has ended. */
export function processOf(pid: number): ProcessIdentity {
  return { ...thisProcess(), process: pid, processStart: processFacts(pid)?.start ?? 'ended' };
}

/** `gone`: the process has ended. `unknown`: it cannot be seen from here. */
export function lifeOf({
  process: pid,
  boot,
  pidNamespace,
  processStart,
}: ProcessIdentity): 'alive' | 'gone' | 'unknown' {
  const here = thisProcess();
  if (here.boot === undefined || boot !== here.boot || pidNamespace !== here.pidNamespace) return 'unknown';
  if (!exists(pid)) return 'gone';
  const seen = processFacts(pid);
  if (!seen) return 'unknown'; // the system hides processes of other users
  return seen.start === processStart && !'ZX'.includes(seen.state) ? 'alive' : 'gone';
}

function whereabouts(): Omit<ProcessIdentity, 'process'> {
  try {
    const facts = processFacts('self');
    if (facts?.pid !== process.pid) return {};
    return {
      boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      pidNamespace: readlinkSync('/proc/self/ns/pid'),
      processStart: facts.start,
    };
  } catch {
    return {};
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Number, state, and ticks from boot to start of a process, from /proc. The name, in brackets, may hold anything. */
function processFacts(pid: number | 'self'): { pid: number; state: string; start: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { pid: Number.parseInt(text, 10), state: fields[0], start: fields[19] };
  } catch {
    return undefined;
  }
}
