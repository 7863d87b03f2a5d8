/**
 * Kinds of input files, recognised by their bytes and never by their names. To add one, write a file beside this one that
 * exports a `Format`, and put it in the list.
 */
import { closeSync } from 'node:fs';
import { NaanError } from '../../errors.js';
import { inputSize, openInput, readSome } from '../input-file.js';
import { arrow, parquet } from './columns.js';
import { foreign, torch } from './foreign.js';
import type { Format, Role } from './format.js';
import { npy, npz } from './numpy.js';
import { raw } from './raw.js';
import { safetensors } from './safetensors.js';
import { text } from './text.js';
import { vecs } from './vecs.js';

/** The first that claims a file has it, so those that any bytes may be come last. */
export const formats: readonly Format[] = [npy, torch, npz, safetensors, parquet, arrow, ...foreign, vecs, text, raw];

const startBytes = 4096;

/** The format of a file, which can be read as `role`. Throws BAD_INPUT when it cannot be, or is no file. */
export function formatOf<R extends Role>(path: string, role: R): Format & Required<Pick<Format, R>> {
  const format = sniff(path);
  if (can(format, role)) return format;
  const { name, advice } = format;
  if (advice !== undefined) throw new NaanError('BAD_INPUT', `${path}: is ${name}, expected ${nouns[role]}: ${advice}`);
  const able = formats.filter((one) => can(one, role)).map((one) => one.name);
  const expected = able.length > 1 ? `${able.slice(0, -1).join(', ')} or ${able[able.length - 1]}` : able[0];
  throw new NaanError('BAD_INPUT', `${path}: is ${name}, expected ${nouns[role]}: ${expected}`);
}

/** Throws BAD_INPUT for an empty file, or one that is known to be of another kind than any that naan reads. */
export function refuseForeign(path: string, expected: string): void {
  const { name, advice } = sniff(path);
  if (advice !== undefined) throw new NaanError('BAD_INPUT', `${path}: is ${name}, expected ${expected}: ${advice}`);
}

const nouns: Readonly<Record<Role, string>> = {
  features: 'features',
  graph: 'a kNN graph',
  labels: 'labels',
  items: 'items',
  array: 'an array',
};

function can<R extends Role>(format: Format, role: R): format is Format & Required<Pick<Format, R>> {
  return format[role] !== undefined;
}

function sniff(path: string): Format {
  const size = inputSize(path);
  if (size === 0) throw new NaanError('BAD_INPUT', `${path}: is empty`);
  const fd = openInput(path);
  try {
    const read = (position: number, count: number) => readSome(fd, position, count, path);
    const file = { path, size, start: read(0, startBytes), read };
    return formats.find((format) => format.claims(file)) ?? raw;
  } finally {
    closeSync(fd);
  }
}
