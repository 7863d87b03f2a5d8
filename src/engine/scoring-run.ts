/**
 * The coordinator: lays a labelling job out in shared memory, cuts it into shards, and drives the stages over the pool,
 * with a barrier after each. The result (centres, scores, components) is the same to the bit for any number of threads
 * and shards, and for any order of the nodes.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { BackendName } from '../backends/backend.js';
import type { OnnxProvider } from '../backends/onnx-providers.js';
import { type BackendChoice, type BackendPlan, planBackend } from '../backends/plan.js';
import { labelPlan, type Partition, type PartitionOptions } from '../cluster/partition.js';
import { sharedInts } from '../cluster/scored-edges.js';
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { type SortedPairs, sortedPairsPlan } from '../cluster/sorted-pairs.js';
import { Devices, type DevicesHandle } from '../devices/devices.js';
import { NaanError } from '../errors.js';
import { Counters, type Stage } from '../execution/counters.js';
import { Pool } from '../execution/pool.js';
import { runPlanOn } from '../execution/run-plan.js';
import { type CandidateEdges, startOffsets } from '../graph/candidate-edges.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { ReverseEdges } from '../graph/reverse-edges.js';
import { tileCapacity } from '../heads/concat/stages.js';
import { allocatePairwiseJob } from '../heads/pairwise/job.js';
import { type MatrixLocation, shapeOf } from '../io/matrix.js';
import type { SimdLevel } from '../kernels/kernels.js';
import type { RangeCheck, RowsCheck } from '../memory/file-writes.js';
import { allocateRows, openStore, type Precision, type RowStore, type RowStoreHandle } from '../memory/row-store.js';
import { isConcat, isPairwise, type NaanModel, structuralFeatureCount } from '../model/model.js';
import type { ProgressListener } from '../progress.js';
import { cutShards, type LabelJob, type PairwiseMemory, type Shard, type ShardStage, type ShardTask } from './job.js';
import type { RowSums } from './kept-shards.js';
import { type KeptStage, keptStages, writesOver } from './kept-stages.js';
import { type Layout, layOutPlan } from './layout.js';
import { featureRows } from './open-job.js';
import type { RunObserver } from './run-observer.js';
import type { ShardResult, Verdict } from './shard-runner.js';
import { type Survey, surveyPlan } from './survey.js';
import { differs, type WorkDir } from './work-dir.js';

export interface EngineOptions {
  /** Worker threads; default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Shards the nodes are cut into; default `auto`: enough to keep every thread busy to the end of a stage. */
  readonly shards?: number | 'auto' | undefined;
  /** Nodes of a tile, the unit of gathering and of a GEMM; default 512. */
  readonly batch?: number | undefined;
  readonly backend?: BackendName | 'auto' | undefined;
  /** Execution provider of the back-end onnx; default: a GPU if there is one, else `cpu`. */
  readonly provider?: OnnxProvider | 'auto' | undefined;
  /** Numbers of the GPUs to use, where a provider has several; default: the first. */
  readonly devices?: readonly number[] | undefined;
  /** Forces a SIMD level of the native back-end; default: the best that this engine runs. */
  readonly simd?: SimdLevel | undefined;
  /** How rows are stored between stages; default f32. */
  readonly precision?: Precision | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly observer?: RunObserver | undefined;
  /** Hears what a user should know, such as a device that was lost. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface ScoringOptions extends EngineOptions {
  readonly model: NaanModel;
  readonly k1: number;
  readonly k2: number;
  readonly sampleHops: number;
  /** Where rows and finished shards are kept in files; without it rows are in memory. */
  readonly work?: WorkDir | undefined;
  /** Another module that starts devices, and what it is to start. */
  readonly startDevice?: { readonly module: URL; readonly plan: BackendPlan } | undefined;
}

export interface ScoringInput {
  readonly features: MatrixLocation;
  readonly layout: Layout;
  /** Edges of this score or more are united; −Infinity unites all. */
  readonly uniteFrom: number;
}

/** Given to each worker once. */
export interface ShardWorkerData {
  readonly model: NaanModel;
  readonly batch: number;
  readonly k1: number;
  readonly k2: number;
  /** What computes in each worker, unless a device does. */
  readonly backend: BackendChoice | undefined;
  readonly devices: DevicesHandle | undefined;
  readonly simd: SimdLevel | undefined;
  readonly threads: number;
  /** [1]: the next worker's number. */
  readonly tickets: Int32Array;
}

export const defaultBatch = 512;
const progressIntervalMs = 200;
const nodesOfAShard = 8192;
/** Each is a task, a record in the journal and a series of metrics. */
const mostShards = 2 ** 16;
const surveyedRangesEach = 8;

export class ScoringRun {
  readonly threads: number;
  readonly counters: Counters;
  /** Threads that own devices. */
  readonly devices: Devices | undefined;
  /** Seconds of each stage that has run. */
  readonly seconds: Record<string, number> = {};
  /** Part of the threads' time that they worked in each of them, 0..1. */
  readonly busy: Record<string, number> = {};
  /** What the workers started, once the first task is done. */
  backend: ShardResult | undefined;
  private readonly batch: number;
  private readonly pool: Pool;
  private readonly cancel = new Int32Array(new SharedArrayBuffer(4));
  private readonly stop = () => void Atomics.store(this.cancel, 0, 1);
  private current: LabelJob | undefined;
  private shards: Shard[] = [];
  /** Kept stages whose results nobody needs any more, as all that was made of them is there. */
  private readonly passed: KeptStage[] = [];

  /** Starts the threads, which load their back-end while the caller reads its input. */
  constructor(private readonly options: ScoringOptions) {
    const { model, k1, k2, signal } = options;
    this.threads = options.threads ?? availableParallelism();
    this.batch = options.batch ?? defaultBatch;
    this.counters = new Counters(this.threads);
    const plan = this.plan();
    this.devices = this.startDevices(plan);
    const workerData: ShardWorkerData = {
      ...{ model, k1, k2, batch: this.batch, threads: this.threads },
      ...{ backend: plan.otherwise, devices: this.devices?.handle, simd: options.simd },
      tickets: new Int32Array(new SharedArrayBuffer(4)),
    };
    const worker = new URL('../../workers/shard-worker.js', import.meta.url);
    this.pool = new Pool({ worker, threads: this.threads, workerData });
    signal?.addEventListener('abort', this.stop);
    if (signal?.aborted) this.stop();
    options.work?.onLost(this.stop);
  }

  /**
   * The graph in the order in which it is best laid out; found on workers, so that this thread can answer signals.
   */
  layOut(graph: KnnGraph): Promise<Layout> {
    return runPlanOn(this.pool, layOutPlan(graph, this.threads), this.options.signal);
  }

  /** What there is to know of the features before anything is computed from them. */
  survey(features: MatrixLocation, findCopies: boolean): Promise<Survey> {
    return runPlanOn(
      this.pool,
      surveyPlan(features, findCopies, surveyedRangesEach * this.threads),
      this.options.signal,
    );
  }

  /** Labels by input number of what has been scored. */
  cut(partition: Partition, options: PartitionOptions): Promise<Int32Array> {
    const { order, components } = this.job;
    const plan = labelPlan(this.edges, partition, { ...options, order }, this.threads, components);
    return runPlanOn(this.pool, plan, this.options.signal);
  }

  /** Candidate edges as pairs a < b of input numbers, sorted, and their scores. */
  sortedPairs(): Promise<SortedPairs> {
    const { order, positions } = this.job;
    const plan = sortedPairsPlan({ edges: this.edges, order, positions }, this.threads);
    return runPlanOn(this.pool, plan, this.options.signal);
  }

  /** Lays out shared memory for this input. Throws BAD_USAGE when the graph has too few neighbours. */
  load(input: ScoringInput): void {
    const { features, layout } = input;
    const { graph, order, positions } = layout;
    const { model, sampleHops, shards, work } = this.options;
    const nodeCount = graph.nodeCount;
    checkWidth(graph, this.options);
    const count = work?.header.shards ?? shardCount(nodeCount, { shards, threads: this.threads, batch: this.batch });
    this.shards = cutShards(nodeCount, count);
    this.current = {
      ...{ version: 0, features, nodeCount, sampleHops, batch: this.batch, uniteFrom: input.uniteFrom },
      ...{ neighbours: graph.ids, width: graph.width, cancel: this.cancel, counters: this.counters.handle() },
      ...(order && positions ? { order, positions } : {}),
      offsets: new Uint32Array(new SharedArrayBuffer((nodeCount + 1) * 4)),
      components: SharedDisjointSet.allocate(nodeCount).handle(),
      rounds: model.config.head === 'pairwise' ? model.config.rounds : 1,
      head: this.headMemory(graph, shapeOf(features).dim),
      finished: new Int32Array(new SharedArrayBuffer(count * 4)),
      work: work && { path: work.path, lease: work.lease },
    };
    this.options.observer?.start({
      counters: this.counters,
      threads: this.threads,
      shards: count,
      devices: this.devices?.readings ?? [],
    });
  }

  /**
   * Of a run that is gone on with: reads back what its shards left in files, as far as it is still needed, so that shards
   * whose bytes are not what was written are computed again. Throws BAD_USAGE when rows of the features are not
   * those that it has worked with.
   */
  async verifyKept(): Promise<void> {
    const { work, model, onNotice } = this.options;
    if (!work) return;
    const kept = keptStages(model);
    if (work.featuresTouched) await this.verify(work, kept[0], true);
    const needed: KeptStage[] = [];
    const dropped: string[] = [];
    const pending = (stage: KeptStage) => work.done(stage.stage, stage.round).size < this.shards.length;
    for (const stage of kept.toReversed()) {
      const wanted = needed.length === 0 || needed.some((later) => later.reads.includes(stage) && pending(later));
      if (!wanted) {
        this.passed.push(stage);
        continue;
      }
      needed.push(stage);
      const count = await this.verify(work, stage);
      if (count > 0) dropped.unshift(`${stage.stage} ${count}`);
    }
    // What a stage writes again is written over what was made of it.
    for (const stage of needed.filter(pending)) {
      for (const later of needed.filter((later) => kept.indexOf(later) > kept.indexOf(stage))) {
        if (writesOver(later, stage))
          work.forget(later.stage, later.round, [...work.done(later.stage, later.round).keys()]);
      }
    }
    if (dropped.length === 0) return;
    onNotice?.(
      `${work.path}: shards whose files are not as they were written are computed again: ${dropped.join(', ')}`,
    );
  }

  /** Finds the candidate edges: counts them, makes room, lists them, puts them in order. */
  async buildEdges(): Promise<void> {
    await this.timed('edges', 'nodes', this.job.nodeCount, async () => {
      await this.runStage('countEdges');
      const edgeCount = startOffsets(this.job.offsets);
      const targets = sharedInts(edgeCount);
      const { head, version } = this.job;
      this.current = {
        ...{ ...this.job, version: version + 1, targets, scores: sharedFloats(edgeCount) },
        ...(head.kind === 'pairwise' && { head: this.pairwiseMemory(head, targets) }),
      };
      await this.runStage('listEdges');
      await this.runStage('sortEdges');
      if (head.kind !== 'pairwise') return;
      await this.runStage('countReverse');
      startOffsets(this.reverse.offsets);
      await this.runStage('listReverse');
    });
  }

  /** What comes before edges can be scored. Head `concat`: afterwards `centres` holds c. */
  async embedNodes(): Promise<void> {
    const stages = { concat: ['project', 'aggregate', 'embed'], pairwise: ['load', 'similarities'] } as const;
    for (const stage of stages[this.job.head.kind]) {
      await this.timed(stage, 'nodes', this.job.nodeCount, () => this.runStage(stage));
    }
  }

  /** Afterwards `edges.scores` and `components` are complete. */
  async scoreEdges(): Promise<void> {
    const { head, rounds, nodeCount } = this.job;
    if (head.kind === 'concat') {
      // The split overwrites in files what embed has read: from now on c must be on the disk.
      await this.options.work?.flush();
      await this.timed('split', 'nodes', nodeCount, () => this.runStage('split'));
    }
    await this.timed('score', 'edges', rounds * this.edges.targets.length, async () => {
      for (let round = 0; round < rounds; round++) {
        if (round > 0) await this.runStage('summarise', round);
        await this.runStage('score', round);
      }
    });
  }

  /** Head `concat`: c of each node after `embedNodes`, in positions: the first p columns of [n × M·p]. */
  get centres(): RowStore {
    const { head } = this.job;
    if (head.kind !== 'concat') throw new Error(`head '${head.kind}' has no centres`);
    return openStore(head.c);
  }

  /** Candidate edges in positions, keyed by the end of smaller input number, and their scores [E]. */
  get edges(): CandidateEdges & { readonly scores: Float32Array } {
    const { nodeCount, offsets, targets, scores } = this.job;
    if (!targets || !scores) throw new Error('buildEdges has not run');
    return { nodeCount, offsets, targets, scores };
  }

  /** Components of the united edges, in positions. */
  get components(): SharedDisjointSet {
    return SharedDisjointSet.from(this.job.components);
  }

  /** Unique rows that tiles gathered from around them for each row they own, over the stages that gather. */
  get haloFactor(): number {
    const gathering = this.job.head.kind === 'concat' ? 3 : 1;
    return this.counters.total('rowsGathered') / (gathering * this.job.nodeCount);
  }

  get shardCount(): number {
    return this.shards.length;
  }

  async close(): Promise<void> {
    this.options.signal?.removeEventListener('abort', this.stop);
    await Promise.all([this.pool.close(), this.devices?.close()]);
    await this.options.work?.close();
  }

  /** The pairwise head is arithmetic over lists, which a device would not do faster than it could be fed. */
  private plan(): BackendPlan {
    const { model, backend = 'auto', provider, startDevice, onNotice } = this.options;
    if (startDevice) return startDevice.plan;
    if (!isPairwise(model)) return planBackend(backend, provider);
    const plain = backend === 'reference';
    if (!plain && backend !== 'auto' && backend !== 'native') {
      onNotice?.(`the model's head 'pairwise' computes on the CPU: back-end native is used, not ${backend}`);
    }
    return { devices: [], otherwise: { backend: plain ? 'reference' : 'native' }, reasons: [] };
  }

  private startDevices(plan: BackendPlan): Devices | undefined {
    const { model, k1, k2, devices = [0], onNotice, startDevice } = this.options;
    if (plan.devices.length === 0 || !isConcat(model)) return undefined;
    const capacity = tileCapacity(this.batch, k1, k2);
    return new Devices({
      ...{ plan, model, capacity, threads: this.threads, devices, onNotice, module: startDevice?.module },
    });
  }

  private get job(): LabelJob {
    if (!this.current) throw new Error('load has not run');
    return this.current;
  }

  private headMemory({ nodeCount }: KnnGraph, dim: number): LabelJob['head'] {
    const { model, k1, k2 } = this.options;
    const paddedDim = Math.ceil(dim / 4) * 4;
    if (model.config.head === 'pairwise') {
      return { kind: 'pairwise', rows: this.rows('x', nodeCount, paddedDim) };
    }
    const { heads } = model.config;
    const [a, b] = [this.rows('a', nodeCount, heads * paddedDim), this.rows('b', nodeCount, heads * paddedDim)];
    return {
      ...{ kind: 'concat', k1, k2, a, b },
      c: this.options.work ? this.rows('c', nodeCount, heads * paddedDim) : a,
      ...{
        s: sharedFloats(nodeCount * heads),
        t: sharedFloats(nodeCount * heads),
        tz: sharedFloats(nodeCount * heads),
      },
    };
  }

  private rows(
    name: string,
    rowCount: number,
    dim: number,
    precision = this.options.precision ?? 'f32',
  ): RowStoreHandle {
    const { work } = this.options;
    return allocateRows({ rowCount, dim, precision }, work && join(work.path, `${name}.rows`));
  }

  /** What a head that scores in rounds keeps of the edges. */
  private pairwiseMemory(head: PairwiseMemory, targets: Int32Array): PairwiseMemory {
    const { nodeCount, width, neighbours: ids, offsets } = this.job;
    const lists = { nodeCount, width, ids, similarities: sharedFloats(nodeCount * width) };
    const reverse = {
      offsets: new Uint32Array(new SharedArrayBuffer(offsets.byteLength)),
      sources: sharedInts(targets.length),
      edges: new Uint32Array(new SharedArrayBuffer(targets.byteLength)),
    };
    const { config } = this.options.model;
    const k = config.head === 'pairwise' ? config.k : 0;
    const structure = this.rows('structure', targets.length, structuralFeatureCount, 'f32');
    const scoring = allocatePairwiseJob(lists, { nodeCount, offsets, targets }, reverse, k, openStore(structure));
    return {
      ...{ ...head, scoring: { ...scoring, structure } },
      earlier: sharedFloats(targets.length),
    };
  }

  private get reverse(): ReverseEdges {
    const { head } = this.job;
    if (head.kind !== 'pairwise' || !head.scoring) throw new Error(`head '${head.kind}' has no reverse edges yet`);
    return head.scoring.reverse;
  }

  private async runStage(stage: ShardStage, round = 0): Promise<void> {
    const { job } = this;
    const { work } = this.options;
    const isThis = (kept: KeptStage) => kept.stage === stage && kept.round === round;
    if (this.passed.some(isThis)) {
      const field = stage === 'score' ? 'edgesScored' : (stage as Stage);
      this.counters.add(0, field, stage === 'score' ? this.edges.targets.length : job.nodeCount);
      return;
    }
    const kept = keptStages(this.options.model).some(isThis) ? work : undefined;
    const done = kept?.done(stage, round);
    job.finished.fill(0);
    const tasks = this.shards.map(
      (shard): ShardTask => ({ stage, round, shard, job, ...(done?.has(shard.index) && { restore: true }) }),
    );
    await this.pool.runAll<ShardTask, ShardResult>(tasks, (task) => this.describe(task), {
      signal: this.options.signal,
      onDone: ({ shard, restore }, result) => {
        if (!restore) kept?.record({ stage, round, shard: shard.index, checks: result.checks ?? [] });
        if (!this.backend) this.options.observer?.backend(result);
        this.backend = result;
      },
      onCounts: (counts) => this.options.observer?.shards(counts),
    });
  }

  /**
   * Reads what shards of a stage left in files, and forgets those that differ: how many. `features`: reads the features
   * instead, by which the shards know them again.
   */
  private async verify(work: WorkDir, { stage, round }: KeptStage, features = false): Promise<number> {
    const { job } = this;
    const done = work.done(stage, round);
    const isRows = (check: { file: string }): check is RowsCheck => 'sum' in check;
    const sums = new Map<string, RowSums>();
    for (const { file, bytes, rowBytes } of features ? [] : [...done.values()].flat().filter(isRows)) {
      if (sums.has(file)) continue;
      sums.set(file, { file, bytes, rowBytes, sums: new Int32Array(new SharedArrayBuffer(4 * this.shards.length)) });
    }
    const tasks = this.shards
      .filter((shard) => done.has(shard.index) || sums.size > 0)
      .map((shard): ShardTask => {
        const read = done.get(shard.index)?.filter((check): check is RangeCheck => !isRows(check)) ?? [];
        const ranges = features ? [] : read.filter(({ file }) => file !== featureRows);
        const ofFeatures = features ? read.find(({ file }) => file === featureRows) : undefined;
        return { stage, round, shard, job, verify: { ranges, rows: [...sums.values()], features: ofFeatures } };
      });
    const differing = new Set<number>();
    await this.pool.runAll<ShardTask, Verdict>(tasks, (task) => this.describe(task), {
      signal: this.options.signal,
      onDone: ({ shard }, verdict) => {
        if (!verdict.features) throw differs(work.path, 'features', 'other rows', 'the file of today');
        if (!verdict.ranges) differing.add(shard.index);
      },
    });
    if (features) {
      work.featuresVerified();
      return 0;
    }
    for (const [shard, checks] of done) {
      for (const check of checks) {
        if (isRows(check) && sums.get(check.file)!.sums[shard] !== (check.sum | 0)) differing.add(shard);
      }
    }
    work.forget(stage, round, differing);
    return differing.size;
  }

  private describe({ stage, shard: { index, start, end } }: ShardTask): string {
    return `stage '${stage}', shard ${index} of ${this.shards.length} (nodes ${start}..${end - 1})`;
  }

  /** Times a stage, and tells about its progress while it runs. */
  private async timed(stage: Stage, unit: 'nodes' | 'edges', total: number, run: () => Promise<void>): Promise<void> {
    const { onProgress, observer } = this.options;
    const field = stage === 'score' ? 'edgesScored' : stage;
    const tell = () => onProgress?.({ stage, done: this.counters.total(field), total, unit });
    const ticker = onProgress && setInterval(tell, progressIntervalMs);
    const began = performance.now();
    const busyBefore = this.counters.total('busySeconds');
    try {
      await run();
    } finally {
      clearInterval(ticker);
    }
    this.seconds[stage] = (performance.now() - began) / 1000;
    tell();
    this.busy[stage] = (this.counters.total('busySeconds') - busyBefore) / (this.seconds[stage] * this.threads);
    observer?.stageDone(stage, this.seconds[stage], this.busy[stage]);
  }
}

/**
 * Throws BAD_USAGE when the lists of a graph are shorter than those that the model and the options look at, and a node has
 * more neighbours than they name. `file`: where the graph comes from.
 */
export function checkWidth(
  { width, nodeCount }: KnnGraph,
  { model: { config }, k1, k2, sampleHops }: Pick<ScoringOptions, 'model' | 'k1' | 'k2' | 'sampleHops'>,
  file?: string,
): void {
  const longest = Math.max(sampleHops, ...(config.head === 'concat' ? [k1, k2] : [config.k]));
  if (width > Math.min(longest, nodeCount - 1)) return;
  const hops = config.head === 'concat' ? `k-hops ${k1} ${k2}` : `a model that looks at ${config.k}`;
  const where = file === undefined ? '' : `${file}: `;
  throw new NaanError(
    'BAD_USAGE',
    `${where}the kNN graph has ${width - 1} neighbours a node, expected at least ${Math.min(longest, nodeCount - 1)} for ${hops} and sample-hops ${sampleHops}`,
  );
}

/**
 * Shards as asked for or, by default, enough of them, as many for each thread, that threads end a stage at nearly the same
 * time.
 */
export function shardCount(
  nodeCount: number,
  { shards = 'auto', threads, batch }: { shards?: number | 'auto' | undefined; threads: number; batch: number },
): number {
  if (shards !== 'auto') {
    if (!(shards >= 1 && shards <= mostShards))
      throw new NaanError('BAD_USAGE', `shards: got ${shards}, expected 1 to ${mostShards}`);
    return Math.min(shards, nodeCount);
  }
  const ofAThread = Math.max(4, Math.ceil(nodeCount / nodesOfAShard / threads));
  return Math.max(1, Math.min(ofAThread * threads, Math.ceil(nodeCount / batch)));
}

function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * 4));
}
