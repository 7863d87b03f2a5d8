/**
 * The state of a training run in one `.safetensors` file: parameters, Adam's moments and the best parameters so far as
 * tensors, everything else as JSON in the metadata, and a checksum of it all. Random numbers need no state: blocks depend
 * on (seed, cut) and dropout on (seed, step), so a run that goes on from here takes the very steps it would have taken.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { asNaanError, NaanError } from '../errors.js';
import { parseJsonObject } from '../io/json.js';
import { jsonText, oneLine } from '../io/messages.js';
import { readSafetensors, type TensorFile, writeSafetensors } from '../io/safetensors.js';

export interface Checkpoint<State> {
  /** Values that must be the same for the run to be resumed, by the name of the option or input. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly state: State;
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

const kind = 'naan training checkpoint 4';

/** The checkpoint of a model that is to be written to `out`. */
export function checkpointPath(out: string): string {
  return `${out}.checkpoint`;
}

/** Replaces the last checkpoint whole or not at all. Throws NOT_WRITABLE. */
export async function writeCheckpoint<State>(path: string, checkpoint: Checkpoint<State>): Promise<void> {
  const { tensors } = checkpoint;
  const [identity, state] = [JSON.stringify(checkpoint.identity), JSON.stringify(checkpoint.state)];
  const metadata = new Map([
    ['kind', kind],
    ['identity', identity],
    ['state', state],
    ['sha256', checksum(identity, state, tensors)],
  ]);
  const shaped = [...tensors].map(([name, data]) => [name, { shape: [data.length], data }] as const);
  await writeSafetensors(path, { metadata, tensors: new Map(shaped) });
}

/**
 * The checkpoint at `path`, or undefined when there is none. Throws BAD_INPUT when it is damaged, BAD_USAGE when it is of
 * a run with other options or inputs than `identity` says.
 */
export function readCheckpoint<State>(
  path: string,
  identity: Readonly<Record<string, unknown>>,
): Checkpoint<State> | undefined {
  if (!existsSync(path)) return undefined;
  const { tensors, stored } = readWhole(path);
  const found = parseJsonObject(stored.identity);
  const state = parseJsonObject(stored.state);
  if (found === undefined || state === undefined) throw refused(path, 'is damaged, its form is broken');
  for (const name of new Set([...Object.keys(found), ...Object.keys(identity)])) {
    const [then, now] = [found[name], identity[name]];
    if (JSON.stringify(then) === JSON.stringify(now)) continue;
    throw new NaanError(
      'BAD_USAGE',
      `${path}: was made with ${oneLine(name)} ${jsonText(then)}, got ${jsonText(now)}: give the same again, or ${startAnew}`,
    );
  }
  return { identity, state: state as State, tensors };
}

const startAnew = 'leave out --resume to start anew';

function refused(path: string, what: string, cause?: unknown): NaanError {
  return new NaanError('BAD_INPUT', `${path}: ${what}: ${startAnew}`, { cause });
}

/** The parts of a checkpoint, just as they were written. Throws BAD_INPUT. */
function readWhole(path: string) {
  let file: TensorFile;
  try {
    file = readSafetensors(path);
  } catch (cause) {
    throw asNaanError(cause) ? refused(path, 'is damaged, its form is broken', cause) : cause;
  }
  const { metadata } = file;
  const [identity, state] = [metadata.get('identity'), metadata.get('state')];
  if (metadata.get('kind') !== kind) throw refused(path, 'is not a checkpoint of this version of naan');
  const tensors = new Map([...file.tensors].map(([name, { data }]) => [name, data]));
  if (identity === undefined || state === undefined || metadata.get('sha256') !== checksum(identity, state, tensors)) {
    throw refused(path, 'is damaged, its content does not match its checksum');
  }
  return { tensors, stored: { identity, state } };
}

function checksum(identity: string, state: string, tensors: ReadonlyMap<string, Float32Array>): string {
  const hash = createHash('sha256').update(JSON.stringify([identity, state]));
  for (const [name, data] of tensors) {
    hash.update(`\n${name} ${data.length}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true });
}
