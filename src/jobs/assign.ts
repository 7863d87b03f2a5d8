/**
 * Names new rows by the identities of a labelled set, and changes nothing of it: what is asked of a stream.
 *
 * Each new row is looked at by itself, so that its name does not depend on what comes with it. Around it lies a small graph:
 * its nearest rows of the set, and theirs; lists in which it would stand hold it where it would. The model scores the edges of this graph
 * as it scores those of any, and an identity is as near to the new row as `linkage` finds two clusters: by the edges
 * between them, and the room in the lists of both. Of identities of which few rows are near, the room of these stands for that of all.
 */
import { availableCores } from '../cgroup.js';
import { columnsOf, hopsFor, settledModel } from '../engine/head.js';
import { ScoringRun } from '../engine/scoring-run.js';
import { NaanError } from '../errors.js';
import { headOf } from '../heads/heads.js';
import { type FeatureSource, locateSource } from '../io/feature-source.js';
import type { Items } from '../io/item-list.js';
import { itemsBeside, openItems } from '../io/items.js';
import { readKnn } from '../io/knn.js';
import { csvField } from '../io/label-table.js';
import { readLabels } from '../io/labels.js';
import { type MatrixLocation, openRows } from '../io/matrix.js';
import { normaliseRows } from '../io/normalise.js';
import { writeOutput } from '../io/output-file.js';
import { checkOutputs, startsAs } from '../io/outputs.js';
import { createSampleSearch, queriesAtOnce } from '../knn/sample.js';
import { requireMemory } from '../memory/available.js';
import { SharedRows } from '../memory/shared-rows.js';
import { readModel } from '../model/model-file.js';
import type { ProgressListener } from '../progress.js';
import { Neighbourhoods } from './assign-graphs.js';
import { Judge } from './assign-judge.js';
import { filesOfRun } from './previous-run.js';
import { factsOf, fileOf } from './run-inputs.js';

export interface AssignOptions {
  /** Folder of the run whose identities are given. */
  readonly run: string;
  /** The new rows. */
  readonly features: FeatureSource;
  /** Values a row of the features: needed for a raw file. */
  readonly dim?: number | undefined;
  /** Names of the new rows; default: those beside the features. */
  readonly items?: string | undefined;
  /** Features, kNN graph and model of the run; default: where run.json says they are. */
  readonly known?: string | undefined;
  readonly knn?: string | undefined;
  readonly model?: string | undefined;
  /** A row less near than this to every identity is new; default: the threshold of the run. */
  readonly threshold?: number | undefined;
  /** Table to write; without it nothing is written. */
  readonly out?: string | undefined;
  readonly overwrite?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface AssignSummary {
  readonly rows: number;
  /** Rows that got an identity of the run. */
  readonly assigned: number;
  /** Identities that they got. */
  readonly identities: number;
  readonly threshold: number;
  readonly seconds: { readonly total: number; readonly read: number; readonly search: number; readonly score: number };
  /** New rows a second, once the run that names them has been read. */
  readonly rowsPerSecond: number;
}

export interface AssignResult {
  readonly summary: AssignSummary;
  /** Identity of each new row, −1 for none [n]. */
  readonly labels: Int32Array;
  /** Score of the nearest identity [n], and the margin to the next one [n]. */
  readonly nearness: Float32Array;
  readonly margins: Float32Array;
}

/** New rows whose graphs are scored at once. */
const rowsAtOnce = 4 * queriesAtOnce;

const isOurTable = startsAs(/^item,label,nearness,margin\n/);

/**
 * Throws BAD_INPUT or BAD_SHAPE for a run that lacks what is needed or does not fit the new rows, BAD_USAGE and NOT_WRITABLE for `out`,
 * OUT_OF_MEMORY, CANCELLED.
 */
export async function assign(options: AssignOptions): Promise<AssignResult> {
  const began = performance.now();
  const { signal, out, onProgress } = options;
  const record = factsOf(options.run);
  const files = {
    known: options.known ?? record.features,
    knn: options.knn ?? record.knn,
    model: options.model ?? record.model,
  };
  const known = fileOf(files.known, 'known', 'features', options.run);
  const lists = fileOf(files.knn, 'knn', 'kNN graph', options.run, ': naan label --save-knn keeps one');
  const modelFile = fileOf(files.model, 'model', 'model', options.run);
  if (out !== undefined) {
    const table = { name: 'out', path: out, isOurs: isOurTable, otherwise: 'naan did not write it' };
    await checkOutputs(
      [table],
      { features: options.features, items: options.items, known, knn: lists, model: modelFile },
      options.overwrite,
    );
  }
  const items = await itemsOf(options);
  const ofKnown = await locateSource(known, options.dim);
  // The median cosine of random pairs is a property of the whole set, not of the small graphs.
  const stored = await readModel(modelFile);
  const head = headOf(stored);
  const model = settledModel(head, stored, ofKnown);
  const hops = hopsFor(head, model, { kHops: record.hops, sampleHops: record.sampleHops });
  const fresh = await locateSource(options.features, options.dim);
  if (items) await checkItems(items, fresh);
  const { codes: labels } = await readLabels(filesOfRun(options.run).labels);
  const columns = columnsOf(hops);
  const graph = await readKnn(lists, { nodeCount: labels.length, columns, onProgress });
  const rows = loadKnown(ofKnown, labels.length, fresh);
  const threshold = options.threshold ?? record.threshold;
  const threads = options.threads ?? availableCores();

  const reader = openRows(fresh);
  const k = Math.min(columns - 1, labels.length);
  const search = await createSampleSearch({ rows: rows.handle(), k, among: labels.length });
  const run = new ScoringRun({ model, head, hops, threads, signal, onNotice: options.onNotice });
  const result = {
    labels: new Int32Array(reader.rowCount).fill(-1),
    nearness: new Float32Array(reader.rowCount),
    margins: new Float32Array(reader.rowCount),
  };
  const neighbourhoods = new Neighbourhoods(rows, graph, columns, rowsAtOnce);
  const judge = new Judge(labels, model.config.absentPairs ?? 'room', record.partition === 'linkage');
  const seconds = { total: 0, read: (performance.now() - began) / 1000, search: 0, score: 0 };
  const since = (start: number) => (performance.now() - start) / 1000;
  try {
    for (let first = 0; first < reader.rowCount; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, reader.rowCount - first);
      let start = performance.now();
      loadFresh(rows, labels.length, reader, first, count, fresh.name);
      const nearest = new Int32Array(count * k);
      for (let at = 0; at < count; at += queriesAtOnce) {
        const queries = Int32Array.from(
          { length: Math.min(queriesAtOnce, count - at) },
          (_, i) => labels.length + at + i,
        );
        nearest.set((await search(queries)).ids, at * k);
      }
      seconds.search += since(start);
      start = performance.now();
      const local = neighbourhoods.around(nearest, count, labels.length);
      // Neighbours are near each other as they are.
      const layout = { graph: local.graph };
      await run.score({ features: local.features, layout, uniteFrom: Number.POSITIVE_INFINITY });
      judge.judge(local, run, (i, label, nearness, margin) => {
        if (nearness >= threshold) result.labels[first + i] = label;
        result.nearness[first + i] = nearness;
        result.margins[first + i] = margin;
      });
      seconds.score += since(start);
      if (signal?.aborted) throw new NaanError('CANCELLED', 'cancelled');
      onProgress?.({ stage: 'assign', done: first + count, total: reader.rowCount, unit: 'rows' });
    }
  } finally {
    reader.close();
    await run.close();
  }
  if (out !== undefined) await writeTable(out, items, result);
  seconds.total = since(began);
  const given = result.labels.filter((label) => label >= 0);
  return {
    ...result,
    summary: {
      rows: reader.rowCount,
      assigned: given.length,
      identities: new Set(given).size,
      threshold,
      seconds,
      rowsPerSecond: reader.rowCount / (seconds.search + seconds.score),
    },
  };
}

/** Names of new rows as asked, else those beside the features. */
export async function itemsOf({
  items,
  features,
}: Pick<AssignOptions, 'items' | 'features'>): Promise<Items | undefined> {
  if (items !== undefined) return openItems(items);
  return typeof features === 'string' ? itemsBeside(features, 'features') : undefined;
}

/** Checks the names of the new rows, before anything is computed. */
async function checkItems(items: Items, fresh: MatrixLocation): Promise<void> {
  const reader = openRows(fresh);
  reader.close();
  const count = await items.count();
  if (count === reader.rowCount) return;
  throw new NaanError('BAD_SHAPE', `${items.name}: ${count} items, expected one for each of ${reader.rowCount} rows`);
}

/** The rows of the set as unit vectors, with room behind them for new ones; a row that cannot be used is all zeros. */
function loadKnown(location: MatrixLocation, rowCount: number, fresh: MatrixLocation): SharedRows {
  const [reader, other] = [openRows(location), openRows(fresh)];
  try {
    if (reader.rowCount !== rowCount) {
      throw new NaanError(
        'BAD_SHAPE',
        `${location.name}: ${reader.rowCount} rows, expected ${rowCount} as the run has labels`,
      );
    }
    if (reader.dim !== other.dim) {
      const expected = `expected ${reader.dim} as ${location.name}`;
      throw new NaanError('BAD_SHAPE', `${fresh.name}: features have dimension ${other.dim}, ${expected}`);
    }
    requireMemory(4 * rowCount * reader.dim, `${location.name}: ${rowCount} rows × ${reader.dim} as unit vectors`);
    const rows = SharedRows.allocate(rowCount + rowsAtOnce, reader.dim);
    const step = Math.max(1, Math.floor(2 ** 22 / reader.dim));
    for (let start = 0; start < rowCount; start += step) {
      rows.eachRun(start, Math.min(step, rowCount - start), (view, first) => {
        reader.read(first, view.length / reader.dim, view);
        for (let at = 0; at < view.length; at += reader.dim) {
          const row = view.subarray(at, at + reader.dim);
          try {
            normaliseRows(row, first + at / reader.dim, 1, reader.dim, location.name);
          } catch {
            row.fill(0); // it was left out of the run
          }
        }
      });
    }
    return rows;
  } finally {
    reader.close();
    other.close();
  }
}

function loadFresh(
  rows: SharedRows,
  at: number,
  reader: ReturnType<typeof openRows>,
  first: number,
  count: number,
  name: string,
): void {
  rows.eachRun(at, count, (view, start) => {
    const from = first + start - at;
    reader.read(from, view.length / reader.dim, view);
    normaliseRows(view, from, view.length / reader.dim, reader.dim, name);
  });
}

async function writeTable(
  path: string,
  items: Items | undefined,
  result: Pick<AssignResult, 'labels' | 'nearness' | 'margins'>,
) {
  const { labels, nearness, margins } = result;
  const line = (name: string, row: number) =>
    `${name},${labels[row]},${nearness[row].toFixed(6)},${margins[row].toFixed(6)}\n`;
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from('item,label,nearness,margin\n'));
    let done = 0;
    await items?.each(async (names, first) => {
      const own = names.slice(0, labels.length - first);
      await file.write(Buffer.from(own.map((name, i) => line(csvField(name), first + i)).join('')));
      done = first + names.length;
    });
    if (items && done !== labels.length) {
      throw new NaanError('BAD_SHAPE', `${items.name}: ${done} items, expected one for each of ${labels.length} rows`);
    }
    for (let row = done; row < labels.length; row += 4096) {
      const end = Math.min(labels.length, row + 4096);
      await file.write(Buffer.from(Array.from({ length: end - row }, (_, i) => line(`${row + i}`, row + i)).join('')));
    }
  });
}
