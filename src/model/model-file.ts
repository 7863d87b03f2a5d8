/** A model as one `.safetensors` file: its tensors, and its configuration as metadata. */
import { type AbsentPairs, absentPairs } from '../cluster/linkage.js';
import { type Partition, partitions } from '../cluster/partition.js';
import { NaanError } from '../errors.js';
import { parseJsonObject } from '../io/json.js';
import { quoted } from '../io/messages.js';
import { openSafetensors, writeSafetensors } from '../io/safetensors.js';
import {
  type CalibrationRecord,
  type ConcatConfig,
  type CosineGuard,
  checkModel,
  checkShapes,
  expectedTensors,
  longestList,
  type ModelConfig,
  type NaanModel,
  type PairwiseConfig,
  type Tensor,
} from './model.js';

/** The definition of the features that a `pairwise` model was trained on: another one would give other scores. */
const pairwiseFeatures = 'structure-16 scores-15';

/** Writes a model. Throws NOT_WRITABLE, or BAD_MODEL when a tensor is missing, misshapen or not finite. */
export async function writeModel(path: string, model: NaanModel): Promise<void> {
  const { config } = model;
  const tensors = checkedTensors(config, model.tensors, path);
  const metadata = new Map([
    ['head', config.head],
    ...(config.head === 'concat' ? concatMetadata(config) : pairwiseMetadata(config)),
    ['sample_hops', String(config.sampleHops)],
    ['provenance', JSON.stringify(config.provenance)],
  ]);
  if (config.partition !== undefined) metadata.set('partition', config.partition);
  if (config.threshold !== undefined) metadata.set('threshold', String(config.threshold));
  if (config.thresholds !== undefined) metadata.set('thresholds', JSON.stringify(config.thresholds));
  if (config.calibration !== undefined) metadata.set('calibration', JSON.stringify(config.calibration));
  if (config.absentPairs !== undefined) metadata.set('absent_pairs', config.absentPairs);
  await writeSafetensors(path, { metadata, tensors });
}

function concatMetadata({ dim, heads, alpha, k1, k2 }: ConcatConfig): [string, string][] {
  return Object.entries({ dim, heads, alpha, k1, k2 }).map(([key, value]) => [key, String(value)]);
}

function pairwiseMetadata({ k, rounds, hidden, guard }: PairwiseConfig): [string, string][] {
  const metadata: [string, string][] = [
    ['features', pairwiseFeatures],
    ['k', String(k)],
    ['rounds', String(rounds)],
    ['hidden', hidden.join(' ')],
  ];
  if (guard !== undefined) metadata.push(['guard', `${guard.from} ${guard.to}`]);
  return metadata;
}

/**
 * Reads a model that `writeModel` wrote. Throws BAD_INPUT when the file is damaged or no safetensors file, BAD_MODEL
 * when it is not a model of this kind.
 */
export async function readModel(path: string): Promise<NaanModel> {
  const file = openSafetensors(path);
  const config = parseConfig(file.metadata, path);
  checkShapes(config, file.tensors, path);
  const tensors = file.read(expectedTensors(config).map(([name]) => name));
  return { config, tensors: checkedTensors(config, tensors, path) };
}

/** The tensors a model must have, in their order. `where` names the source. Throws BAD_MODEL. */
export function checkedTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, Tensor>,
  where: string,
): Map<string, Tensor> {
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

/** Whether a file is a model as this program writes them, of this version or another. */
export function isModelFile(path: string): boolean {
  try {
    const { metadata } = openSafetensors(path);
    return metadata.has('head') && metadata.has('provenance');
  } catch {
    return false;
  }
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
  const common = {
    sampleHops: count('sample_hops'),
    ...(metadata.has('partition') ? { partition: parsePartition(text('partition'), path) } : {}),
    ...(metadata.has('threshold') ? { threshold: number('threshold', probability, 'a probability') } : {}),
    ...(metadata.has('thresholds') ? { thresholds: parseThresholds(text('thresholds'), path) } : {}),
    ...parseAbsentPairs(metadata, path),
    ...(metadata.has('calibration') ? { calibration: parseCalibration(text('calibration'), path) } : {}),
    provenance: parseProvenance(text('provenance'), path),
  };
  const head = text('head');
  if (head === 'concat') {
    const alpha = number('alpha', Number.isFinite, 'a number');
    return { head, dim: count('dim'), heads: count('heads'), alpha, k1: count('k1'), k2: count('k2'), ...common };
  }
  if (head === 'pairwise') {
    if (text('features') !== pairwiseFeatures) {
      throw new NaanError(
        'BAD_MODEL',
        `${path}: metadata 'features' is ${quoted(text('features'))}, expected '${pairwiseFeatures}': train again`,
      );
    }
    const k = number('k', (value) => Number.isInteger(value) && value > 0 && value <= longestList, `1..${longestList}`);
    const guard = metadata.has('guard') ? { guard: parseGuard(text('guard'), path) } : {};
    return { head, k, rounds: count('rounds'), hidden: parseHidden(text('hidden'), path), ...guard, ...common };
  }
  throw new NaanError('BAD_MODEL', `${path}: metadata 'head' is ${quoted(head)}, expected 'concat' or 'pairwise'`);
}

function parseHidden(text: string, path: string): number[] {
  const units = text.split(' ').map(Number);
  if (units.every((count) => Number.isInteger(count) && count > 0 && count < 2 ** 16)) return units;
  throw new NaanError('BAD_MODEL', `${path}: metadata 'hidden' is ${quoted(text)}, expected units of each layer`);
}

function parseGuard(text: string, path: string): CosineGuard {
  const [from, to, ...rest] = text.split(' ').map(Number);
  if (from >= -1 && from < to && to <= 1 && rest.length === 0) return { from, to };
  throw new NaanError('BAD_MODEL', `${path}: metadata 'guard' is ${quoted(text)}, expected two cosines, rising`);
}

function parsePartition(text: string, path: string): Partition {
  const found = partitions.find((name) => name === text);
  if (found) return found;
  const gone = text === 'whispers' ? ', which was calibrated for an earlier naan and is no more: train again' : '';
  const expected = gone === '' ? `, expected ${partitions.join(', ')}` : gone;
  throw new NaanError('BAD_MODEL', `${path}: metadata 'partition' is ${quoted(text)}${expected}`);
}

function parseCalibration(text: string, path: string): CalibrationRecord {
  const value = parseJsonObject(text);
  const measure = (name: string) => {
    const { f, deviation } = (value?.[name] ?? {}) as Record<string, unknown>;
    if (typeof f === 'number' && typeof deviation === 'number') return { f, deviation };
    const expected = 'expected a JSON object of bcubed and pairwise, each with f and deviation';
    throw new NaanError('BAD_MODEL', `${path}: metadata 'calibration' is ${quoted(text)}, ${expected}`);
  };
  return { bcubed: measure('bcubed'), pairwise: measure('pairwise') };
}

/** A threshold of `linkage` from before there was a choice was calibrated with all absent pairs. */
function parseAbsentPairs(metadata: ReadonlyMap<string, string>, path: string): { absentPairs?: AbsentPairs } {
  const text = metadata.get('absent_pairs');
  if (text === undefined) {
    const calibrated = metadata.get('partition') === 'linkage' || metadata.get('thresholds')?.includes('"linkage"');
    return calibrated ? { absentPairs: 'all' } : {};
  }
  const found = absentPairs.find((name) => name === text);
  if (found) return { absentPairs: found };
  const expected = `expected ${absentPairs.join(' or ')}`;
  throw new NaanError('BAD_MODEL', `${path}: metadata 'absent_pairs' is ${quoted(text)}, ${expected}`);
}

/** Thresholds of partitions that this version does not have are left out. */
function parseThresholds(text: string, path: string): Partial<Record<Partition, number>> {
  const value = parseJsonObject(text);
  if (!value || Object.values(value).some((entry) => typeof entry !== 'number' || !(entry >= 0 && entry <= 1))) {
    throw new NaanError(
      'BAD_MODEL',
      `${path}: metadata 'thresholds' is ${quoted(text)}, expected a JSON object of probabilities`,
    );
  }
  return Object.fromEntries(partitions.flatMap((name) => (name in value ? [[name, value[name]]] : [])));
}

function parseProvenance(text: string, path: string): Record<string, string> {
  const value = parseJsonObject(text);
  if (!value || Object.values(value).some((entry) => typeof entry !== 'string')) {
    throw new NaanError(
      'BAD_MODEL',
      `${path}: metadata 'provenance' is ${quoted(text)}, expected a JSON object of text`,
    );
  }
  return value as Record<string, string>;
}
