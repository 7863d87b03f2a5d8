/** The main job, from files to pseudo-labels. */

import type { Constraints } from '../cluster/constraints.js';
import { type ChangeKind, countChanges, type Identities, identitiesOf } from '../cluster/identities.js';
import type { Partition } from '../cluster/partition.js';
import { clustersOf, countClusters, relabel } from '../cluster/relabel.js';
import { clusterSizes, leaveOut, leftOut, type Trust, trustOf } from '../cluster/trust.js';
import type { DeviceReading } from '../devices/devices.js';
import { checkGraph } from '../engine/graph-check.js';
import { isKept, settledModel } from '../engine/head.js';
import type { Layout } from '../engine/layout.js';
import { checkWidth, type EngineOptions, ScoringRun, shardCount } from '../engine/scoring-run.js';
import { outsideOf } from '../engine/set-profile.js';
import { filesOf } from '../engine/storage.js';
import type { Survey } from '../engine/survey.js';
import { featuresOf, usableRows } from '../engine/usable-rows.js';
import type { WorkDir } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import { type KnnGraph, withWidth } from '../graph/knn-graph.js';
import { clusterOrder } from '../graph/locality-order.js';
import { graphOfNodes, labelsOfRows, type NodeMap, pairsOfRows } from '../graph/node-map.js';
import type { ClusterTable } from '../io/cluster-table.js';
import { fileState, identityOfInput } from '../io/digest.js';
import { readKnn } from '../io/knn.js';
import { inflate } from '../io/locate-matrix.js';
import { type MatrixLocation, shapeOf } from '../io/matrix.js';
import { writeNpy } from '../io/npy-writer.js';
import type { FoundKnn, ReadRows } from '../knn/find.js';
import { resolveBackend } from '../machine/choose-backend.js';
import { candidatesOf, fasterDevices } from '../machine/choose-knn.js';
import { peakResidentBytes } from '../memory/peak.js';
import { releaseUnused } from '../memory/release.js';
import { curvesPlan, type ScoreCurves } from '../report/curves.js';
import { constraintsOf, labelGroups } from './decided-rows.js';
import type { KeptGraph, Search } from './kept-graph.js';
import { describeInputs, type EngineRecord, type RunRecord, writeRun } from './label-files.js';
import { type Continuation, type LabelOptions, type LabelPlan, type Origin, planLabel } from './label-plan.js';
import { describeRun } from './run-description.js';
import type { Sharing } from './sharing.js';

export type { LabelOptions, Origin } from './label-plan.js';

/** The result of a labelling run, as `naan label --json` prints it. */
export interface LabelSummary {
  /** Rows of the features. */
  readonly nodes: number;
  /** Rows that are copies of an earlier one and have its label. */
  readonly copies: number;
  /** Rows that cannot be used and were left out, labelled −1. */
  readonly badRows: number;
  /** Candidate edges, of copies one each. */
  readonly edges: number;
  /** For a run that goes on from another: the number of times that an edge was scored, over all rounds. */
  readonly scoredAnew?: number;
  readonly clusters: number;
  readonly singletons: number;
  /** Rows without candidate edges or in clusters that are left out, labelled −1. */
  readonly unlabelled: number;
  /** Nodes of the largest cluster. */
  readonly largest: number;
  /** The search for the kNN graph, where none was given: neighbours of a row, method, recall on sampled rows, and the device's back-end. */
  readonly search?: Search;
  /** Decisions that count, where some were given. */
  readonly decisions?: number;
  /** With `previous`: identities by what became of them. */
  readonly changes?: Readonly<Record<ChangeKind, number>>;
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
  /** Pseudo-label of each node, numbered by first appearance, or with `previous` its identity; −1 for none [n]. */
  readonly labels: Int32Array;
  /**
   * With `saveEdges`: pairs a < b, sorted [E × 2], and the probability that they are one identity [E]; with `saveRounds` also what
   * each round before the last gave them [E].
   */
  readonly edges?: {
    readonly pairs: Int32Array;
    readonly scores: Float32Array;
    readonly rounds?: readonly Float32Array[];
  };
  /** With `trust`: the trust of clusters and rows. */
  readonly trust?: LabelTrust;
  /** With `previous`: the identity of each cluster in the order of their first rows, and what became of the earlier ones. */
  readonly identities?: Identities;
}

/** Trust of clusters, in the order of their first rows, and of rows [n]: NaN where a row is left out; a copy has the trust of the row that it is a copy of. */
export interface LabelTrust extends Trust {
  /** Rows of each cluster, 0 for one that is left out. */
  readonly sizes: Int32Array;
}

/** Where lists lose entries because rows are no nodes of their own, they are read this many times as long. */
const longerLists = 2;

/** The kNN graph of a run: a file or in memory, and how it was found where none was given. */
interface GraphSource {
  readonly knn: string | KnnGraph;
  /** What the search has read of the features; their rows where the plan keeps them. */
  readonly rows?: ReadRows;
  readonly search?: Search;
  /** With a work directory: where the graph is kept until the run has ended. */
  readonly kept?: KeptGraph;
}

/** Stages that tell of their progress themselves. */
const tellThemselves: ReadonlySet<string> = new Set(['read', 'knn']);

/** Times the stages of a run and tells of them, and ends the run after an abort. */
type Timed = <T>(stage: string, work: () => T | Promise<T>) => Promise<T>;

/**
 * Labels every node of a kNN graph: embeds nodes and scores candidate edges with a trained model (NAAN 2020), then cuts
 * the scored graph into clusters. Writes `<features>_labels.txt`, `_labels.npy`, run.json, unless left out `_margins.npy`
 * and clusters.csv (`trust`) and report.html (`report`), and with `saveEdges` `_edges.npy` and `_scores.npy`, with
 * `constraints` names.csv, with `previous` changes.csv, to `out`.
 *
 * Throws BAD_INPUT, BAD_SHAPE, BAD_MODEL or BAD_USAGE for what cannot be used or would be replaced, CONTRADICTION for
 * decisions that cannot all hold, NOT_WRITABLE for `out`, SHARD_FAILED when a shard fails twice, CANCELLED after an abort. Nothing is written unless all went well.
 */
export async function label(given: LabelOptions): Promise<LabelResult> {
  return labelFrom(given, undefined);
}

/** `label`, which may go on from a run of nearly the same rows. */
export async function labelFrom(given: LabelOptions, going: Continuation | undefined): Promise<LabelResult> {
  const began = performance.now();
  const notices: string[] = [];
  /** What the search for a graph has said of what the run would say as well. */
  const said = new Set<string>();
  const onNotice = (notice: string) => {
    if (said.delete(notice)) return;
    notices.push(notice);
    given.onNotice?.(notice);
  };
  const writes = given.out !== undefined;
  const options = { ...given, onNotice, trust: given.trust ?? writes, report: writes && given.report !== false };
  const stages: Record<string, number> = {};
  const timed: Timed = async (stage, work) => {
    const start = performance.now();
    const tell = (done: number) => {
      if (!tellThemselves.has(stage)) options.onProgress?.({ stage, done, total: 1, unit: 'steps' });
    };
    tell(0);
    const result = await work();
    tell(1);
    stages[stage] = (stages[stage] ?? 0) + (performance.now() - start) / 1000;
    options.signal?.throwIfAborted();
    return result;
  };

  const planned = await planLabel(options, going);
  options.onPlan?.(planned.memory);
  const features = await timed('read', () => inflate(planned.features, planned.memory.parts.features));
  const plan = going ? settledAgain(planned, going) : settled(planned, features);
  const source: GraphSource =
    options.knn === undefined ? await timed('knn', () => searchGraph(plan, features)) : { knn: options.knn };
  if (options.knn === undefined) for (const notice of notices) said.add(notice);
  return whileRunning(plan, source.kept?.file ?? source.knn, async ({ run, work, sharing }) => {
    const inputs = options.out === undefined ? Promise.resolve([]) : describeInputs(plan.options, source.knn);
    inputs.catch(() => {}); // it is awaited when the results are written
    const { layout, map } = going
      ? await timed('order', () => prepareAgain(run, plan, features, going))
      : await prepare(run, plan, features, source.knn, work, timed, source.rows?.survey);
    const nodes = source.rows?.inMemory ?? featuresOf(features, map);
    const decided = plan.decided && (map ? constraintsOf(plan.decided.rows, map) : plan.decided.nodes);
    await run.score({
      features: nodes,
      layout,
      uniteFrom: plan.cluster.uniteFrom,
      keepRounds: options.saveRounds === true,
      known: going?.known,
    });
    options.signal?.throwIfAborted();
    Object.assign(stages, run.seconds);
    const normalised = run.counters.total('rowsNormalised');
    if (normalised > 0) {
      options.onNotice?.(`${features.name}: ${normalised} rows were not unit vectors and were normalised`);
    }
    const { partition, options: settled } = plan.cluster;
    const labels = await timed('partition', async () => {
      const ofNodes = await run.cut(partition, { ...settled, constraints: decided?.constraints });
      return ofRows(ofNodes, map, plan.decided?.nodes.constraints);
    });
    await timed('compare', () => tellOutside(run, plan, nodes, layout));
    const edges = options.saveEdges ? await timed('pairs', () => pairsOf(run, map, options.saveRounds)) : undefined;

    let counts = countClusters(labels);
    const sizes = clusterSizes(labels, counts.clusters);
    const trust =
      options.trust || options.minTrust !== undefined
        ? await timed('trust', () => ({ ...trustOfRows(run, labels, counts.clusters, map), sizes }))
        : undefined;
    const curves = options.report
      ? await timed('curves', () => run.runPlan(curvesPlan(run.edges, run.threads)))
      : undefined;
    const summary = (): LabelSummary => ({
      nodes: plan.nodes,
      copies: map?.copies ?? 0,
      badRows: map === undefined ? 0 : plan.nodes - map.rows.length - map.copies,
      edges: run.edges.targets.length + (map?.copies ?? 0),
      ...(run.scoredAnew !== undefined && { scoredAnew: run.scoredAnew }),
      ...counts,
      ...(source.search && { search: source.search }),
      ...(plan.decided && { decisions: plan.decided.rows.placed.length }),
      ...(identities && { changes: countChanges(identities.changes) }),
      partition,
      partitionFrom: plan.cluster.partitionFrom,
      threshold: settled.threshold,
      thresholdFrom: plan.cluster.thresholdFrom,
      seconds: { total: (performance.now() - began) / 1000, stages },
      peakRssBytes: peakResidentBytes(),
    });
    const { previous } = plan;
    const identities =
      previous &&
      (await timed('identities', () => {
        const decidedRows = plan.decided?.nodes.constraints.decided;
        return identitiesOf(labels, previous.before, previous.earlier, decidedRows);
      }));
    const left = leftOut(sizes, trust?.trust, options);
    if (left) {
      leaveOut(labels, sizes, left);
      counts = countClusters(labels);
    }
    if (identities) {
      for (let row = 0; row < labels.length; row++) if (labels[row] >= 0) labels[row] = identities.ids[labels[row]];
    }
    await work?.checkOwned();
    if (options.out !== undefined) {
      const engine = { ...engineRecord(run, layout), ...sharing?.record };
      const finding = {
        plan,
        knn: source.knn,
        labels,
        edges,
        trust: options.trust ? trust : undefined,
        identities,
        engine,
        run: () =>
          describeRun(began, {
            commandLine: options.commandLine,
            ...(work?.resumed && { goesOnFrom: work.header.started, resumes: work.resumes }),
          }),
        inputs: await inputs,
        notices,
        curves,
        page: options.report ? pageFor(plan, labels, curves) : undefined,
        summary,
      };
      await writeRun(options.out, finding, (write) => timed('write', write));
    }
    await work?.finish();
    source.kept?.remove();
    await sharing?.finish();
    return {
      summary: summary(),
      haloFactor: run.haloFactor,
      labels,
      ...(edges ? { edges } : {}),
      ...(trust && options.trust ? { trust } : {}),
      ...(identities ? { identities } : {}),
    };
  });
}

/**
 * The part of a rank above 0: computes its shards of every stage for the rank 0 that labels. Throws as `label`.
 */
export async function labelShare(options: LabelOptions): Promise<void> {
  const planned = await planLabel({
    ...options,
    out: undefined,
    trust: false,
    report: false,
    images: undefined,
    constraints: undefined,
    previous: undefined,
  });
  options.onPlan?.(planned.memory);
  const features = await inflate(planned.features, planned.memory.parts.features);
  const plan = settled(planned, features);
  const { knn = '' } = options;
  await whileRunning(plan, knn, async ({ run, work }) => {
    const { layout, map } = await prepare(run, plan, features, knn, work, async (_, todo) => todo());
    await run.score({ features: featuresOf(features, map), layout, uniteFrom: Number.POSITIVE_INFINITY });
  });
}

/** The plan with the model as it scores these features. */
export function settled(plan: LabelPlan, features: MatrixLocation): LabelPlan {
  return { ...plan, model: settledModel(plan.head, plan.model, features) };
}

function settledAgain(plan: LabelPlan, going: Continuation): LabelPlan {
  return { ...plan, model: plan.head.settleAgain?.(plan.model, going.model) ?? plan.model };
}

interface StartedRun {
  readonly run: ScoringRun;
  readonly work: WorkDir | undefined;
  readonly sharing: Sharing | undefined;
}

/** Starts a run, and ends its threads when the work with it has ended, however that is. */
async function whileRunning<T>(
  plan: LabelPlan,
  knn: string | KnnGraph,
  todo: (started: StartedRun) => Promise<T>,
): Promise<T> {
  const started = await startRun(plan, knn);
  const { run, work, sharing } = started;
  try {
    return await todo(started);
  } catch (error) {
    if (work?.lost) throw work.lost;
    if (plan.options.signal?.aborted) throw new NaanError('CANCELLED', 'cancelled', { cause: error });
    throw error;
  } finally {
    await run.close();
    await sharing?.close();
  }
}

async function startRun(plan: LabelPlan, knn: string | KnnGraph): Promise<StartedRun> {
  const { options, model, head, hops } = plan;
  const sharing = await shareAs(plan);
  const work = options.workDir === undefined ? undefined : await openWork(options.workDir, plan, knn, sharing);
  const precision = work?.header.precision ?? plan.memory.precision;
  try {
    const spread = work && (await sharing?.start(work));
    const shared = work && spread && { path: work.path, spread };
    const computing = sharing ? { backend: 'native' as const } : await backendOf(plan);
    return {
      run: new ScoringRun({ ...options, ...computing, model, head, hops, work, precision, shared }),
      work,
      sharing,
    };
  } catch (error) {
    await work?.close();
    await sharing?.close();
    throw error;
  }
}

function backendOf({ options, head, features }: LabelPlan): Promise<Pick<EngineOptions, 'backend' | 'provider'>> {
  return resolveBackend(options, { head, rows: shapeOf(features).rowCount });
}

/** Loaded when asked for. */
async function shareAs(plan: LabelPlan): Promise<Sharing | undefined> {
  const { cluster, rank, ranks } = plan.options;
  if (cluster === undefined && rank === undefined && ranks === undefined) return undefined;
  const { planSharing } = await import('./sharing.js');
  return planSharing(plan);
}

/** Reads the graph and looks at the rows: the order of the nodes, and which rows are nodes. */
export async function prepare(
  run: ScoringRun,
  plan: LabelPlan,
  features: MatrixLocation,
  knn: string | KnnGraph,
  work: WorkDir | undefined,
  timed: Timed,
  surveyed?: Survey,
) {
  const { options, columns, head, hops } = plan;
  const graph = await timed('read', async () => {
    const found = await readGraph(plan, knn, columns);
    checkWidth(found, head, hops, typeof knn === 'string' ? knn : undefined);
    return found.width < columns ? withWidth(found, columns) : found;
  });
  work?.checkGraph(graph.ids);
  return timed('order', async () => {
    // Rows are looked at by threads that the order leaves idle. Where some are no nodes, it is found again.
    const [layout, survey] = await allDone([
      run.layOut(graph),
      surveyed ?? run.survey(features, options.duplicates !== 'keep'),
      checkedGraph(options, knn, features, graph),
    ]);
    const map = usableRows(features, survey, options);
    if (map === undefined) return { layout, map };
    const longer = await readGraph(plan, knn, longerLists * columns);
    return { layout: await run.layOut(graphOfNodes(longer, map, columns)), map };
  });
}

/** The same where graph and survey are there. Few edges will be scored: the clusters of before are order enough. */
async function prepareAgain(
  run: ScoringRun,
  { options, columns }: LabelPlan,
  features: MatrixLocation,
  { graph: given, survey, known, previous: { before, earlier } }: Continuation,
) {
  const graph = withWidth(given, columns);
  const map = usableRows(features, survey, options);
  if (!known) return { layout: await run.layOut(graph), map };
  const clusterOf = map ? Int32Array.from(map.rows, (row) => before[row]) : before;
  return { layout: await run.layOutIn(graph, clusterOrder(graph, clusterOf, earlier.ids.length)), map };
}

/**
 * Finds the graph of the features, on a GPU where that is faster; `saveKnn` gets it, and then stands for it. With a work directory it is
 * found once.
 */
async function searchGraph(plan: LabelPlan, features: MatrixLocation): Promise<GraphSource> {
  const { findKnn, planSearch } = await import('../knn/find.js');
  const { options, columns, memory, nodes } = plan;
  const { signal, onProgress, onNotice, observer, threads, duplicates, badRows, saveKnn, workDir, restart } = options;
  const k = Math.min(columns, nodes) - 1;
  if (workDir !== undefined && !restart) {
    // A run of something else is refused before hours go into a search.
    const { checkSame } = await import('../engine/work-dir.js');
    checkSame(workDir, await identityOf(plan, undefined));
  }
  const kept = workDir === undefined ? undefined : await keptGraph({ ...options, workDir }, k);
  const known = await kept?.find();
  if (kept && known) {
    onNotice?.(`${workDir}: goes on with the kNN graph that was found before`);
    return { knn: saveKnn ?? (await readGraph(plan, kept.file, longerLists * columns)), search: known, kept };
  }
  const search = { k, signal, threads, memory: memory.limitBytes };
  let rows: ReadRows | undefined;
  const found = await fasterDevices(features, options, { ...search, onNotice }, candidatesOf(options));
  const onDevices = found && {
    ...found,
    onDevices: (readings: readonly DeviceReading[]) => observer?.devices?.(readings),
  };
  const byCells = kept && !found && planSearch(features, { k, threads, memory: memory.limitBytes }).method === 'ivf';
  const result = await findKnn(features, {
    ...search,
    onProgress,
    onNotice,
    duplicates,
    badRows,
    onDevices,
    work: byCells ? { path: kept.folder, features: options.features as string, restart } : undefined,
    onFound: kept && ((result) => kept.keep(result.graph, howFound(k, result))),
    onRows: (read) => {
      rows = memory.keepsRows ? read : { survey: read.survey };
    },
  });
  // What the search has left makes room for the run.
  releaseUnused();
  const { graph } = result;
  if (!kept && saveKnn !== undefined) await writeNpy(saveKnn, 'i4', [graph.nodeCount, graph.width], graph.ids);
  return { knn: saveKnn ?? graph, ...(rows && { rows }), search: howFound(k, result), ...(kept && { kept }) };
}

function howFound(k: number, { method, recall, computed }: FoundKnn): Search {
  return { k, method, recall, ...(computed && { backend: computed.backend }) };
}

/** Loaded when asked for. */
async function keptGraph(options: LabelOptions & { readonly workDir: string }, k: number): Promise<KeptGraph> {
  const { KeptGraph } = await import('./kept-graph.js');
  return new KeptGraph(options, k);
}

async function readGraph({ options, nodes }: LabelPlan, knn: string | KnnGraph, columns: number): Promise<KnnGraph> {
  if (typeof knn === 'string') return readKnn(knn, { nodeCount: nodes, columns, onProgress: options.onProgress });
  if (knn.nodeCount !== nodes) {
    throw new NaanError('BAD_SHAPE', `the kNN graph has ${knn.nodeCount} rows, but there are ${nodes} features`);
  }
  return knn;
}

async function checkedGraph(
  { graphCheck = 'refuse', onNotice }: LabelOptions,
  knn: string | KnnGraph,
  features: MatrixLocation,
  graph: KnnGraph,
): Promise<void> {
  if (graphCheck === 'skip') return;
  checkGraph(features, { name: typeof knn === 'string' ? knn : 'the kNN graph', graph }, onNotice);
}

/** The work directory, with what its values depend on. */
async function openWork(
  folder: string,
  plan: LabelPlan,
  knn: string | KnnGraph,
  sharing: Sharing | undefined,
): Promise<WorkDir> {
  const path = sharing?.path ?? folder;
  const { WorkDir, workHeader } = await import('../engine/work-dir.js');
  const { options, model, head, nodes, threads, batch } = plan;
  const { precision } = plan.memory;
  // Each rank brings its part to the disk.
  const diskBytes = Math.ceil(plan.memory.diskBytes / (sharing?.record.ranks ?? 1));
  const { restart = false, signal, onNotice } = options;
  const identity = { ...(await identityOf(plan, knn)), ...sharing?.identity };
  const shards = sharing?.shards ?? shardCount(nodes, { threads, batch, shards: options.shards });
  const kept = head.stages(model.config).filter(isKept);
  const stages = kept.map(({ name, round }) => [name, round] as const);
  const files = sharing ? [] : [...new Set(kept.flatMap(filesOf))];
  const segments = sharing && { segments: true };
  const header = workHeader({ identity, nodes, precision, shards, stages, files, ...segments });
  const state = await fileState(options.features as string);
  const diskAdvice = precision === 'f32' ? ', or --precision bf16 for half of it' : '';
  const request = { restart, diskBytes, diskAdvice, features: state, signal, onNotice };
  const work = await WorkDir.open(path, header, request);
  if (work.resumed) {
    const all = work.header.stages.length * work.header.shards;
    onNotice?.(`${path}: goes on with the run of ${work.header.started}: ${work.doneCount} of ${all} shards are done`);
  }
  return work;
}

/** Values that stored results depend on, by the name of the option or input, but for a graph yet to be found. Throws BAD_USAGE for inputs in memory. */
export async function identityOf(
  { options, hops: { k1, k2, sampleHops }, memory: { precision } }: LabelPlan,
  knn: string | KnnGraph | undefined,
): Promise<Record<string, unknown>> {
  const { backend = 'auto', duplicates = 'collapse', badRows = 'refuse' } = options;
  const identity: Record<string, unknown> = { k1, k2, sampleHops, backend, duplicates, badRows };
  if (options.provider !== undefined && options.provider !== 'auto') identity.provider = options.provider;
  if (options.precision !== undefined && options.precision !== 'auto') identity.precision = precision;
  const inputs = { features: options.features, ...(knn && { knn }), model: options.model };
  for (const [name, input] of Object.entries(inputs)) {
    if (typeof input !== 'string') throw new NaanError('BAD_USAGE', `work-dir: ${name} in memory, expected a file`);
    identity[name] = await identityOfInput(input, { whole: name === 'model' });
  }
  return identity;
}

/** Labels of rows from those of nodes. */
function ofRows(labels: Int32Array, map: NodeMap | undefined, constraints: Constraints | undefined): Int32Array {
  if (map === undefined) return labels;
  const all = labelsOfRows(labels, map);
  if (constraints) labelGroups(all, constraints);
  relabel(all);
  return all;
}

/** Resolves when all have ended, and so may be followed by an end of the threads that they use. */
async function allDone<T extends readonly unknown[]>(
  work: {
    readonly [I in keyof T]: T[I] | Promise<T[I]>;
  },
): Promise<T> {
  await Promise.allSettled(work);
  return (await Promise.all(work)) as unknown as T;
}

/** The text of report.html, from what is in memory. */
function pageFor({ options, items, imageFolder }: LabelPlan, labels: Int32Array, curves: ScoreCurves | undefined) {
  return async (record: RunRecord, table: ClusterTable | undefined): Promise<string> => {
    const { labelledRun } = await import('./run-folder.js');
    const { pageOf } = await import('./report.js');
    const run = labelledRun(clustersOf(labels), { folder: options.out!, record, table, items });
    return (await pageOf(run, { curves, root: imageFolder })).text;
  };
}

/** Says when the set lies outside what the model was trained on. */
function tellOutside(run: ScoringRun, { model, hops, options }: LabelPlan, features: MatrixLocation, layout: Layout) {
  const { trainedOn, sampleHops } = model.config;
  if (trainedOn === undefined) return;
  const set = { features, graph: layout.graph, order: layout.order, edges: run.edges };
  const outside = outsideOf(trainedOn, set, hops.sampleHops === sampleHops);
  if (outside !== undefined) options.onNotice?.(`${features.name}: ${outside}`);
}

/** The trust of rows, computed by nodes in their positions. */
function trustOfRows(run: ScoringRun, labels: Int32Array, clusters: number, map: NodeMap | undefined): Trust {
  const { order, edges } = run;
  const { nodeCount } = edges;
  const nodeAt = (position: number) => (order ? order[position] : position);
  const byPosition = new Int32Array(nodeCount);
  for (let p = 0; p < nodeCount; p++) byPosition[p] = labels[map ? map.rows[nodeAt(p)] : nodeAt(p)];
  const { margins: ofPositions, ...ofClusters } = trustOf(edges, byPosition, clusters);
  const ofNodes = new Float32Array(nodeCount);
  for (let p = 0; p < nodeCount; p++) ofNodes[nodeAt(p)] = ofPositions[p];
  const margins = map ? Float32Array.from(map.nodeOf, (node) => (node < 0 ? Number.NaN : ofNodes[node])) : ofNodes;
  return { margins, ...ofClusters };
}

async function pairsOf(run: ScoringRun, map: NodeMap | undefined, saveRounds: boolean | undefined) {
  const { pairs, scores, rounds } = await run.sortedPairs(saveRounds);
  const ofRows = (of: Float32Array) => (map ? pairsOfRows({ pairs, scores: of }, map) : { pairs, scores: of });
  return { ...ofRows(scores), ...(saveRounds && { rounds: rounds.map((round) => ofRows(round).scores) }) };
}

function engineRecord(run: ScoringRun, { graph }: Layout): EngineRecord {
  const elapsed = Object.values(run.seconds).reduce((sum, seconds) => sum + seconds, 0);
  return {
    threads: run.threads,
    shards: run.shardCount,
    ...(run.backend && { backend: run.backend.backend, simd: run.backend.simd }),
    ...(run.devices && { devices: run.devices.summary() }),
    rowsGatheredPerNode: run.counters.total('rowsGathered') / graph.nodeCount,
    haloFactor: run.haloFactor,
    busy: run.busy,
    busyShare: run.counters.total('busySeconds') / (elapsed * run.threads),
  };
}
