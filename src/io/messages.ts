import { getSystemErrorMap } from 'node:util';

/**
 * The operating system's reason in words, such as `no space left on device`; undefined when `error` is not its.
 * (Errors of zlib carry an `errno` too, of another numbering, but no `syscall`.)
 */
export function systemReason(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('errno' in error) || typeof error.errno !== 'number')
    return undefined;
  return getSystemErrorMap().get(error.errno)?.[1] ?? error.message;
}

/** Text from a file nobody trusts, for a message: on one line, not endless. */
export function oneLine(text: string): string {
  return JSON.stringify(text.length > 100 ? text.slice(0, 100) + '…' : text).slice(1, -1);
}

export function quoted(text: string): string {
  return `'${oneLine(text)}'`;
}
