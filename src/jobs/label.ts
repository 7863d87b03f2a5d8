/** The main job, from files to pseudo-labels. */
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { methodOf, type Partition, type PartitionOptions, partitionDefaults } from '../cluster/partition.js';
import { relabel } from '../cluster/relabel.js';
import { expectedEdges } from '../engine/expected-edges.js';
import { checkGraph, type GraphCheck } from '../engine/graph-check.js';
import { columnsOf, type Head, type Hops, hopsFor, isKept } from '../engine/head.js';
import { type MemoryPlan, planMemory } from '../engine/memory-plan.js';
import { checkWidth, defaultBatch, type EngineOptions, ScoringRun, shardCount } from '../engine/scoring-run.js';
import { filesOf } from '../engine/storage.js';
import { featuresOf, type RowOptions, usableRows } from '../engine/usable-rows.js';
import type { WorkDir } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import { type KnnGraph, withWidth } from '../graph/knn-graph.js';
import { graphOfNodes, labelsOfRows, type NodeMap, pairsOfRows } from '../graph/node-map.js';
import { headOf } from '../heads/heads.js';
import { digestFile, fileState } from '../io/digest.js';
import { type FeatureSource, findSource } from '../io/feature-source.js';
import { parseInput } from '../io/input-file.js';
import type { Items } from '../io/item-list.js';
import { itemsBeside, openItems } from '../io/items.js';
import { readKnn } from '../io/knn.js';
import { labelTableName, writeLabelTable } from '../io/label-table.js';
import { writeLabelText } from '../io/labels.js';
import { inflate } from '../io/locate-matrix.js';
import { type FeatureLocation, type MatrixLocation, shapeOf } from '../io/matrix.js';
import { writeNpy } from '../io/npy-writer.js';
import { writeJson, writeTogether } from '../io/output-file.js';
import { isRecorded, readRecord, recordName, recordOutputs } from '../io/output-record.js';
import { checkOutputs, isOurGraph, isOurJson, type Output } from '../io/outputs.js';
import type { Precision } from '../memory/row-store.js';
import type { NaanModel } from '../model/model.js';
import { readModel } from '../model/model-file.js';
import { version } from '../version.js';

export interface LabelOptions extends Omit<EngineOptions, 'precision'>, RowOptions {
  readonly features: FeatureSource;
  /** Values a row of the features: needed for a raw file. */
  readonly dim?: number | undefined;
  /** kNN file, or a graph such as `findKnn` returns; default: it is found first, with as many neighbours as are looked at. */
  readonly knn?: string | KnnGraph | undefined;
  /** File (.npy) to keep a graph in that was found. */
  readonly saveKnn?: string | undefined;
  /** Model file, or a model. */
  readonly model: string | NaanModel;
  /** Names of the rows, as a file; default: those beside the features. With them `out` gets labels.csv. */
  readonly items?: string | undefined;
  /** Directory to write labels and run.json to; without it nothing is written. */
  readonly out?: string | undefined;
  /** Replace files in `out` that naan cannot tell it wrote, such as labels by hand. */
  readonly overwrite?: boolean | undefined;
  /** Neighbours of hop one and hop two; default: 20 and 10, or the model's where they are fewer. Not for head `pairwise`. */
  readonly kHops?: readonly [number, number] | undefined;
  /** Candidate edges go to this many nearest neighbours; default: 20, or the model's where it is less. */
  readonly sampleHops?: number | undefined;
  /** `refuse`, the default: a graph that is no graph of the features, as a sample of its lists says, is BAD_INPUT. */
  readonly graphCheck?: GraphCheck | undefined;
  /** Default: the one calibrated with the model, else `propagation`. */
  readonly partition?: Partition | undefined;
  /** Default: the threshold calibrated with the model for this partition, else 0.8. */
  readonly threshold?: number | undefined;
  readonly step?: number | undefined;
  readonly maxSize?: number | undefined;
  readonly maxIterations?: number | undefined;
  readonly start?: 'threshold' | 'all' | undefined;
  readonly leftovers?: 'components' | 'merge' | undefined;
  /**
   * Folder in which the run keeps rows and finished shards, so that it survives a crash: the same call goes on where it
   * stopped. Inputs must be files.
   */
  readonly workDir?: string | undefined;
  /** Bytes that the process may take; default: most of what is free. */
  readonly memory?: number | undefined;
  /** How rows are stored between stages; default `auto`: f32 where it fits in memory, else bf16. */
  readonly precision?: Precision | 'auto' | undefined;
  /** Hears what the run will keep where, before it starts. */
  readonly onPlan?: ((plan: MemoryPlan) => void) | undefined;
  /** Give up what `workDir` holds and start anew. */
  readonly restart?: boolean | undefined;
  /** Keep candidate edges and scores: in the result, and as files. */
  readonly saveEdges?: boolean | undefined;
  /** Where each option came from, for run.json. */
  readonly optionSources?: Readonly<Record<string, string>> | undefined;
  /** Hears what a user should know, such as rows that had to be normalised. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

/** By whom a setting was chosen: the caller, the calibration that is stored with the model, or neither. */
export type Origin = 'given' | 'calibrated' | 'default';

/** What `naan label --json` prints. */
export interface LabelSummary {
  /** Rows of the features. */
  readonly nodes: number;
  /** Rows that are copies of an earlier one and have its label. */
  readonly copies: number;
  /** Rows that cannot be used and were left out, labelled −1. */
  readonly badRows: number;
  /** Candidate edges, of copies one each. */
  readonly edges: number;
  readonly clusters: number;
  readonly singletons: number;
  /** Nodes without candidate edges, labelled −1. */
  readonly unlabelled: number;
  /** Nodes of the largest cluster. */
  readonly largest: number;
  /** How the kNN graph was found, where none was given: neighbours of a row, method, and recall on sampled rows. */
  readonly search?: { readonly k: number; readonly method: string; readonly recall: number };
  readonly partition: Partition;
  readonly partitionFrom: Origin;
  readonly threshold: number;
  readonly thresholdFrom: Origin;
  readonly seconds: { readonly total: number; readonly stages: Readonly<Record<string, number>> };
  readonly peakRssBytes: number;
}

export interface LabelResult {
  readonly summary: LabelSummary;
  /** Rows gathered from around the tiles for each row owned, over the stages that gather. */
  readonly haloFactor: number;
  /** Pseudo-label of each node, numbered by first appearance; −1 for none [n]. */
  readonly labels: Int32Array;
  /** With `saveEdges`: pairs a < b, sorted [E × 2], and the probability that they are one identity [E]. */
  readonly edges?: { readonly pairs: Int32Array; readonly scores: Float32Array };
}

const uncalibratedThreshold = 0.8;
/** Where lists lose entries because rows are no nodes of their own, they are read this many times as long. */
const longerLists = 2;

/**
 * Labels every node of a kNN graph: embeds nodes and scores candidate edges with a trained model (NAAN 2020), then cuts
 * the scored graph into clusters. Writes `<features>_labels.txt`, `_labels.npy`, run.json, and with `saveEdges`
 * `_edges.npy` and `_scores.npy` to `out`.
 *
 * Throws BAD_INPUT, BAD_SHAPE, BAD_MODEL or BAD_USAGE for what cannot be used or would be replaced, NOT_WRITABLE for
 * `out`, SHARD_FAILED when a shard fails twice, CANCELLED after an abort. Nothing is written unless all went well.
 */
export async function label(options: LabelOptions): Promise<LabelResult> {
  const began = performance.now();
  const stages: Record<string, number> = {};
  const timed = async <T>(stage: string, work: () => T | Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work();
    stages[stage] = (stages[stage] ?? 0) + (performance.now() - start) / 1000;
    options.signal?.throwIfAborted();
    return result;
  };

  let items = options.out === undefined ? undefined : await findItems(options);
  checkGraphOptions(options);
  if (options.out !== undefined) await checkFiles(options.out, options, items);
  const model = typeof options.model === 'string' ? await readModel(options.model) : options.model;
  const head = headOf(model);
  const found = await findFeatures(options, model, head);
  const hops = hopsFor(head, model, options);
  const partition = options.partition ?? model.config.partition ?? 'propagation';
  const calibrated = model.config.thresholds?.[partition] ?? model.config.threshold;
  const ladder: PartitionOptions = {
    threshold: options.threshold ?? calibrated ?? uncalibratedThreshold,
    absentPairs: model.config.absentPairs ?? 'room',
    step: options.step ?? partitionDefaults.step,
    maxSize: options.maxSize ?? partitionDefaults.maxSize,
    maxIterations: options.maxIterations ?? partitionDefaults.maxIterations,
    start: options.start ?? partitionDefaults.start,
    leftovers: options.leftovers ?? partitionDefaults.leftovers,
  };
  // Components of these edges are made while scoring.
  const uniteFrom = methodOf(partition).uniteFrom(ladder);

  const columns = columnsOf(hops);
  const { threads = availableParallelism(), batch = defaultBatch, workDir, saveEdges } = options;
  const { rowCount: nodes, dim } = shapeOf(found);
  if (items && !(await fitsRows(items, nodes, found.name, options))) items = undefined;
  const { sampleHops } = hops;
  const edges = options.knn === undefined ? nodes * sampleHops : await expectedEdges(options.knn, nodes, sampleHops);
  const deflated = found.kind === 'deflated' ? found.name : undefined;
  const shape = { model, head, nodes, dim, deflated, columns, edges, partition, threads, batch, saveEdges };
  const planned = { ...shape, search: options.knn === undefined };
  const plan = planMemory(planned, options);
  options.onPlan?.(plan);
  const features = await timed('read', () => inflate(found, plan.parts.features));
  const searched = options.knn === undefined && (await timed('knn', () => searchGraph(options, features, columns)));
  const graphed = searched ? { ...options, knn: searched.knn } : (options as GraphedOptions);
  const stored = { hops, plan, model, head, nodes, threads, batch };
  const work = workDir === undefined ? undefined : await openWork(workDir, graphed, stored);
  const precision = work?.header.precision ?? plan.precision;
  let run: ScoringRun;
  try {
    run = new ScoringRun({ ...options, model, head, hops, work, precision });
  } catch (error) {
    await work?.close();
    throw error;
  }
  try {
    const graph = await timed('read', async () => {
      const found = await findGraph(graphed, features, columns);
      checkWidth(found, head, hops, typeof graphed.knn === 'string' ? graphed.knn : undefined);
      return found.width < columns ? withWidth(found, columns) : found;
    });
    work?.checkGraph(graph.ids);
    const inputs = describeInputs(graphed);
    inputs.catch(() => {}); // it is awaited when the results are written
    const { layout, map } = await timed('order', async () => {
      // Rows are looked at by threads that the order leaves idle. Where some are no nodes, it is found anew.
      const [layout, survey] = await allDone([
        run.layOut(graph),
        run.survey(features, options.duplicates !== 'keep'),
        checkedGraph(graphed, features, graph),
      ]);
      const map = usableRows(features, survey, options);
      if (map === undefined) return { layout, map };
      const longer = await findGraph(graphed, features, longerLists * columns);
      return { layout: await run.layOut(graphOfNodes(longer, map, columns)), map };
    });
    await run.score({ features: featuresOf(features, map), layout, uniteFrom });
    options.signal?.throwIfAborted();
    Object.assign(stages, run.seconds);
    const normalised = run.counters.total('rowsNormalised');
    if (normalised > 0) {
      options.onNotice?.(`${features.name}: ${normalised} rows were not unit vectors and were normalised`);
    }
    const labels = await timed('partition', async () => ofRows(await run.cut(partition, ladder), map));
    const edges = options.saveEdges
      ? await timed('pairs', async () => {
          const pairs = await run.sortedPairs();
          return map ? pairsOfRows(pairs, map) : pairs;
        })
      : undefined;

    const counts = countClusters(labels);
    const copies = map?.copies ?? 0;
    const summary = (): LabelSummary => ({
      nodes,
      copies,
      badRows: map === undefined ? 0 : nodes - map.rows.length - copies,
      edges: run.edges.targets.length + copies,
      ...counts,
      ...(searched && { search: searched.search }),
      partition,
      partitionFrom: originOf(options.partition, model.config.partition),
      threshold: ladder.threshold,
      thresholdFrom: originOf(options.threshold, calibrated),
      seconds: { total: (performance.now() - began) / 1000, stages },
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    });
    await work?.checkOwned();
    if (options.out !== undefined) {
      const before = readRecord(options.out);
      await writeTogether(
        options.out,
        async (folder) => {
          const record = await timed('write', async () => {
            await writeResults(folder, options, labels, edges);
            if (items) await writeLabelTable(join(folder, labelTableName), items, labels);
            return recordOutputs(folder, outputNames(options, items), before);
          });
          await writeJson(join(folder, recordName), {
            naan: version,
            node: process.version,
            options: {
              ...describeOptions(graphed, items),
              ...ladder,
              partition,
              k1: hops.k1,
              k2: hops.k2,
              sampleHops: hops.sampleHops,
            },
            ...(options.optionSources && { optionSources: options.optionSources }),
            engine: {
              ...{ threads: run.threads, shards: run.shardCount, ...run.backend },
              ...(run.devices && { devices: run.devices.summary() }),
              // Rows that tiles copied from their halos, for each node: each stage that gathers costs at least 1.
              rowsGatheredPerNode: run.counters.total('rowsGathered') / layout.graph.nodeCount,
              haloFactor: run.haloFactor,
              busy: run.busy,
              busyShare: busyShare(run),
            },
            plan,
            inputs: await inputs,
            ...record,
            model: { ...model.config },
            ...summary(),
          });
        },
        recordName,
      );
    }
    await work?.finish();
    return {
      summary: summary(),
      haloFactor: run.haloFactor,
      labels,
      ...(edges ? { edges } : {}),
    };
  } catch (error) {
    if (work?.lost) throw work.lost;
    if (options.signal?.aborted) throw new NaanError('CANCELLED', 'cancelled', { cause: error });
    throw error;
  } finally {
    await run.close();
  }
}

interface StoredRun {
  readonly hops: Hops;
  readonly plan: MemoryPlan;
  readonly model: NaanModel;
  readonly head: Head;
  readonly nodes: number;
  readonly threads: number;
  readonly batch: number;
}

/** The work directory, with what its values depend on. */
async function openWork(path: string, options: GraphedOptions, run: StoredRun): Promise<WorkDir> {
  const { WorkDir, workHeader } = await import('../engine/work-dir.js');
  const { model, head, nodes } = run;
  const { k1, k2, sampleHops } = run.hops;
  const { precision, diskBytes } = run.plan;
  const { restart = false, signal, onNotice } = options;
  const { backend = 'auto', duplicates = 'collapse', badRows = 'refuse' } = options;
  const identity: Record<string, unknown> = { k1, k2, sampleHops, backend, duplicates, badRows };
  if (options.provider !== undefined && options.provider !== 'auto') identity.provider = options.provider;
  if (options.precision !== undefined && options.precision !== 'auto') identity.precision = precision;
  for (const [name, input] of Object.entries({ features: options.features, knn: options.knn, model: options.model })) {
    if (typeof input !== 'string') throw new NaanError('BAD_USAGE', `work-dir: ${name} in memory, expected a file`);
    const { sampledSha256 } = await digestFile(input, { whole: name === 'model' });
    const { member } = parseInput(input);
    identity[name] = member === undefined ? sampledSha256 : `${sampledSha256} ${member}`;
  }
  const shards = shardCount(nodes, { ...run, shards: options.shards });
  const kept = head.stages(model.config).filter(isKept);
  const stages = kept.map(({ name, round }) => [name, round] as const);
  const files = [...new Set(kept.flatMap(filesOf))];
  const header = workHeader({ identity, nodes, precision, shards, stages, files });
  const state = await fileState(options.features as string);
  const work = await WorkDir.open(path, header, { restart, diskBytes, features: state, signal, onNotice });
  if (work.resumed) {
    const all = work.header.stages.length * work.header.shards;
    onNotice?.(`${path}: goes on with the run of ${work.header.started}: ${work.doneCount} of ${all} shards are done`);
  }
  return work;
}

function originOf(given: unknown, calibrated: unknown): Origin {
  if (given !== undefined) return 'given';
  return calibrated !== undefined ? 'calibrated' : 'default';
}

/** Part of the threads' time, over the sharded stages, that they spent working. */
function busyShare(run: ScoringRun): number {
  const elapsed = Object.values(run.seconds).reduce((sum, seconds) => sum + seconds, 0);
  return run.counters.total('busySeconds') / (elapsed * run.threads);
}

async function findFeatures(
  { features, dim, model: source }: LabelOptions,
  { config }: NaanModel,
  head: Head,
): Promise<FeatureLocation> {
  const expected = head.dimOf(config);
  // A raw file that goes by its usual name is what the model expects.
  const isBin = typeof features === 'string' && features.endsWith('.bin');
  const location = await findSource(features, dim ?? (isBin ? expected : undefined));
  const { dim: got } = shapeOf(location);
  if (expected !== undefined && got !== expected) {
    const name = typeof source === 'string' ? source : 'the model';
    throw new NaanError(
      'BAD_SHAPE',
      `${location.name}: features have dimension ${got}, but ${name} expects ${expected}`,
    );
  }
  return location;
}

async function findGraph(options: GraphedOptions, features: MatrixLocation, columns: number): Promise<KnnGraph> {
  const { rowCount } = shapeOf(features);
  if (typeof options.knn === 'string') {
    return readKnn(options.knn, { nodeCount: rowCount, columns, onProgress: options.onProgress });
  }
  if (options.knn.nodeCount !== rowCount) {
    throw new NaanError(
      'BAD_SHAPE',
      `the kNN graph has ${options.knn.nodeCount} rows, but there are ${rowCount} features`,
    );
  }
  return options.knn;
}

/** Labels of rows from those of nodes. */
function ofRows(labels: Int32Array, map: NodeMap | undefined): Int32Array {
  if (map === undefined) return labels;
  const all = labelsOfRows(labels, map);
  relabel(all);
  return all;
}

/** Resolves when all have ended, and so may be followed by an end of the threads that they use. */
async function allDone<T extends readonly unknown[]>(work: { readonly [I in keyof T]: Promise<T[I]> }): Promise<T> {
  await Promise.allSettled(work);
  return (await Promise.all(work)) as unknown as T;
}

async function checkedGraph(options: GraphedOptions, features: MatrixLocation, graph: KnnGraph): Promise<void> {
  const { knn, graphCheck = 'refuse', onNotice } = options;
  if (graphCheck === 'skip') return;
  checkGraph(features, { name: typeof knn === 'string' ? knn : 'the kNN graph', graph }, onNotice);
}

function countClusters(labels: Int32Array) {
  let clusters = 0;
  let unlabelled = 0;
  for (const id of labels) {
    if (id < 0) unlabelled++;
    else if (id >= clusters) clusters = id + 1;
  }
  const sizes = new Int32Array(clusters);
  for (const id of labels) if (id >= 0) sizes[id]++;
  let singletons = 0;
  let largest = 0;
  for (const size of sizes) {
    if (size === 1) singletons++;
    if (size > largest) largest = size;
  }
  return { clusters, singletons, unlabelled, largest };
}

/** Before anything is computed: labels replace neither inputs nor files that are not ours. */
async function checkFiles(out: string, options: LabelOptions, items: Items | undefined): Promise<void> {
  const { features, knn, model, overwrite } = options;
  const files: Output[] = outputNames(options, items).map((name) => ({
    name: 'out',
    path: join(out, name),
    isOurs: isRecorded,
    otherwise: 'naan did not write it, or it was changed since',
  }));
  files.push({ name: 'out', path: join(out, recordName), isOurs: isOurJson, otherwise: 'naan did not write it' });
  if (options.saveKnn !== undefined) {
    files.push({ name: 'save-knn', path: options.saveKnn, isOurs: isOurGraph, otherwise: 'is no kNN graph' });
  }
  await checkOutputs(files, { features, knn, model, items: options.items }, overwrite);
}

const edgeSuffixes = ['_edges.npy', '_scores.npy'];

/** Files of the result, run.json aside. */
function outputNames(options: LabelOptions, items?: Items): string[] {
  const suffixes = ['_labels.txt', '_labels.npy', ...(options.saveEdges ? edgeSuffixes : [])];
  const names = suffixes.map((suffix) => outputStem(options) + suffix);
  return items ? [...names, labelTableName] : names;
}

type GraphedOptions = LabelOptions & { readonly knn: string | KnnGraph };

/** A graph that is found needs a file to be in where the run must survive a crash, and only one that is found is kept. */
function checkGraphOptions({ knn, saveKnn, workDir }: LabelOptions): void {
  if (knn !== undefined && saveKnn !== undefined) {
    throw new NaanError('BAD_USAGE', 'save-knn: keeps a graph that is found, but knn gives one: leave one of them out');
  }
  if (knn === undefined && saveKnn === undefined && workDir !== undefined) {
    throw new NaanError('BAD_USAGE', 'work-dir: the kNN graph must be in a file: give save-knn, or a graph with knn');
  }
}

/** Finds the graph of the features; `saveKnn` gets it, and then stands for it. What there is to say of rows the run says. */
async function searchGraph(options: LabelOptions, features: MatrixLocation, columns: number) {
  const { findKnn } = await import('../knn/find.js');
  const { signal, onProgress, threads, duplicates, badRows, saveKnn } = options;
  const k = Math.min(columns, shapeOf(features).rowCount) - 1;
  const found = await findKnn(features, { k, signal, onProgress, threads, duplicates, badRows });
  const { graph, method, recall } = found;
  if (saveKnn !== undefined) await writeNpy(saveKnn, 'i4', [graph.nodeCount, graph.width], graph.ids);
  return { knn: saveKnn ?? graph, search: { k, method, recall } };
}

/** Names of the rows as asked, else those beside the features. */
async function findItems({ items, features }: LabelOptions): Promise<Items | undefined> {
  if (items !== undefined) return openItems(items);
  return typeof features === 'string' ? itemsBeside(features, 'features') : undefined;
}

async function writeResults(
  out: string,
  options: LabelOptions,
  labels: Int32Array,
  edges: LabelResult['edges'],
): Promise<void> {
  const [text, binary, pairs, scores] = outputNames(options).map((name) => join(out, name));
  await writeLabelText(text, labels);
  await writeNpy(binary, 'i8', [labels.length], labels);
  if (!edges) return;
  await writeNpy(pairs, 'i4', [edges.scores.length, 2], edges.pairs);
  await writeNpy(scores, 'f4', [edges.scores.length], edges.scores);
}

/** `split1` for split1_feats.npz. */
function outputStem({ features }: LabelOptions): string {
  if (typeof features !== 'string') return 'features';
  return basename(parseInput(features).path)
    .replace(/\.[^.]+$/, '')
    .replace(/[_-]feat(ure)?s$/, '');
}

/** Whether there is a name for each row. Names that were asked for must fit: BAD_SHAPE; others are left aside, told. */
async function fitsRows(items: Items, rowCount: number, features: string, options: LabelOptions): Promise<boolean> {
  const count = await items.count();
  if (count === rowCount) return true;
  const got = `${items.name}: ${count} items`;
  const expected = `${rowCount} as ${features} has rows`;
  if (options.items !== undefined) throw new NaanError('BAD_SHAPE', `${got}, expected ${expected}`);
  options.onNotice?.(`${got}, not ${expected}: they are not taken for names of the rows`);
  return false;
}

function describeOptions(options: GraphedOptions, items: Items | undefined) {
  const { features, knn, model, out, backend, provider, batch, saveEdges } = options;
  const named = (value: unknown) => (typeof value === 'string' ? value : 'in memory');
  return {
    features: named(features),
    knn: named(knn),
    model: named(model),
    items: items?.name,
    out,
    backend: backend ?? 'auto',
    provider,
    batch,
    saveEdges: saveEdges === true,
  };
}

/** Of what is written alone: without `out` nothing. */
async function describeInputs({ features, knn, model, items, out }: GraphedOptions) {
  if (out === undefined) return [];
  const paths = [features, knn, model, items].filter((input) => typeof input === 'string');
  return Promise.all(paths.map((path) => digestFile(path)));
}
