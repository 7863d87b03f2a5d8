/** The folder that a labelling run has written, as reports and reviews read it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { clustersOf } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { type ClusterTable, checkClusterTable, clusterTableName, readClusterTable } from '../io/cluster-table.js';
import type { Items } from '../io/item-list.js';
import { openItems } from '../io/items.js';
import { readLabels } from '../io/labels.js';
import { readRecord, readRun, recordName } from '../io/output-record.js';
import { readScoredPairs, type ScoredPairs } from '../io/scored-pairs.js';
import type { RunRecord } from './label-files.js';
import { filesOfRun } from './previous-run.js';

export interface LabelledRun {
  readonly folder: string;
  /** The values of run.json that are reported. Runs of earlier versions lack some of them. */
  readonly record: Partial<RunRecord>;
  /** Cluster of each row by the order of first rows, −1 for none [n]. */
  readonly clusterOf: Int32Array;
  /** Label of each cluster. */
  readonly ids: Int32Array;
  readonly sizes: Int32Array;
  /** Trust of each cluster [clusters], as in clusters.csv; NaN for a cluster of a single row, and where it is not known. */
  readonly trust: Float32Array;
  /** clusters.csv, where the run has it. */
  readonly table: ClusterTable | undefined;
  /** Names of the rows, where the run has them. */
  readonly items: Items | undefined;
}

/** Throws BAD_INPUT for a folder that holds no run, or files that do not fit together. */
export async function readLabelledRun(folder: string): Promise<LabelledRun> {
  const files = filesOfRun(folder);
  const { codes } = await readLabels(files.labels);
  const clusters = clustersOf(codes);
  const isWritten = readRecord(folder).outputs.some(({ name }) => name === clusterTableName);
  const path = join(folder, clusterTableName);
  const table = isWritten && existsSync(path) ? await readClusterTable(path) : undefined;
  if (table) checkClusterTable(table, path, clusters, files.labels);
  const items = files.table === undefined ? undefined : await openItems(files.table);
  return labelledRun(clusters, { folder, record: recordIn(folder), table, items });
}

/** A run of these clusters, as `clustersOf` gives them. */
export function labelledRun(
  clusters: Pick<LabelledRun, 'clusterOf' | 'ids' | 'sizes'>,
  rest: Pick<LabelledRun, 'folder' | 'record' | 'table' | 'items'>,
): LabelledRun {
  const { sizes } = clusters;
  const { table } = rest;
  const trust = new Float32Array(sizes.length).fill(Number.NaN);
  if (table) for (let c = 0; c < sizes.length; c++) if (sizes[c] > 1) trust[c] = table.trust[c];
  return { ...clusters, ...rest, trust };
}

/** JSON has null for numbers such as NaN. */
const number = z.number().nullable();
const numbers = z.record(z.string(), number);

const reported = {
  naan: z.string(),
  edges: number,
  partition: z.string(),
  threshold: number,
  thresholdFrom: z.string(),
  peakRssBytes: number,
  seconds: z.object({ total: number, stages: numbers }),
  notices: z.array(z.string()),
  curves: z.object({
    histogram: z.array(number),
    points: z.array(z.object({ threshold: number, clusters: number, rows: number, largest: number })),
  }),
  engine: z.object({
    threads: number,
    shards: number,
    backend: z.string().optional(),
    simd: z.string().optional(),
    busy: numbers.optional(),
  }),
  plan: z.object({ parts: numbers, memoryBytes: number, limitBytes: number }),
  inputs: z.array(z.object({ path: z.string(), bytes: number, sampledSha256: z.string() })),
  options: z.record(z.string(), z.unknown()),
  optionSources: z.record(z.string(), z.string()),
};

function recordIn(folder: string): Partial<RunRecord> {
  const record = readRun(folder) ?? {};
  const known = Object.entries(reported).filter(([name]) => record[name] !== undefined && record[name] !== null);
  for (const [name, form] of known) {
    if (form.safeParse(record[name]).success) continue;
    throw new NaanError('BAD_INPUT', `${join(folder, recordName)}: ${name} is not as naan label writes it`);
  }
  return Object.fromEntries(known.map(([name]) => [name, record[name]]));
}

/** Finds the place of a label among the labels of clusters. */
export function placesOfLabels(ids: Int32Array): (label: number) => number | undefined {
  let words: Uint32Array | undefined;
  return (label) => {
    // In a labelling that goes on from no other, labels are places.
    if (ids[label] === label) return label;
    // Labels, and below them their places, by rising label.
    words ??= new Uint32Array(BigUint64Array.from(ids, (id, c) => (BigInt(id) << 32n) | BigInt(c)).sort().buffer);
    let [low, high] = [0, ids.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (words[2 * middle + 1] < label) low = middle + 1;
      else high = middle;
    }
    return low < ids.length && words[2 * low + 1] === label ? words[2 * low] : undefined;
  };
}

/** Edges and scores, where the run kept them. */
export async function scoresOfRun({ folder, clusterOf }: LabelledRun): Promise<ScoredPairs | undefined> {
  const names = readRecord(folder).outputs.map(({ name }) => name);
  const [edges, scores] = ['_edges.npy', '_scores.npy'].map((suffix) => names.find((name) => name.endsWith(suffix)));
  if (edges === undefined || scores === undefined) return undefined;
  const paths = [join(folder, edges), join(folder, scores)] as const;
  return paths.every((path) => existsSync(path)) ? readScoredPairs(...paths, clusterOf.length) : undefined;
}

/** Up to `most` places of the highest keys, the highest first and of equals the first; NaN is left out. */
export function highest(count: number, most: number, keyOf: (place: number) => number): number[] {
  const places: number[] = [];
  const keys: number[] = [];
  for (let place = 0; place < count; place++) {
    const key = keyOf(place);
    if (Number.isNaN(key) || (keys.length === most && !(key > keys[most - 1]))) continue;
    let at = keys.length;
    while (at > 0 && keys[at - 1] < key) at--;
    keys.splice(at, 0, key);
    places.splice(at, 0, place);
    if (keys.length > most) {
      keys.pop();
      places.pop();
    }
  }
  return places;
}
