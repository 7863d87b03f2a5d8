/**
 * Every error a user can cause or must act on. The message is one line: what, where, got, expected, what to do.
 * `code` is stable and may be matched by callers; the command line maps `exitCode` to the process exit code.
 */
export type ErrorCode =
  | 'BAD_USAGE'
  | 'BAD_INPUT'
  | 'BAD_SHAPE'
  | 'BAD_MODEL'
  | 'UNSAFE_CHECKPOINT'
  | 'NOT_WRITABLE'
  | 'BACKEND_UNAVAILABLE'
  | 'SHARD_FAILED'
  | 'CANCELLED';

const usageCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BAD_USAGE',
  'BAD_INPUT',
  'BAD_SHAPE',
  'BAD_MODEL',
  'UNSAFE_CHECKPOINT',
  'NOT_WRITABLE',
]);

export class NaanError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NaanError';
    this.code = code;
  }

  /** 2 for bad usage or bad input, 1 for a run that failed. */
  get exitCode(): 1 | 2 {
    return usageCodes.has(this.code) ? 2 : 1;
  }
}

/** Errors lose their class when they cross a thread; what is left (name, code, message) is enough to rebuild one. */
export function asNaanError(error: unknown): NaanError | undefined {
  if (error instanceof NaanError) return error;
  if (error instanceof Error && error.name === 'NaanError' && 'code' in error) {
    return new NaanError(error.code as ErrorCode, error.message, { cause: error.cause });
  }
  return undefined;
}
