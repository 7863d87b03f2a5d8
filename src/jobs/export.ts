/** Writes the labelled set as what trainers read. */
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { clustersOf } from '../cluster/relabel.js';
import type { Part } from '../datasets/dataset.js';
import { type Labelled, type LeftOut, selectImages } from '../datasets/select.js';
import { writers } from '../datasets/writers.js';
import { NaanError } from '../errors.js';
import { checkClusterTable, clusterTableName, readClusterTable } from '../io/cluster-table.js';
import { digestFile } from '../io/digest.js';
import { itemsBeside, openItems, readItems } from '../io/items.js';
import { isObject } from '../io/json.js';
import { labelTableName } from '../io/label-table.js';
import { readLabels } from '../io/labels.js';
import { writeFolder, writeJson } from '../io/output-file.js';
import { isRecorded, readRecord, readRun, recordName, type WrittenFile } from '../io/output-record.js';
import { checkNewFolder } from '../io/outputs.js';
import type { ProgressListener } from '../progress.js';
import { version } from '../version.js';

export interface ExportOptions {
  /** Folder that `label` wrote to, or a table with the titles item,label. */
  readonly run: string;
  /** Form of the set: `imagefolder`, `lst`, `rec`, `webdataset`, `csv`, `jsonl`, `parquet` or `filelist`. */
  readonly to: string;
  /** Folder to make. It may not be there yet, or must be empty. */
  readonly out: string;
  /** Names of the rows, for a run that was labelled without. */
  readonly items?: string | undefined;
  /** Folder that relative items lie in; default: the working directory. */
  readonly root?: string | undefined;
  /** Image folders: `link`, the default, `copy`, or `plan`, which writes only what would go where. */
  readonly files?: 'link' | 'copy' | 'plan' | undefined;
  /** Smaller clusters are left out. Default 2. */
  readonly minSize?: number | undefined;
  /** Clusters of less trust, as clusters.csv of the run has it, are left out. Default: none. */
  readonly minTrust?: number | undefined;
  /** Images of an identity at the most, the first ones. Default: all. */
  readonly maxPerIdentity?: number | undefined;
  /** The first label. Default 0. */
  readonly offset?: number | undefined;
  /** Labelled set to join with, a table with the titles item,label: its identities come first, and its images stay theirs. */
  readonly merge?: string | undefined;
  /** Share of the identities that go to `val`. Default 0. */
  readonly split?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `export`, unit `images`. */
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface ExportSummary {
  readonly to: string;
  /** Rows of the run. */
  readonly rows: number;
  readonly parts: Readonly<
    Partial<
      Record<
        Part['name'],
        {
          readonly images: number;
          readonly identities: number;
          readonly firstLabel: number;
          readonly lastLabel: number;
        }
      >
    >
  >;
  readonly leftOut: LeftOut;
}

const manifestName = 'manifest.json';

/**
 * Writes a set to `out`: its parts, `train` and with `split` also `val`, a list item,label of each, and manifest.json with counts
 * and digests. The folder appears when all of it is written, or not at all. The same input gives the same bytes.
 * Throws BAD_USAGE, BAD_INPUT for a run without labels or names, or an image that is missing, NOT_WRITABLE, CANCELLED.
 */
export async function exportSet(options: ExportOptions): Promise<ExportSummary> {
  const { out, to, root, files = 'link', offset = 0, split = 0, minSize = 2, signal, onProgress } = options;
  const writer = writers.find(({ name }) => name === to);
  if (!writer) {
    const names = writers.map(({ name }) => name).join(', ');
    throw new NaanError('BAD_USAGE', `to: got '${to}', expected ${names}`);
  }
  await checkNewFolder('out', out);
  if (root !== undefined && !statSync(root, { throwIfNoEntry: false })?.isDirectory()) {
    throw new NaanError('BAD_INPUT', `${root}: is no folder, expected the --root of the images`);
  }
  const inputs: string[] = [];
  const found = await readTrusted(options, inputs);
  const merged = options.merge === undefined ? undefined : await readTable(options.merge, inputs);
  const selection = { minSize, maxPerIdentity: options.maxPerIdentity ?? Number.POSITIVE_INFINITY, offset, split };
  const folder = resolve(root ?? '.');
  const { parts, leftOut } = selectImages(found, merged, selection, (item) => resolve(folder, item));
  const summary: ExportSummary = {
    to,
    rows: found.items.length,
    parts: Object.fromEntries(
      parts.map(({ name, count, identities, firstLabel }) => [
        name,
        { images: count, identities, firstLabel, lastLabel: firstLabel + identities - 1 },
      ]),
    ),
    leftOut,
  };
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const advance = async (part: Part, done: number) => {
    const before = part === parts[0] ? 0 : parts[0].count;
    onProgress?.({ stage: 'export', done: before + done, total, unit: 'images' });
    await new Promise(setImmediate); // so that a signal is heard
    if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
  };
  await writeFolder(out, async (folder) => {
    const written: WrittenFile[] = [];
    const onNotice = options.onNotice ?? (() => {});
    const destination = { folder, files, written, advance, onNotice };
    for (const part of parts) {
      await writer.write(part, destination);
      const list = `${part.name}.csv`;
      if (written.some(({ name }) => name === list)) continue;
      const csv = writers.find(({ name }) => name === 'csv')!;
      await csv.write(part, { ...destination, advance: async () => {} });
    }
    await writeJson(join(folder, manifestName), {
      naan: version,
      options: {
        to,
        root,
        ...(to === 'imagefolder' && { files }),
        ...selection,
        minTrust: options.minTrust,
        merge: options.merge,
      },
      inputs: await Promise.all(inputs.map((path) => digestFile(path, { whole: true }))),
      ...summary,
      files: written,
    });
  });
  return summary;
}

/** Labels and names of a run, and with `minTrust` which clusters have less. */
async function readTrusted(options: ExportOptions, inputs: string[]): Promise<Labelled> {
  const { run, minTrust } = options;
  if (minTrust === undefined) return readLabelled(options, inputs);
  const file = join(run, clusterTableName);
  if (!existsSync(file)) {
    const expected = `expected ${clusterTableName} in the --run, as naan label writes it without --no-trust`;
    throw new NaanError('BAD_USAGE', `min-trust: ${run} does not say how far its clusters are trusted, ${expected}`);
  }
  const found = await readLabelled(options, inputs);
  const table = await readClusterTable(file);
  checkClusterTable(table, file, clustersOf(found.labels.codes), inputs[0]);
  inputs.push(file);
  const untrusted = new Uint8Array(table.ids.reduce((most, id) => Math.max(most, id), 0) + 1);
  for (let c = 0; c < table.ids.length; c++) if (table.trust[c] < minTrust) untrusted[table.ids[c]] = 1;
  return { ...found, untrusted };
}

/** Labels and names of a run: labels.csv, or else the labels with the names that are given. */
async function readLabelled({ run, items, onNotice }: ExportOptions, inputs: string[]): Promise<Labelled> {
  if (statSync(run, { throwIfNoEntry: false })?.isFile() && items === undefined) return readTable(run, inputs);
  const record = readRun(run);
  if (!record) {
    const expected = 'expected the --out of naan label, or a table with the titles item,label';
    throw new NaanError('BAD_INPUT', `${run}: has no ${recordName} that can be read, ${expected}`);
  }
  const { outputs } = readRecord(run);
  const table = join(run, labelTableName);
  if (items === undefined && isObject(record.options) && record.options.items !== undefined && existsSync(table)) {
    if (!(await isRecorded(table))) onNotice?.(`${table}: was changed since naan wrote it, and is taken as it is now`);
    return readTable(table, inputs);
  }
  if (items === undefined) {
    throw new NaanError(
      'BAD_USAGE',
      `${run}: its rows have no names: give --items, a name a row in the order of the features`,
    );
  }
  const written = outputs.find(({ name }) => name.endsWith('_labels.npy'));
  if (!written)
    throw new NaanError('BAD_INPUT', `${join(run, recordName)}: lists no labels, expected the --out of naan label`);
  const file = join(run, written.name);
  const [labels, names] = [await readLabels(file), await readItems(await openItems(items))];
  if (labels.codes.length !== names.length) {
    const expected = `expected ${labels.codes.length} as ${file} has labels`;
    throw new NaanError('BAD_SHAPE', `${items}: ${names.length} items, ${expected}`);
  }
  inputs.push(file, items);
  return { labels, items: names };
}

async function readTable(path: string, inputs: string[]): Promise<Labelled> {
  const items = await itemsBeside(path, 'labels');
  if (!items) throw new NaanError('BAD_INPUT', `${path}: names no rows, expected a table with the titles item,label`);
  inputs.push(path);
  return { labels: await readLabels(path), items: await readItems(items) };
}
