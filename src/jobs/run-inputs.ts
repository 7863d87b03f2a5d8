/** The inputs and options of a labelled run, from its run.json, for commands that go on from it. */
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { type AbsentPairs, absentPairs } from '../cluster/linkage.js';
import { type PartitionOptions, partitions } from '../cluster/partition.js';
import { labelDefaults } from '../defaults.js';
import { NaanError } from '../errors.js';
import { digestFile } from '../io/digest.js';
import { isStandardInput, parseInput } from '../io/input-file.js';
import { isObject } from '../io/json.js';
import { jsonText } from '../io/messages.js';
import { readRecord, readRun, recordName } from '../io/output-record.js';

/** The options of a run; files are `unknown` as they may have been in memory. */
export interface RunFacts extends Partial<Omit<PartitionOptions, 'threshold' | 'order' | 'constraints'>> {
  readonly features: unknown;
  readonly knn: unknown;
  readonly model: unknown;
  readonly partition: unknown;
  readonly threshold: number;
  readonly hops: readonly [number, number] | undefined;
  readonly sampleHops: number | undefined;
  readonly [option: string]: unknown;
}

/** The forms of the options that are used again: of others than these a run would be labelled differently, or not at all. */
const count = z.int32().positive();
const forms = {
  partition: z.enum(partitions),
  threshold: z.number().min(0).max(1),
  k1: z.int32().nonnegative(),
  k2: z.int32().nonnegative(),
  sampleHops: z.int32().nonnegative(),
  step: z.number().min(0).max(1),
  maxSize: count,
  maxIterations: count,
  start: z.enum(['threshold', 'all']),
  leftovers: z.enum(['components', 'merge']),
  absentPairs: z.enum(absentPairs),
  minSize: count,
  minTrust: z.number().min(-1).max(1),
  trust: z.boolean(),
  report: z.boolean(),
  duplicates: z.enum(['collapse', 'keep']),
  badRows: z.enum(['refuse', 'skip']),
  constraints: z.string(),
  cannotLinkWithin: z.string(),
};

/** Throws BAD_INPUT for a folder that holds no run of `naan label`, or one whose options are not as that writes them. */
export function factsOf(folder: string): RunFacts {
  const options = readRun(folder)?.options;
  if (!isObject(options)) {
    throw new NaanError('BAD_INPUT', `${folder}: has no ${recordName} of naan label, expected the --out of a run`);
  }
  for (const [name, form] of Object.entries(forms)) {
    const value = options[name];
    if (value === undefined || value === null || form.safeParse(value).success) continue;
    throw new NaanError(
      'BAD_INPUT',
      `${join(folder, recordName)}: options.${name}: got ${jsonText(value)}, which naan label does not write`,
    );
  }
  const { threshold, k1, k2, sampleHops } = options;
  const isHop = (hop: unknown): hop is number => typeof hop === 'number' && hop > 0;
  return {
    ...options,
    features: options.features,
    knn: options.knn,
    model: options.model,
    partition: options.partition,
    threshold: typeof threshold === 'number' ? threshold : labelDefaults.threshold,
    hops: isHop(k1) && isHop(k2) ? [k1, k2] : undefined,
    sampleHops: isHop(sampleHops) ? sampleHops : undefined,
  };
}

/** How linkage of the run that wrote these scores counts absent pairs; undefined for scores without a run.json beside them. Throws as `factsOf`. */
export function absentPairsOf(scores: string): AbsentPairs | undefined {
  const { path } = parseInput(scores);
  const folder = dirname(path);
  if (!readRecord(folder).outputs.some(({ name }) => name === basename(path))) return undefined;
  return factsOf(folder).absentPairs;
}

/** The path of an input. Throws BAD_INPUT where it was in memory. */
export function fileOf(path: unknown, option: string, noun: string, run: string, advice = ''): string {
  if (typeof path === 'string' && path !== 'in memory' && !isStandardInput(path)) return path;
  throw new NaanError(
    'BAD_INPUT',
    `${join(run, recordName)}: says no file of the ${noun}: give it with --${option}${advice}`,
  );
}

/** Throws BAD_INPUT where a file is another one than that which the run has read under this path, by its digest. */
export async function checkUnchanged(folder: string, path: string): Promise<void> {
  const inputs = readRun(folder)?.inputs;
  const known = Array.isArray(inputs) ? inputs.find((input) => isObject(input) && input.path === path) : undefined;
  if (!isObject(known)) return;
  const { bytes, sampledSha256 } = await digestFile(path);
  if (bytes === known.bytes && sampledSha256 === known.sampledSha256) return;
  throw new NaanError('BAD_INPUT', `${path}: is not as ${folder} was made from it, expected the file of that run`);
}
