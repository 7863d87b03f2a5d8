/**
 * What a command is about to write, checked in one place before anything is computed: no output may be one of the inputs
 * or another output, each must be possible to write, and a file that is there already is replaced only where naan can
 * recognise it as its own, or where the user says so.
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { NaanError } from '../errors.js';
import { expandInput, parseInput, readStart } from './input-file.js';
import { checkWritable, writing } from './output-file.js';

export interface Output {
  /** The option that says where it goes, such as `out`. */
  readonly name: string;
  readonly path: string;
  /** Whether a file that is there already is one that naan may replace without being asked. */
  readonly isOurs: (path: string) => boolean | Promise<boolean>;
  /** Why it may not otherwise, such as `is no kNN graph`. */
  readonly otherwise: string;
}

/**
 * Throws BAD_USAGE when an output is an input, by whatever path, or another output, or would replace a file that is not
 * ours without `overwrite`; NOT_WRITABLE when it cannot be written. Inputs are files by the name of their option; what
 * is not a path (in memory, not given) is left out. Leaves nothing behind.
 */
export async function checkOutputs(
  outputs: readonly Output[],
  inputs: Readonly<Record<string, unknown>>,
  overwrite: boolean | undefined,
): Promise<void> {
  const read = Object.entries(inputs).flatMap(([name, path]) =>
    typeof path === 'string'
      ? expandInput(path).map((one) => ({ name, path: one, identity: readable(parseInput(one).path) }))
      : [],
  );
  const written: { readonly name: string; readonly path: string; readonly identity: string }[] = [];
  for (const { name, path } of outputs) {
    await checkWritable(path);
    const identity = identityOf(path);
    const input = read.find((other) => other.identity === identity);
    if (input) {
      const also = input.path === path ? '' : ` (${input.path})`;
      throw new NaanError(
        'BAD_USAGE',
        `${path}: --${name} would replace the ${input.name}${also}: give another --${name}`,
      );
    }
    const output = written.find((other) => other.identity === identity);
    if (output) {
      const also = output.path === path ? '' : ` (${output.path})`;
      throw new NaanError(
        'BAD_USAGE',
        `${path}: would be written twice, by --${output.name}${also} and --${name}, expected different names`,
      );
    }
    written.push({ name, path, identity });
  }
  if (overwrite) return;
  for (const { name, path, isOurs, otherwise } of outputs) {
    if (statSync(path, { throwIfNoEntry: false }) === undefined || (await isOurs(path))) continue;
    throw new NaanError(
      'BAD_USAGE',
      `${path}: is there already and ${otherwise}: give another --${name}, or --overwrite to replace it`,
    );
  }
}

/**
 * Throws BAD_USAGE unless a folder that is about to be made is not there yet, or is empty, so that nothing in it can be
 * replaced; NOT_WRITABLE when it cannot be made. `name`: the option that says where.
 */
export async function checkNewFolder(name: string, path: string): Promise<void> {
  const advice = `give another --${name}`;
  const stats = await writing(path, () => lstatSync(path, { throwIfNoEntry: false }));
  if (stats && !stats.isDirectory()) {
    throw new NaanError('BAD_USAGE', `${path}: is there already and is no folder: ${advice}`);
  }
  if (stats && (await writing(path, () => readdirSync(path))).length > 0) {
    throw new NaanError('BAD_USAGE', `${path}: is there already and has files in it: ${advice}, or remove it first`);
  }
  await checkWritable(resolve(path));
}

/** Whether a text file starts as naan starts its own. */
export function startsAs(start: RegExp): (path: string) => boolean {
  return (path) => start.test(Buffer.from(readStart(path, 1000)).toString('utf8'));
}

/** JSON that naan wrote: its version comes first. */
export const isOurJson = startsAs(/^\{\s*"naan": "/);

/** A kNN graph as naan writes it: a `.npy` of int32 with two axes. */
export const isOurGraph = startsAs(/^.NUMPY[^{]*\{'descr': '<i4', 'fortran_order': False, 'shape': \(\d+, \d+\), \}/);

/** A drawing that naan made. */
export const isOurDrawing = startsAs(/<!-- drawn by naan -->/);

/** A page that naan made. */
export const isOurPage = startsAs(/<!-- made by naan -->/);

function readable(path: string): string | undefined {
  try {
    return identityOf(path);
  } catch {
    return undefined; // Whoever reads it says what is wrong.
  }
}

/**
 * An identity that all names of one file share: links lead to one device and inode. A file that is not there yet is named by the
 * folder that it will be in and, as some file systems do not tell capitals from small letters, its name in small ones.
 */
function identityOf(path: string): string {
  let missing = '';
  for (let existing = path; ; existing = dirname(existing)) {
    const stats = statSync(existing, { bigint: true, throwIfNoEntry: false });
    if (stats) return `${stats.dev}:${stats.ino}${missing}`;
    missing = `/${basename(existing).normalize('NFC').toLowerCase()}${missing}`;
    if (dirname(existing) === existing) return missing;
  }
}
