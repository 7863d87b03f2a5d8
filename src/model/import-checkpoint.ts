/**
 * The published checkpoints: `model` is [attention state dict, classifier state dict], `args` the options of the
 * training run. Dimension and number of heads are read off the tensors.
 */
import { basename } from 'node:path';
import { NaanError } from '../errors.js';
import { oneLine, quoted } from '../io/messages.js';
import { Namespace, openTorchCheckpoint, type TorchCheckpoint, TorchTensor } from '../io/torch-checkpoint.js';
import type { ConcatConfig } from './concat.js';
import { type ConcatModel, checkShapes, expectedTensors, type Tensor } from './model.js';
import { checkedTensors } from './model-file.js';

/**
 * Reads a `.ckpt` of either torch format without running anything in it.
 * Throws UNSAFE_CHECKPOINT when it names more than data, BAD_INPUT when it is damaged, BAD_MODEL when it is not a NAAN.
 */
export async function importCheckpoint(path: string): Promise<ConcatModel> {
  const checkpoint = await openTorchCheckpoint(path);
  const stateDict = namedTensors(checkpoint.value, path);
  const config = readConfig(checkpoint, stateDict, path);
  const expected = new Set(expectedTensors(config).map(([name]) => name));
  const unknown = [...stateDict.keys()].find((name) => !expected.has(name));
  if (unknown !== undefined) {
    throw new NaanError('BAD_MODEL', `${path}: tensor ${quoted(unknown)} is not part of a NAAN with head 'concat'`);
  }
  checkShapes(config, stateDict, path);
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of stateDict)
    tensors.set(name, { shape: tensor.shape, data: await checkpoint.read(tensor) });
  return { config, tensors: checkedTensors(config, tensors, path) };
}

/** A key of a pickle may be anything, also what contains itself. */
function nameOfKey(key: unknown): string {
  return typeof key === 'string' || typeof key === 'number' ? quoted(String(key)) : 'a key that is no text';
}

/** The prefixes that DataParallel and torch.compile put before each name, once for each time that they wrap a module. */
const wrappers = /^((module|_orig_mod)\.)+/;

/** Tensors of both state dicts under the names a model has. */
function namedTensors(root: unknown, path: string): Map<string, TorchTensor> {
  const model = root instanceof Map ? root.get('model') : undefined;
  if (!Array.isArray(model) || model.length !== 2 || !model.every((part) => part instanceof Map)) {
    const keys = root instanceof Map ? [...root.keys()].slice(0, 10).map(nameOfKey) : [];
    const found = keys.length > 0 ? `, found: ${keys.join(', ')}` : '';
    throw new NaanError(
      'BAD_MODEL',
      `${path}: has no 'model' that is a list of two state dicts, attention and classifier${found}`,
    );
  }
  const tensors = new Map<string, TorchTensor>();
  for (const [part, stateDict] of (model as Map<unknown, unknown>[]).entries()) {
    for (const [key, tensor] of stateDict) {
      if (typeof key !== 'string' || !(tensor instanceof TorchTensor)) {
        throw new NaanError('BAD_MODEL', `${path}: state dict ${part} holds what is no tensor`);
      }
      const name = part === 0 ? key.replace(wrappers, '') : `classifier.${key.replace(wrappers, '')}`;
      if (tensors.has(name)) throw new NaanError('BAD_MODEL', `${path}: has tensor ${quoted(name)} twice`);
      tensors.set(name, tensor);
    }
  }
  return tensors;
}

function readConfig(
  { value, format }: TorchCheckpoint,
  tensors: ReadonlyMap<string, TorchTensor>,
  path: string,
): ConcatConfig {
  const root = value as ReadonlyMap<unknown, unknown>;
  const args = root.get('args');
  const options = args instanceof Namespace ? args.values : args;
  const option = (name: string): unknown => (options instanceof Map ? options.get(name) : undefined);
  const number = (name: string, found: unknown, accepted: (value: number) => boolean): number => {
    if (typeof found === 'number' && accepted(found)) return found;
    throw new NaanError(
      'BAD_MODEL',
      `${path}: training option '${name}' is missing from 'args', or is not a number in range`,
    );
  };
  const count = (value: number) => Number.isInteger(value) && value > 0;
  const hops = option('k_hops');
  const [k1, k2] = Array.isArray(hops) ? hops : [];
  let heads = 0;
  while (tensors.has(`attention.attn_${heads}.w.weight`)) heads++;
  const dim = tensors.get('attention.attn_0.w.weight')?.shape[0] ?? 0;
  if (dim === 0)
    throw new NaanError('BAD_MODEL', `${path}: has no tensor 'attention.attn_0.w.weight' [d × d]: not a NAAN`);
  const provenance: Record<string, string> = { importedFrom: oneLine(basename(path)), format: `torch ${format}` };
  for (const name of ['epoch', 'step'])
    if (typeof root.get(name) === 'number') provenance[name] = String(root.get(name));
  return {
    head: 'concat',
    dim,
    heads,
    alpha: number('alpha', option('alpha'), Number.isFinite),
    k1: number('k_hops', k1, count),
    k2: number('k_hops', k2, count),
    sampleHops: number('sample_hops', option('sample_hops'), count),
    provenance,
  };
}
