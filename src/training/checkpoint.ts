/**
 * Where a training run stands, in one `.safetensors` file: parameters, Adam's moments and the best parameters so far as
 * tensors, everything else as JSON in the metadata. Random numbers need no state: blocks depend on (seed, cut) and
 * dropout on (seed, step), so a run that goes on from here takes the very steps it would have taken.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { NaanError } from '../errors.js';
import { readSafetensors, writeSafetensors } from '../io/safetensors.js';

export interface Checkpoint<State> {
  /** What must be the same for the run to go on, by the name of the option or input. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly state: State;
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

const kind = 'naan training checkpoint 2';

/** The checkpoint of a model that is to be written to `out`. */
export function checkpointPath(out: string): string {
  return `${out}.checkpoint`;
}

/** Replaces the last checkpoint whole or not at all. Throws NOT_WRITABLE. */
export async function writeCheckpoint<State>(path: string, checkpoint: Checkpoint<State>): Promise<void> {
  const { identity, state, tensors } = checkpoint;
  const metadata = new Map([
    ['kind', kind],
    ['identity', JSON.stringify(identity)],
    ['state', JSON.stringify(state)],
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
  const { metadata, tensors } = readSafetensors(path);
  if (metadata.get('kind') !== kind)
    throw new NaanError('BAD_INPUT', `${path}: is not a checkpoint of this version: leave out --resume to start anew`);
  const found = JSON.parse(metadata.get('identity')!) as Record<string, unknown>;
  for (const name of new Set([...Object.keys(found), ...Object.keys(identity)])) {
    const [then, now] = [found[name], identity[name]].map((value) => JSON.stringify(value) ?? 'none');
    if (then === now) continue;
    throw new NaanError(
      'BAD_USAGE',
      `${path}: was made with ${name} ${then}, got ${now}: give the same again, or leave out --resume to start anew`,
    );
  }
  const state = JSON.parse(metadata.get('state')!) as State;
  return { identity, state, tensors: new Map([...tensors].map(([name, { data }]) => [name, data])) };
}

export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true });
}
