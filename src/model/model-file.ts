/** A model as one `.safetensors` file: its tensors, and its configuration as metadata. */
import { type AbsentPairs, absentPairs } from '../cluster/linkage.js';
import { type Partition, partitions } from '../cluster/partition.js';
import { NaanError } from '../errors.js';
import { parseJsonObject } from '../io/json.js';
import { quoted } from '../io/messages.js';
import { openSafetensors, writeSafetensors } from '../io/safetensors.js';
import { Metadata } from './metadata.js';
import {
  checkModel,
  checkShapes,
  expectedTensors,
  kindOf,
  type ModelConfig,
  modelKinds,
  type NaanModel,
  type Tensor,
} from './model.js';
import type { CalibrationRecord, CommonConfig } from './model-kind.js';
import { isSetProfile, type SetProfile } from './set-profile.js';

/** Writes a model. Throws NOT_WRITABLE, or BAD_MODEL when a tensor is missing, misshapen or not finite. */
export async function writeModel(path: string, model: NaanModel): Promise<void> {
  const { config } = model;
  const tensors = checkedTensors(config, model.tensors, path);
  const metadata = new Map([
    ['head', config.head],
    ...Object.entries(kindOf(config).metadata(config)),
    ['sample_hops', String(config.sampleHops)],
    ['provenance', JSON.stringify(config.provenance)],
  ]);
  if (config.partition !== undefined) metadata.set('partition', config.partition);
  if (config.threshold !== undefined) metadata.set('threshold', String(config.threshold));
  if (config.thresholds !== undefined) metadata.set('thresholds', JSON.stringify(config.thresholds));
  if (config.calibration !== undefined) metadata.set('calibration', JSON.stringify(config.calibration));
  if (config.trainedOn !== undefined) metadata.set('trained_on', JSON.stringify(config.trainedOn));
  if (config.absentPairs !== undefined) metadata.set('absent_pairs', config.absentPairs);
  await writeSafetensors(path, { metadata, tensors });
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

function parseConfig(values: ReadonlyMap<string, string>, path: string): ModelConfig {
  const metadata = new Metadata(values, path);
  const probability = (value: number) => value >= 0 && value <= 1;
  const has = (key: string) => metadata.has(key);
  const text = (key: string) => metadata.text(key);
  const common: CommonConfig = {
    sampleHops: metadata.count('sample_hops'),
    ...(has('partition') ? { partition: parsePartition(text('partition'), path) } : {}),
    ...(has('threshold') ? { threshold: metadata.number('threshold', probability, 'a probability') } : {}),
    ...(has('thresholds') ? { thresholds: parseThresholds(text('thresholds'), path) } : {}),
    ...parseAbsentPairs(values, path),
    ...(has('calibration') ? { calibration: parseCalibration(text('calibration'), path) } : {}),
    ...(has('trained_on') ? { trainedOn: parseProfile(text('trained_on'), path) } : {}),
    provenance: parseProvenance(text('provenance'), path),
  };
  const known = Object.entries(modelKinds).find(([head]) => head === text('head'));
  if (!known) return metadata.refuse('head', `expected ${Object.keys(modelKinds).map(quoted).join(' or ')}`);
  return { ...known[1].parse(metadata), ...common };
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

function parseProfile(text: string, path: string): SetProfile {
  const value = parseJsonObject(text);
  if (value && isSetProfile(value)) return value as unknown as SetProfile;
  const expected = 'expected a JSON object of cosines, degrees and scores, nine rising numbers each';
  throw new NaanError('BAD_MODEL', `${path}: metadata 'trained_on' is ${quoted(text)}, ${expected}`);
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
