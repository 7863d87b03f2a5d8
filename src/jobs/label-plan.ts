/** The plan of a labelling run, settled once from options, model and inputs before anything is computed. */

import { availableCores } from '../cgroup.js';
import { constraintBytes } from '../cluster/constraints.js';
import { methodOf, type Partition, type PartitionOptions } from '../cluster/partition.js';
import type { LeavingOut } from '../cluster/trust.js';
import { labelDefaults, partitionDefaults } from '../defaults.js';
import { expectedEdges } from '../engine/expected-edges.js';
import type { GraphCheck } from '../engine/graph-check.js';
import { columnsOf, type Head, type Hops, hopsFor } from '../engine/head.js';
import type { KnownScores } from '../engine/known-scores.js';
import { type MemoryPlan, planMemory } from '../engine/memory-plan.js';
import type { EngineOptions } from '../engine/scoring-run.js';
import type { Survey } from '../engine/survey.js';
import type { RowOptions } from '../engine/usable-rows.js';
import { NaanError } from '../errors.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { headOf } from '../heads/heads.js';
import { type FeatureSource, findSource } from '../io/feature-source.js';
import type { Items } from '../io/item-list.js';
import { itemsBeside, openItems } from '../io/items.js';
import { type FeatureLocation, shapeOf } from '../io/matrix.js';
import type { KnnPlan } from '../knn/plan.js';
import type { CoordinatorObserver } from '../machines/task-observer.js';
import type { Precision } from '../memory/row-store.js';
import { generalModel } from '../model/general.js';
import type { ModelConfig, NaanModel } from '../model/model.js';
import { readModel } from '../model/model-file.js';
import { checkCluster } from './cluster-options.js';
import {
  type ConstraintOptions,
  constraintsOf,
  type DecidedNodes,
  type DecidedRows,
  itemsFileOf,
  readDecidedRows,
} from './decided-rows.js';
import { checkFiles } from './label-files.js';
import { type EarlierRows, matchRows, readPreviousRun } from './previous-run.js';

export interface LabelOptions extends Omit<EngineOptions, 'precision'>, RowOptions, ConstraintOptions, LeavingOut {
  readonly features: FeatureSource;
  /** Values a row of the features: needed for a raw file. */
  readonly dim?: number | undefined;
  /** kNN file, or a graph such as `findKnn` returns; default: it is found first, with as many neighbours as are looked at. */
  readonly knn?: string | KnnGraph | undefined;
  /** File (.npy) to keep a graph in that was found. */
  readonly saveKnn?: string | undefined;
  /** Model file, or a model; default: the general model that comes with naan. */
  readonly model?: string | NaanModel | undefined;
  /** Names of the rows, as a file; default: those beside the features. With them `out` gets labels.csv. */
  readonly items?: string | undefined;
  /** Folder of an earlier run whose identities are kept: clusters have the label of the earlier one that they share the most rows with. */
  readonly previous?: string | undefined;
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
  /** Default: the threshold calibrated with the model for this partition; 0.8 with a model that is not calibrated. */
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
  /** Share the run with other machines that see `workDir`: `files` for ranks, `redis://host` for workers that come and go. */
  readonly cluster?: string | undefined;
  /** With `redis://`: the password, or a file that has it, and the certificates of a server with TLS. */
  readonly clusterPassword?: string | undefined;
  readonly clusterPasswordFile?: string | undefined;
  readonly clusterCa?: string | undefined;
  /** With `redis://`: an observer of the tasks of all workers. */
  readonly taskObserver?: CoordinatorObserver | undefined;
  /** With `files`: the number of this process, from 0, and how many there are. */
  readonly rank?: number | undefined;
  readonly ranks?: number | undefined;
  /** Bytes that the process may take; default: most of what is free. */
  readonly memory?: number | undefined;
  /** The precision of rows between stages; default `auto`: f32 where it fits in memory, else bf16. */
  readonly precision?: Precision | 'auto' | undefined;
  /** Hears what the run will keep where, before it starts. */
  readonly onPlan?: ((plan: MemoryPlan) => void) | undefined;
  /** Give up what `workDir` holds and start anew. */
  readonly restart?: boolean | undefined;
  /** Keep candidate edges and scores: in the result, and as files. */
  readonly saveEdges?: boolean | undefined;
  /** With `saveEdges`: keep the scores of the rounds before the last one too, from which `add` and `remove` go on. */
  readonly saveRounds?: boolean | undefined;
  /** Say how sure each cluster and each row is: in the result, and as files. Default: where there is `out`. */
  readonly trust?: boolean | undefined;
  /** Write report.html to `out` as well, default. */
  readonly report?: boolean | undefined;
  /** Folder that items lie in, where they are paths of images: the report gets contact sheets. */
  readonly images?: string | undefined;
  /** Options as a config file has them, for run.json: `--config run.json` runs it again. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** The command line, for run.json. */
  readonly commandLine?: readonly string[] | undefined;
  /** The origin of each option, for run.json. */
  readonly optionSources?: Readonly<Record<string, string>> | undefined;
  /** Hears what a user should know, such as rows that had to be normalised. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

/** Facts that `add` and `remove` know about the run that they go on from. */
export interface Continuation {
  /** Its clusters; in place of what matching by names gives. */
  readonly previous: EarlierRows;
  /** Its model as run.json has it, settled for the set as it was then: settled again, it would score old edges differently. */
  readonly model: unknown;
  /** Its lists and scores, by the nodes of this run; undefined where they are not known. */
  readonly known: KnownScores | undefined;
  /** What this run would find in its files: a survey of the rows, and the lists of its nodes, with any number of columns. */
  readonly survey: Survey;
  readonly graph: KnnGraph;
}

/** Options with the model that is taken. */
type SettledOptions = LabelOptions & { readonly model: string | NaanModel };

/** The origin of a setting: the caller, the calibration that is stored with the model, or neither. */
export type Origin = 'given' | 'calibrated' | 'default';

/** Everything that a run depends on, with no option left open. */
export interface LabelPlan {
  readonly options: SettledOptions;
  readonly model: NaanModel;
  readonly head: Head;
  readonly hops: Hops;
  /** Entries of a kNN list that are looked at, the node itself included. */
  readonly columns: number;
  /** The place and shape of the features. */
  readonly features: FeatureLocation;
  readonly nodes: number;
  /** Names of the rows. */
  readonly items: Items | undefined;
  /** Decisions about rows, and the constraints on nodes that follow from them where all rows are nodes. */
  readonly decided: { readonly rows: DecidedRows; readonly nodes: DecidedNodes } | undefined;
  /** The earlier run, and which rows were in it. */
  readonly previous: EarlierRows | undefined;
  /** Folder that the images of the report lie in, as `imageRoot` gives it. */
  readonly imageFolder: string | undefined;
  readonly cluster: {
    readonly partition: Partition;
    readonly partitionFrom: Origin;
    readonly options: Omit<PartitionOptions, 'constraints'>;
    readonly thresholdFrom: Origin;
    /** Edges of this score or more are united while they are scored. */
    readonly uniteFrom: number;
  };
  readonly threads: number;
  /** Nodes of a tile. */
  readonly batch: number;
  /** The memory and disk that the run will take. */
  readonly memory: MemoryPlan;
}

/**
 * Throws what `label` throws for inputs and options that cannot be used, for outputs that would replace what is not ours, and for
 * what does not fit into memory.
 */
export async function planLabel(given: LabelOptions, going?: Continuation): Promise<LabelPlan> {
  const options = { ...given, model: given.model ?? generalModel };
  const needsItems = [options.out, options.constraints, options.previous].some((one) => one !== undefined);
  const items = needsItems ? await findItems(options) : undefined;
  checkLabelCluster(options);
  checkGraphOptions(options);
  const imageFolder = options.images === undefined ? undefined : await findImages(options);
  if (options.out !== undefined) await checkFiles(options.out, options, items);
  const model = typeof options.model === 'string' ? await readModel(options.model) : options.model;
  if (given.model === undefined) given.onNotice?.(generalNotice);
  const head = headOf(model);
  const features = await findFeatures(options, model, head);
  const { rowCount: nodes, dim } = shapeOf(features);
  const hops = hopsFor(head, model, options);
  const columns = columnsOf(hops);
  const search = options.knn === undefined ? await searchOf(features, columns, options) : undefined;
  const cluster = planCluster(options, model);
  tellUnused(options, head, cluster.partition);
  const { threads = availableCores(), batch = labelDefaults.batch, saveEdges, trust, report, knn } = options;
  const edges = knn === undefined ? nodes * hops.sampleHops : await expectedEdges(knn, nodes, hops.sampleHops);
  const deflated = features.kind === 'deflated' ? features.name : undefined;
  const { partition } = cluster;
  const named = items && (await fitsRows(items, nodes, features.name, options)) ? items : undefined;
  const decided = await findDecided(options, nodes, named);
  const previous =
    going?.previous ??
    (options.previous === undefined
      ? undefined
      : await matchRows(await readPreviousRun(options.previous), nodes, named, options.onNotice));
  const shape = {
    model,
    head,
    nodes,
    dim,
    deflated,
    columns,
    edges,
    partition,
    threads,
    batch,
    saveEdges,
    trust: trust || options.minTrust !== undefined,
    report,
    searchBytes: search?.memoryBytes,
    searchLeavesRows: search?.rowsIn === 'memory' && features.kind === 'file',
    previous: previous !== undefined,
    constraintBytes: decided && constraintBytes(nodes, decided.nodes.constraints.sets.length),
  };
  return Object.freeze({
    options,
    model,
    head,
    hops,
    columns,
    features,
    nodes,
    items: named,
    decided,
    previous,
    imageFolder,
    cluster,
    threads,
    batch,
    memory: planMemory(shape, options),
  });
}

/** The search for the kNN graph. Throws OUT_OF_MEMORY where it takes more memory than may be taken. */
async function searchOf(features: FeatureLocation, columns: number, options: LabelOptions): Promise<KnnPlan> {
  const { planSearch } = await import('../knn/find.js');
  const { threads, memory } = options;
  const k = Math.min(columns, shapeOf(features).rowCount) - 1;
  return planSearch(features, { k, threads, memory });
}

const generalNotice =
  'no model given: the general model of naan is taken; one trained on labelled identities of these embeddings does better';

const ladderOptions = {
  step: 'step',
  maxSize: 'max-size',
  maxIterations: 'max-iterations',
  start: 'start',
  leftovers: 'leftovers',
} as const;

/** Says which options were given that mean nothing to the partition or to the head of the model. */
function tellUnused(options: LabelOptions, head: Head, partition: Partition): void {
  const { optionSources, onNotice } = options;
  const given = (name: keyof LabelOptions) => options[name] !== undefined && optionSources?.[name] !== 'default';
  const { takes } = methodOf(partition);
  const names = Object.keys(ladderOptions) as (keyof typeof ladderOptions)[];
  const unused = names.filter((name) => given(name) && !takes.includes(name)).map((name) => ladderOptions[name]);
  if (unused.length > 0) onNotice?.(`${unused.join(', ')}: not used, as the partition is ${partition}`);
  if (given('kHops') && !head.takesHops) {
    onNotice?.('k-hops: not used, as the head of the model looks at the neighbours that it was trained on');
  }
}

async function findDecided(options: LabelOptions, rowCount: number, items: Items | undefined) {
  const rows = await readDecidedRows(options, { rowCount, items, itemsFile: itemsFileOf(options) }, options.onNotice);
  return rows && { rows, nodes: constraintsOf(rows) };
}

/** The folder of images, found before hours of work. */
async function findImages({ images, report }: LabelOptions): Promise<string> {
  if (!report) throw new NaanError('BAD_USAGE', 'images: are for the report, which is left out');
  const { imageRoot } = await import('../report/images.js');
  return imageRoot(images!);
}

/**
 * Options as asked, else as calibrated with the model, else the defaults. Throws BAD_USAGE where the model is calibrated, but
 * not for the partition that is asked for: a threshold of another partition, or the default, would be a guess.
 */
function planCluster(options: LabelOptions, { config }: NaanModel): LabelPlan['cluster'] {
  const partition = options.partition ?? config.partition ?? labelDefaults.partition;
  const known = calibratedThresholds(config);
  const calibrated = known[partition];
  if (options.threshold === undefined && calibrated === undefined && Object.keys(known).length > 0) {
    const name = typeof options.model === 'string' ? options.model : 'the model';
    const others = Object.entries(known).map(([other, threshold]) => `${other} (${threshold})`);
    const advice = `give --threshold, or --partition ${Object.keys(known).join(' or ')}`;
    throw new NaanError(
      'BAD_USAGE',
      `${name}: has no threshold for the partition ${partition}, only for ${others.join(', ')}: ${advice}`,
    );
  }
  const settled: LabelPlan['cluster']['options'] = {
    threshold: options.threshold ?? calibrated ?? labelDefaults.threshold,
    absentPairs: config.absentPairs ?? 'room',
    step: options.step ?? partitionDefaults.step,
    maxSize: options.maxSize ?? partitionDefaults.maxSize,
    maxIterations: options.maxIterations ?? partitionDefaults.maxIterations,
    start: options.start ?? partitionDefaults.start,
    leftovers: options.leftovers ?? partitionDefaults.leftovers,
  };
  return {
    partition,
    partitionFrom: originOf(options.partition, config.partition),
    options: settled,
    thresholdFrom: originOf(options.threshold, calibrated),
    uniteFrom: methodOf(partition).uniteFrom(settled),
  };
}

/** The calibrated threshold of each partition; a file from before there was one for each has that of its own partition. */
function calibratedThresholds({ partition, threshold, thresholds }: ModelConfig): Partial<Record<Partition, number>> {
  const own = threshold === undefined ? {} : { [partition ?? labelDefaults.partition]: threshold };
  return { ...own, ...thresholds };
}

function originOf(given: unknown, calibrated: unknown): Origin {
  if (given !== undefined) return 'given';
  return calibrated !== undefined ? 'calibrated' : 'default';
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

/** Throws BAD_USAGE for options by which a labelling run cannot be shared. */
function checkLabelCluster(options: LabelOptions): void {
  checkCluster(options);
  const { cluster, knn, backend = 'auto' } = options;
  if (cluster === undefined) return;
  if (typeof knn !== 'string') throw new NaanError('BAD_USAGE', 'cluster: give the kNN graph as a file with --knn');
  if (backend !== 'auto' && backend !== 'native') {
    throw new NaanError('BAD_USAGE', `cluster: computes with the back-end native, got ${backend}`);
  }
}

/** Only a graph that is found is kept. */
function checkGraphOptions({ knn, saveKnn }: LabelOptions): void {
  if (knn !== undefined && saveKnn !== undefined) {
    throw new NaanError('BAD_USAGE', 'save-knn: keeps a graph that is found, but knn gives one: leave one of them out');
  }
}

/** Names of the rows as asked, else those beside the features. */
export async function findItems({
  items,
  features,
}: Pick<LabelOptions, 'items' | 'features'>): Promise<Items | undefined> {
  if (items !== undefined) return openItems(items);
  return typeof features === 'string' ? itemsBeside(features, 'features') : undefined;
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
