import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Reasons that libuv, and so Node, has no words for. */
const moreReasons: ReadonlyMap<string, string> = new Map([
  ['EDQUOT', 'disk quota exceeded'],
  ['ESTALE', 'stale file handle: the file server has removed it'],
]);

/** Of Linux, where Node has no name either. */
const moreNumbers: ReadonlyMap<number, string> = new Map([
  [77, 'file descriptor in bad state: the file server has dropped it'],
]);

const { errno } = constants;
/** Of a name that another machine has just made, and of a file server that starts again. Node has no name for ESTALE. */
const passing = new Set([errno.ENOENT, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH]);

/** Whether a file, which others have made on storage that machines share, may be there a little later. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof Error) || !('errno' in error)) return false;
  return passing.has(-Number(error.errno)) || (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/**
 * The operating system's reason in words, such as `no space left on device`; undefined when `error` is not its.
 * (Errors of zlib carry an `errno` too, of another numbering, but no `syscall`.)
 */
export function systemReason(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('errno' in error)) return undefined;
  const { errno } = error;
  if (typeof errno !== 'number') return undefined;
  const known = getSystemErrorMap().get(errno);
  if (known) return known[1];
  const name = Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0];
  return (name && moreReasons.get(name)) ?? name ?? moreNumbers.get(-errno) ?? `error ${-errno} of the system`;
}
