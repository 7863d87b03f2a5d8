/** A model as one `.safetensors` file: its tensors, and its configuration as metadata. */
import { type Partition, partitions } from '../cluster/partition.js';
import { NaanError } from '../errors.js';
import { quoted } from '../io/messages.js';
import { readSafetensors, writeSafetensors } from '../io/safetensors.js';
import { checkModel, expectedTensors, type ModelConfig, type NaanModel, type Tensor } from './model.js';

/** Writes a model. Throws NOT_WRITABLE, or BAD_MODEL when a tensor is missing, misshapen or not finite. */
export async function writeModel(path: string, model: NaanModel): Promise<void> {
  const { config } = model;
  const tensors = checkedTensors(config, model.tensors, path);
  const metadata = new Map([
    ['head', config.head],
    ['dim', String(config.dim)],
    ['heads', String(config.heads)],
    ['alpha', String(config.alpha)],
    ['k1', String(config.k1)],
    ['k2', String(config.k2)],
    ['sample_hops', String(config.sampleHops)],
    ['provenance', JSON.stringify(config.provenance)],
  ]);
  if (config.partition !== undefined) metadata.set('partition', config.partition);
  if (config.threshold !== undefined) metadata.set('threshold', String(config.threshold));
  if (config.thresholds !== undefined) metadata.set('thresholds', JSON.stringify(config.thresholds));
  await writeSafetensors(path, { metadata, tensors });
}

/**
 * Reads a model that `writeModel` wrote. Throws BAD_INPUT when the file is damaged or no safetensors file, BAD_MODEL
 * when it is not a model of this kind.
 */
export async function readModel(path: string): Promise<NaanModel> {
  const { metadata, tensors } = readSafetensors(path);
  const config = parseConfig(metadata, path);
  return { config, tensors: checkedTensors(config, tensors, path) };
}

/** The tensors a model must have, in their order. `where` names the source. Throws BAD_MODEL. */
export function checkedTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, Tensor>,
  where: string,
): Map<string, Tensor> {
  if (config.heads > tensors.size) {
    throw new NaanError(
      'BAD_MODEL',
      `${where}: ${tensors.size} tensors are too few for ${config.heads} attention heads`,
    );
  }
  checkModel({ config, tensors }, where);
  const expected = new Map<string, Tensor>();
  for (const [name] of expectedTensors(config)) {
    const tensor = tensors.get(name)!;
    const bad = tensor.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new NaanError('BAD_MODEL', `${where}: tensor '${name}': element ${bad} is ${tensor.data[bad]}, not finite`);
    }
    expected.set(name, tensor);
  }
  return expected;
}

function parseConfig(metadata: ReadonlyMap<string, string>, path: string): ModelConfig {
  const text = (key: string): string => {
    const value = metadata.get(key);
    if (value === undefined) throw new NaanError('BAD_MODEL', `${path}: metadata has no '${key}': not a naan model`);
    return value;
  };
  const number = (key: string, accepted: (value: number) => boolean, expected: string): number => {
    const value = text(key).trim() === '' ? Number.NaN : Number(text(key));
    if (accepted(value)) return value;
    throw new NaanError('BAD_MODEL', `${path}: metadata '${key}' is ${quoted(text(key))}, expected ${expected}`);
  };
  const count = (key: string) => {
    return number(key, (value) => Number.isInteger(value) && value > 0 && value < 2 ** 24, 'a positive whole number');
  };
  const probability = (value: number) => value >= 0 && value <= 1;
  if (text('head') !== 'concat') {
    throw new NaanError('BAD_MODEL', `${path}: metadata 'head' is ${quoted(text('head'))}, expected 'concat'`);
  }
  return {
    head: 'concat',
    dim: count('dim'),
    heads: count('heads'),
    alpha: number('alpha', Number.isFinite, 'a number'),
    k1: count('k1'),
    k2: count('k2'),
    sampleHops: count('sample_hops'),
    ...(metadata.has('partition') ? { partition: parsePartition(text('partition'), path) } : {}),
    ...(metadata.has('threshold') ? { threshold: number('threshold', probability, 'a probability') } : {}),
    ...(metadata.has('thresholds') ? { thresholds: parseThresholds(text('thresholds'), path) } : {}),
    provenance: parseProvenance(text('provenance'), path),
  };
}

function parsePartition(text: string, path: string): Partition {
  const found = partitions.find((name) => name === text);
  if (found) return found;
  const expected = `expected ${partitions.join(', ')}`;
  throw new NaanError('BAD_MODEL', `${path}: metadata 'partition' is ${quoted(text)}, ${expected}`);
}

/** Thresholds of partitions that this version does not have are left out. */
function parseThresholds(text: string, path: string): Partial<Record<Partition, number>> {
  const value = parseObject(text);
  if (!value || Object.values(value).some((entry) => typeof entry !== 'number' || !(entry >= 0 && entry <= 1))) {
    throw new NaanError(
      'BAD_MODEL',
      `${path}: metadata 'thresholds' is ${quoted(text)}, expected a JSON object of probabilities`,
    );
  }
  return Object.fromEntries(partitions.flatMap((name) => (name in value ? [[name, value[name]]] : [])));
}

function parseProvenance(text: string, path: string): Record<string, string> {
  const value = parseObject(text);
  if (!value || Object.values(value).some((entry) => typeof entry !== 'string')) {
    throw new NaanError(
      'BAD_MODEL',
      `${path}: metadata 'provenance' is ${quoted(text)}, expected a JSON object of text`,
    );
  }
  return value as Record<string, string>;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
