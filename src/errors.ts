/**
 * Every error a user can cause or must act on. The message is one line: what, where, got, expected, what to do.
 * `code` is stable and may be matched by callers; the command line maps `exitCode` to the process exit code.
 */
export type ErrorCode =
  /** An option, or two that do not go together; also an output that would replace an input or what is not naan's. */
  | 'BAD_USAGE'
  /** A file that is missing, damaged, or holds something else than expected. */
  | 'BAD_INPUT'
  /** Sizes that do not fit each other. */
  | 'BAD_SHAPE'
  /** A model file that is no model of naan, or of another version. */
  | 'BAD_MODEL'
  /** A checkpoint that names more than data. */
  | 'UNSAFE_CHECKPOINT'
  /** An output: no such place, no permission, no space, or an error of the disk. */
  | 'NOT_WRITABLE'
  /** More memory than there is, or than --memory allows. */
  | 'OUT_OF_MEMORY'
  /** Decisions of which one says that rows are one identity and another that they are not. */
  | 'CONTRADICTION'
  /** A training whose loss is no longer a number. */
  | 'DIVERGED'
  | 'BACKEND_UNAVAILABLE'
  /** A piece of the work failed twice. */
  | 'SHARD_FAILED'
  /** Another process has taken over the work directory or the training. */
  | 'LOCK_LOST'
  | 'CANCELLED';

const usageCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BAD_USAGE',
  'BAD_INPUT',
  'BAD_SHAPE',
  'BAD_MODEL',
  'UNSAFE_CHECKPOINT',
  'NOT_WRITABLE',
  'CONTRADICTION',
]);

export class NaanError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NaanError';
    this.code = code;
  }

  /** 2 for bad usage or bad input, 3 for memory that is not there, 4 for a training that diverged, 1 for any other failure. */
  get exitCode(): 1 | 2 | 3 | 4 {
    if (this.code === 'OUT_OF_MEMORY') return 3;
    if (this.code === 'DIVERGED') return 4;
    return usageCodes.has(this.code) ? 2 : 1;
  }
}

/** A NaanError as plain data: an Error that crosses threads loses its class and its code. */
interface PortableError {
  readonly naanError: ErrorCode;
  readonly message: string;
}

/** For the end of a worker's task: makes a NaanError fit to be thrown to another thread. */
export function rethrowPortable(error: unknown): never {
  if (error instanceof NaanError) throw { naanError: error.code, message: error.message } satisfies PortableError;
  throw error;
}

/** The NaanError that this is, also when it came from another thread, or from the system that has no more memory. */
export function asNaanError(error: unknown): NaanError | undefined {
  if (error instanceof NaanError) return error;
  if (typeof error === 'object' && error !== null && 'naanError' in error) {
    const { naanError, message } = error as PortableError;
    return new NaanError(naanError, message);
  }
  if (
    error instanceof RangeError &&
    /allocation failed|could not allocate memory|^invalid typed array length: \d|maximum size exceeded/i.test(
      error.message,
    )
  ) {
    return new NaanError('OUT_OF_MEMORY', `memory was refused: ${error.message}`, { cause: error });
  }
  return undefined;
}
