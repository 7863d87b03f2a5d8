/**
 * Features or names from a pipe, as `-`. They are read more than once, so they are kept in a temporary file as long as the command runs,
 * in the folder that its output goes to.
 */
import { createWriteStream } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { asNaanError, NaanError } from '../errors.js';
import { isStandardInput, keepStandardInput } from '../io/input-file.js';
import { existingFolder, writing } from '../io/output-file.js';
import { removeAbandoned, removeTemporary, temporaryIn } from '../io/temporaries.js';
import { bytes } from './format.js';

interface Pipe {
  readonly signal: AbortSignal;
  readonly info: (message: string) => void;
}

/** Runs a command whose options may name the standard input. Throws BAD_USAGE where it cannot be read for them, NOT_WRITABLE. */
export async function withStandardInput<T>(
  values: { readonly [option: string]: unknown },
  { signal, info }: Pipe,
  run: () => Promise<T>,
): Promise<T> {
  const asked = ['features', 'items'].filter((option) => String(values[option]).split('\n').some(isStandardInput));
  if (asked.length === 0) return run();
  const problem =
    asked.length > 1
      ? 'can be read for one option alone, got - for --features and --items'
      : values.workDir !== undefined
        ? 'is gone when a run with --work-dir goes on: write it to a file first'
        : typeof values.out !== 'string'
          ? 'cannot be read here: write it to a file first'
          : process.stdin.isTTY
            ? 'is a terminal, expected a pipe or < FILE'
            : undefined;
  if (problem !== undefined) throw new NaanError('BAD_USAGE', `the standard input ${problem}`);
  const { folder } = existingFolder(dirname(resolve(String(values.out))));
  removeAbandoned(folder);
  const path = temporaryIn(folder);
  try {
    const file = createWriteStream(path, { flags: 'wx' });
    await writing(path, () => pipeline(process.stdin, file, { signal }));
    info(`the standard input, ${bytes(file.bytesWritten)}, is kept in ${folder} until the end`);
    keepStandardInput(path);
    return await run();
  } catch (error) {
    if (signal.aborted) throw new NaanError('CANCELLED', 'cancelled', { cause: error });
    const known = asNaanError(error);
    if (!known) throw error;
    throw new NaanError(known.code, known.message.replaceAll(path, 'standard input'), { cause: error });
  } finally {
    keepStandardInput(undefined);
    removeTemporary(path);
  }
}
