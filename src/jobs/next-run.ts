/**
 * A run that goes on from another: of the same rows but for some that joined or left. The rows, their names, the graph and all scores of each round go
 * to the folder of the new run, so that it needs nothing of the one before and can be gone on from itself.
 *
 * The graph becomes what a search over all rows finds (`knn/update.ts`), its edges those of before but for what changed lists bring and take
 * (`graph/edges-after.ts`); only what depends on lists that changed is scored (`Head.rescore`); clusters keep their identities as with `previous`.
 */
import { existsSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { methodOf, type Partition, partitions } from '../cluster/partition.js';
import { clustersOf } from '../cluster/relabel.js';
import { columnsOf, hopsFor } from '../engine/head.js';
import { surveyPlan } from '../engine/survey.js';
import { featuresOf, usableRows } from '../engine/usable-rows.js';
import { NaanError } from '../errors.js';
import { runPlan } from '../execution/plan.js';
import { edgesAfter } from '../graph/edges-after.js';
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import { graphOfRows, type NodeMap } from '../graph/node-map.js';
import { headOf } from '../heads/heads.js';
import { readFloat32Array } from '../io/arrays.js';
import { locateSource } from '../io/feature-source.js';
import type { Items } from '../io/item-list.js';
import { readKnn } from '../io/knn.js';
import { csvField } from '../io/label-table.js';
import { type MatrixLocation, openRows, type RowReader, shapeOf } from '../io/matrix.js';
import { quoted } from '../io/messages.js';
import { writeNpy } from '../io/npy-writer.js';
import { writeOutput } from '../io/output-file.js';
import { isRecorded, readRecord, readRun } from '../io/output-record.js';
import { checkNewFolder } from '../io/outputs.js';
import { readScoredPairs } from '../io/scored-pairs.js';
import { unitRows } from '../knn/unit-rows.js';
import { type UpdatedKnn, updateKnn } from '../knn/update.js';
import { requireMemory } from '../memory/available.js';
import { readModel } from '../model/model-file.js';
import type { ProgressListener } from '../progress.js';
import { type LabelResult, labelFrom } from './label.js';
import type { Continuation, LabelOptions } from './label-plan.js';
import { filesOfRun, type PreviousRun, readPreviousRun } from './previous-run.js';
import { checkUnchanged, factsOf, fileOf, type RunFacts } from './run-inputs.js';

/** The options that `add` and `remove` share. */
export interface NextRunOptions {
  /** Folder of the run to go on from: what `label`, `add` or `remove` wrote. */
  readonly run: string;
  /** Folder of the new run, which must not be there yet, or be empty. */
  readonly out: string;
  /** Features, kNN graph and model of the run; default: where run.json says they are. */
  readonly known?: string | undefined;
  readonly knn?: string | undefined;
  readonly model?: string | undefined;
  /** Values a row of the features: needed for a raw file. */
  readonly dim?: number | undefined;
  readonly cannotLinkWithin?: string | undefined;
  readonly threads?: number | undefined;
  readonly commandLine?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface NextRunSummary {
  /** Rows before, and those that joined and left. */
  readonly before: number;
  readonly joined: number;
  readonly left: number;
  /** Rows that were compared with all others, and rows of other lists that changed. */
  readonly searched: number;
  readonly displaced: number;
}

export interface NextRunResult extends LabelResult {
  readonly change: NextRunSummary;
}

/** The run that is gone on from. */
export interface OpenedRun {
  readonly facts: RunFacts;
  readonly previous: PreviousRun;
  readonly features: MatrixLocation;
  readonly files: { readonly known: string; readonly knn: string; readonly model: string };
}

/** Throws BAD_INPUT or BAD_SHAPE for a run that lacks what is needed, or whose files are not those of the run. */
export async function openRun(options: NextRunOptions): Promise<OpenedRun> {
  const { run } = options;
  await checkNewFolder('out', options.out);
  const facts = factsOf(run);
  const files = {
    known: fileOf(options.known ?? facts.features, 'known', 'features', run),
    knn: fileOf(options.knn ?? facts.knn, 'knn', 'kNN graph', run, ': naan label --save-knn keeps one'),
    model: fileOf(options.model ?? facts.model, 'model', 'model', run),
  };
  for (const file of [files.known, files.knn, files.model, filesOfRun(run).labels]) await checkUnchanged(run, file);
  const features = await locateSource(files.known, options.dim);
  const previous = await readPreviousRun(run);
  const { rowCount } = shapeOf(features);
  if (rowCount !== previous.labels.length) {
    const expected = `expected ${previous.labels.length} as ${run} has labels`;
    throw new NaanError('BAD_SHAPE', `${features.name}: ${rowCount} rows, ${expected}`);
  }
  return { facts, previous, features, files };
}

/** The rows of the new run. */
export interface RowChange {
  /** Number in the run before of each row that stays, rising. */
  readonly stays: Int32Array;
  /** Rows that join, behind those. */
  readonly fresh?: { readonly features: MatrixLocation; readonly items: Items | undefined };
  /** Decisions for the new run. */
  readonly constraints?: string | undefined;
}

const featuresName = 'features.npy';
const graphName = 'knn.npy';
const itemsName = 'items.csv';

/** Labels the changed set into `out`. Throws as `label`; of what was begun in `out` nothing is left then. */
export async function nextRun(opened: OpenedRun, change: RowChange, options: NextRunOptions): Promise<NextRunResult> {
  const { out, run, signal, onProgress, onNotice, threads } = options;
  const { facts, previous, files } = opened;
  const paths = { features: join(out, featuresName), knn: join(out, graphName), items: join(out, itemsName) };
  const hasItems = previous.items !== undefined;
  try {
    await writeRows(paths.features, opened.features, change);
    if (hasItems) await writeItems(paths.items, previous.items!, change);
    const updated = await updateGraph(paths, opened, change, options);
    const headTakesHops = headOf(await readModel(files.model)).takesHops;
    const partition = partitions.includes(facts.partition as Partition) ? (facts.partition as Partition) : undefined;
    const taken = partition ? methodOf(partition).takes : [];
    const ladder = Object.fromEntries(taken.map((name) => [name, facts[name]]));
    const label: LabelOptions = {
      ...ladder,
      features: paths.features,
      knn: paths.knn,
      model: files.model,
      items: hasItems ? paths.items : undefined,
      previous: run,
      out,
      partition,
      threshold: facts.threshold,
      kHops: headTakesHops ? facts.hops : undefined,
      sampleHops: facts.sampleHops,
      ...rowOptions(facts),
      minSize: facts.minSize as number | undefined,
      minTrust: facts.minTrust as number | undefined,
      trust: facts.trust === true,
      report: facts.report as boolean | undefined,
      constraints: change.constraints,
      cannotLinkWithin: options.cannotLinkWithin,
      saveEdges: true,
      saveRounds: true,
      // Its lists are those of the run before, or were just found.
      graphCheck: 'skip',
      threads,
      commandLine: options.commandLine,
      signal,
      onProgress,
      onNotice,
    };
    const { earlier, before } = earlierRows(previous, change);
    const { known, survey, graph, ...counts } = updated;
    const model = readRun(run)?.model;
    const result = await labelFrom(label, { previous: { earlier, before }, model, known, survey, graph });
    return {
      ...result,
      change: {
        before: previous.labels.length,
        joined: before.length - change.stays.length,
        left: previous.labels.length - change.stays.length,
        ...counts,
      },
    };
  } catch (error) {
    removeBegun(out);
    throw error;
  }
}

/** Removes the files that a run which fails has begun to write. */
export function removeBegun(out: string): void {
  for (const name of [featuresName, graphName, itemsName, 'decisions.jsonl']) rmSync(join(out, name), { force: true });
  try {
    if (existsSync(out)) rmdirSync(out);
  } catch {
    // Something else is in it.
  }
}

function rowOptions({ duplicates, badRows }: RunFacts) {
  return {
    duplicates: duplicates === 'keep' ? ('keep' as const) : ('collapse' as const),
    badRows: badRows === 'skip' ? ('skip' as const) : ('refuse' as const),
  };
}

function earlierRows({ labels, highest }: PreviousRun, { stays, fresh }: RowChange) {
  const { clusterOf, ids, sizes } = clustersOf(labels);
  const before = new Int32Array(stays.length + (fresh ? shapeOf(fresh.features).rowCount : 0)).fill(-1);
  for (let row = 0; row < stays.length; row++) before[row] = clusterOf[stays[row]];
  return { earlier: { ids, sizes, highest }, before };
}

const valuesAtOnce = 2 ** 20;

/** Rows as they are stored, as float32. */
async function writeRows(path: string, features: MatrixLocation, { stays, fresh }: RowChange): Promise<void> {
  const { dim } = shapeOf(features);
  const parts: MatrixLocation[] = [{ kind: 'some', name: features.name, of: features, rows: stays }];
  if (fresh) parts.push(fresh.features);
  for (const part of parts) {
    if (shapeOf(part).dim === dim) continue;
    const expected = `expected ${dim} as ${features.name}`;
    throw new NaanError('BAD_SHAPE', `${part.name}: features have dimension ${shapeOf(part).dim}, ${expected}`);
  }
  const rowCount = parts.reduce((sum, part) => sum + shapeOf(part).rowCount, 0);
  await writeNpy(path, 'f4', [rowCount, dim], async (append) => {
    for (const part of parts) await eachWindow(part, append);
  });
}

async function eachWindow(location: MatrixLocation, visit: (rows: Float32Array) => Promise<void>): Promise<void> {
  const reader: RowReader = openRows(location);
  const { rowCount, dim } = reader;
  try {
    const step = Math.max(1, Math.floor(valuesAtOnce / dim));
    for (let start = 0; start < rowCount; start += step) {
      const rows = new Float32Array(Math.min(step, rowCount - start) * dim);
      reader.read(start, rows.length / dim, rows);
      await visit(rows);
    }
  } finally {
    reader.close();
  }
}

async function writeItems(path: string, items: Items, { stays, fresh }: RowChange): Promise<void> {
  await writeOutput(path, async (file) => {
    const write = (names: readonly string[]) =>
      file.write(Buffer.from(names.map((name) => `${csvField(name)}\n`).join('')));
    await file.write(Buffer.from('item\n'));
    let next = 0;
    await items.each(async (names, first) => {
      const kept: string[] = [];
      for (; next < stays.length && stays[next] < first + names.length; next++) kept.push(names[stays[next] - first]);
      await write(kept);
    });
    await fresh?.items?.each(write);
  });
}

type Paths = Readonly<Record<'features' | 'knn' | 'items', string>>;

/** Writes the graph of the changed set. Its rows in memory are done with when it returns. */
async function updateGraph(
  paths: Paths,
  { facts, files, features, previous }: OpenedRun,
  { stays }: RowChange,
  { run, threads, signal, onProgress, onNotice }: NextRunOptions,
): Promise<UpdatedKnn & Pick<Continuation, 'known' | 'survey'>> {
  const now = await locateSource(paths.features);
  const options = rowOptions(facts);
  const survey = runPlan(surveyPlan(now, options.duplicates !== 'keep', 1));
  const map = usableRows(now, survey, options);
  const rows = unitRows(featuresOf(now, map));
  const model = await readModel(files.model);
  const head = headOf(model);
  const hops = hopsFor(head, model, { kHops: facts.hops, sampleHops: facts.sampleHops });
  const columns = columnsOf(hops);
  const old = await readKnn(files.knn, { nodeCount: previous.labels.length, onProgress });
  const numbers = numbersOf(previous.labels.length, stays, map);
  const longest = Math.max(old.width, columns) - 1;
  requireMemory(4 * rows.rowCount * (longest + 1), `${run}: lists of ${longest} neighbours`);
  const k = Math.min(longest, rows.rowCount - 1);
  const lists = listsBefore(old, numbers, {
    nodeCount: rows.rowCount,
    width: longest + 1,
    isNew: newNodes(old, stays, map, features),
  });
  const { graph, searched, displaced } = await updateKnn(rows, lists, { k, threads, signal, onProgress });
  const rowCount = shapeOf(now).rowCount;
  const ofRows = map ? graphOfRows(graph, map, Math.min(longest, rowCount - 1) + 1) : graph;
  await writeNpy(paths.knn, 'i4', [ofRows.nodeCount, ofRows.width], ofRows.ids);
  const rounds = head.stages(model.config).filter(({ name }) => name === 'score').length;
  const scores = head.rescore && columns - 1 <= k ? await scoresBefore(run, previous.labels.length, rounds) : undefined;
  if (scores === undefined) {
    onNotice?.(
      `${run}: does not have the scores of all rounds, as naan add keeps them: all edges are scored this once`,
    );
    return { graph, survey, searched, displaced, known: undefined };
  }
  const pairs = scores.pairs.map((row) => numbers[row]);
  const after = edgesAfter(graph, { lists, pairs, rounds: scores.rounds }, { columns, sampleHops: hops.sampleHops });
  return { graph, survey, searched, displaced, known: { ...after, graph, lists } };
}

/** The node of today of each row of the run before, −1 for a row that has left or is no node. */
function numbersOf(rowsBefore: number, stays: Int32Array, map: NodeMap | undefined): Int32Array {
  const numbers = new Int32Array(rowsBefore).fill(-1);
  for (let row = 0; row < stays.length; row++) numbers[stays[row]] = map ? map.nodeOf[row] : row;
  return numbers;
}

/**
 * Nodes without a list of before: rows that joined, and of copies the first that stays where the one before it has left, as its list was
 * kept with that [m].
 */
function newNodes(old: KnnGraph, stays: Int32Array, map: NodeMap | undefined, features: MatrixLocation): Uint8Array {
  const rowCount = map ? map.rows.length : undefined;
  const reader = openRows(features);
  const [one, other] = [new Float32Array(reader.dim), new Float32Array(reader.dim)];
  const stayed = new Uint8Array(old.nodeCount);
  for (const row of stays) stayed[row] = 1;
  const isCopyOfOneThatLeft = (row: number) => {
    const first = old.width > 1 ? old.ids[row * old.width + 1] : -1;
    if (first < 0 || first > row || stayed[first] === 1) return false;
    reader.read(row, 1, one);
    reader.read(first, 1, other);
    return Buffer.from(one.buffer).equals(Buffer.from(other.buffer));
  };
  try {
    const isNew = new Uint8Array(rowCount ?? Math.max(stays.length, 0));
    for (let node = 0; node < isNew.length; node++) {
      const row = map ? map.rows[node] : node;
      if (row >= stays.length || isCopyOfOneThatLeft(stays[row])) isNew[node] = 1;
    }
    return isNew;
  } finally {
    reader.close();
  }
}

/** The lists of before, by the nodes of today: see `KnownScores`. */
function listsBefore(
  old: KnnGraph,
  numbers: Int32Array,
  { nodeCount, width, isNew }: { nodeCount: number; width: number; isNew: Uint8Array },
): KnnGraph {
  const lists = allocateKnnGraph(nodeCount, width);
  const { ids } = lists;
  const { ids: oldIds, width: oldWidth } = old;
  const listedBy = new Int32Array(nodeCount).fill(-1);
  for (let row = 0; row < numbers.length; row++) {
    const node = numbers[row];
    const start = node * width;
    // Where rows are copies of each other, the first has the list.
    if (node < 0 || isNew[node] === 1 || ids[start] >= 0) continue;
    ids[start] = node;
    listedBy[node] = node;
    let filled = 1;
    const end = (row + 1) * oldWidth;
    for (let at = row * oldWidth + 1; at < end && oldIds[at] >= 0; at++) {
      const other = numbers[oldIds[at]];
      if (other >= 0) {
        if (listedBy[other] === node) continue;
        listedBy[other] = node;
      }
      ids[start + filled++] = other;
    }
  }
  return lists;
}

/** The scores that the run kept; undefined unless it kept those of all rounds. Throws BAD_INPUT when they are not as they were written. */
async function scoresBefore(run: string, rowCount: number, rounds: number) {
  const names = readRecord(run).outputs.map(({ name }) => name);
  const files = ['_edges.npy', '_scores.npy', '_rounds.npy'].map((suffix) =>
    names.find((name) => name.endsWith(suffix)),
  );
  if (files.some((name) => name === undefined || !existsSync(join(run, name)))) return undefined;
  const [edges, last, earlier] = files.map((name) => join(run, name!));
  for (const file of [edges, last, earlier]) {
    if (await isRecorded(file)) continue;
    throw new NaanError('BAD_INPUT', `${file}: is not as naan wrote it, expected what run.json beside it says`);
  }
  const { pairs, scores } = await readScoredPairs(edges, last, rowCount);
  const { shape, data } = await readFloat32Array(earlier, 'rounds');
  if (shape[0] !== rounds - 1 || data.length !== (rounds - 1) * scores.length) return undefined;
  const each = Array.from({ length: rounds - 1 }, (_, round) =>
    data.subarray(round * scores.length, (round + 1) * scores.length),
  );
  return { pairs, rounds: [...each, scores] };
}

/** Throws BAD_USAGE unless rows that join have names just where the run has, BAD_SHAPE unless each has one. */
export async function checkItems(previous: PreviousRun, items: Items | undefined, rowCount: number): Promise<void> {
  if ((previous.items !== undefined) !== (items !== undefined)) {
    const which = items ? 'the run has no names of rows' : 'the run has names of its rows';
    throw new NaanError('BAD_USAGE', `items: ${which}, expected names of both or of none`);
  }
  const count = await items?.count();
  if (count === undefined || count === rowCount) return;
  throw new NaanError('BAD_SHAPE', `${items!.name}: ${count} items, expected one for each of ${rowCount} rows`);
}

/** A column of names that the new run does not have must be given again. */
export function cannotLinkOf({ cannotLinkWithin }: RunFacts, given: string | undefined): string | undefined {
  if (given !== undefined || cannotLinkWithin === undefined) return given;
  throw new NaanError(
    'BAD_USAGE',
    `cannot-link-within: the run was made with ${quoted(String(cannotLinkWithin))}: give FILE:COLUMN with a value for each row of the new run`,
  );
}
