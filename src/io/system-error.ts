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
