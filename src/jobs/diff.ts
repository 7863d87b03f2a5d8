/** The differences between two runs: options, inputs, versions, and clusters that were joined or parted. */
import { type Comparison, compareLabels, type Regrouped } from '../cluster/compare.js';
import { clustersOf } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { isObject } from '../io/json.js';
import { readRun, recordName } from '../io/output-record.js';
import { matchRows, readPreviousRun } from './previous-run.js';

/** A value of both runs that is not the same; null where a run has none. */
export interface Difference {
  readonly name: string;
  readonly before: unknown;
  readonly after: unknown;
}

export interface RunDifferences extends Comparison {
  /** Options as they were settled, files aside. */
  readonly options: readonly Difference[];
  /** Input files whose bytes differ, as far as their digests tell: a file that was only moved is the same. */
  readonly inputs: readonly Difference[];
  /** Versions, machine, threads: what does not change labels. */
  readonly surroundings: readonly Difference[];
  /** Clusters, singletons and the like. */
  readonly results: readonly Difference[];
  readonly identical: boolean;
}

type RunFields = Record<string, unknown>;

const fileOptions = ['features', 'knn', 'model', 'items', 'constraints', 'cannotLinkWithin', 'previous', 'out'];
const resultNames = ['nodes', 'copies', 'badRows', 'edges', 'clusters', 'singletons', 'unlabelled', 'largest'];

/**
 * Compares the folders (`out`) of two runs of `label`. Rows are matched by name where both have names, else by number. Throws
 * BAD_INPUT for a folder that holds no run.
 */
export async function diff(
  before: string,
  after: string,
  onNotice?: (message: string) => void,
): Promise<RunDifferences> {
  const [first, second] = [runIn(before), runIn(after)];
  const [old, now] = [await readPreviousRun(before), await readPreviousRun(after)];
  const { clusterOf: clusters, ids } = clustersOf(now.labels);
  const noItems = old.items === undefined || now.items === undefined;
  if (noItems && old.labels.length !== now.labels.length) {
    onNotice?.(`${before} has ${old.labels.length} rows and ${after} ${now.labels.length}: matched by their numbers`);
  }
  const { earlier, before: matched } = await matchRows(old, clusters.length, now.items);
  const named = (all: readonly Regrouped[], own: (c: number) => number, other: (c: number) => number) =>
    all.map(({ cluster, rows, others }) => ({
      cluster: own(cluster),
      rows,
      others: others.map((one) => ({ cluster: other(one.cluster), rows: one.rows })),
    }));
  const idBefore = (cluster: number) => earlier.ids[cluster];
  const idAfter = (cluster: number) => ids[cluster];
  const comparison = compareLabels(matched, clusters);
  const options = differences(optionsOf(first), optionsOf(second));
  const inputs = differences(inputsOf(first), inputsOf(second));
  const { rows, parted, joined } = comparison;
  return {
    ...comparison,
    partedExamples: named(comparison.partedExamples, idBefore, idAfter),
    joinedExamples: named(comparison.joinedExamples, idAfter, idBefore),
    options,
    inputs,
    surroundings: differences(surroundingsOf(first), surroundingsOf(second)),
    results: differences(pick(first, resultNames), pick(second, resultNames)),
    identical: parted + joined + rows.onlyBefore + rows.onlyAfter === 0,
  };
}

function runIn(folder: string): RunFields {
  const run = readRun(folder);
  if (run && isObject(run.options)) return run;
  throw new NaanError('BAD_INPUT', `${folder}: has no ${recordName} of naan label, expected the --out of a run`);
}

function optionsOf({ options }: RunFields): RunFields {
  return Object.fromEntries(Object.entries(options as RunFields).filter(([name]) => !fileOptions.includes(name)));
}

/** Digest of each input by its role, told by where it lay. */
function inputsOf({ options, inputs }: RunFields): RunFields {
  const found = new Map<unknown, unknown>();
  for (const input of Array.isArray(inputs) ? inputs.filter(isObject) : []) found.set(input.path, input.sampledSha256);
  const roles = fileOptions.slice(0, -1).map((role) => [role, (options as RunFields)[role]] as const);
  return Object.fromEntries(roles.flatMap(([role, path]) => (found.has(path) ? [[role, found.get(path)]] : [])));
}

function surroundingsOf({ naan, node, run, engine }: RunFields): RunFields {
  const { host, cpu, cores } = isObject(run) ? run : ({} as RunFields);
  const { threads, shards, backend, simd } = isObject(engine) ? engine : ({} as RunFields);
  return { naan, node, host, cpu, cores, threads, shards, backend, simd };
}

function pick(run: RunFields, names: readonly string[]): RunFields {
  return Object.fromEntries(names.map((name) => [name, run[name]]));
}

function differences(before: RunFields, after: RunFields): Difference[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => {
    const [a, b] = [before[name] ?? null, after[name] ?? null];
    return JSON.stringify(a) === JSON.stringify(b) ? [] : [{ name, before: a, after: b }];
  });
}
