/** Notices and details, each a line on stderr in the form of all others: `naan label: …`. */

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

export interface Log {
  /** What a user should know. */
  warn(message: string): void;
  /** What helps to find a fault. */
  debug(message: string): void;
}

/** Passes on what is of `logLevel` or above; with `quiet`, no notices. */
export function createLog(
  { logLevel, quiet }: { readonly logLevel: (typeof levels)[number]; readonly quiet: boolean },
  tell: (line: string) => void,
): Log {
  const least = Math.max(levels.indexOf(logLevel), quiet ? levels.indexOf('error') : 0);
  const from = (level: (typeof levels)[number]) => (message: string) => {
    if (levels.indexOf(level) >= least) tell(message);
  };
  return { warn: from('warn'), debug: from('debug') };
}
