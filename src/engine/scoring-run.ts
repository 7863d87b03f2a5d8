/**
 * The coordinator: lays a labelling job out in shared memory, splits it into shards, and drives the stages over the pool,
 * with a barrier after each. The result (centres, scores, components) is the same to the bit for any number of threads
 * and shards, and for any order of the nodes.
 */

import type { BackendName, OnnxProvider } from '../backends/names.js';
import type { BackendPlan } from '../backends/plan.js';
import { availableCores } from '../cgroup.js';
import { labelPlan, type Partition, type PartitionOptions } from '../cluster/partition.js';
import type { ScoredEdges } from '../cluster/scored-edges.js';
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { type SortedPairs, sortedPairsPlan } from '../cluster/sorted-pairs.js';
import { labelDefaults } from '../defaults.js';
import type { Devices } from '../devices/devices.js';
import { NaanError } from '../errors.js';
import { Counters } from '../execution/counters.js';
import type { Executor } from '../execution/executor.js';
import type { Plan } from '../execution/plan.js';
import { Pool } from '../execution/pool.js';
import { runPlanOn } from '../execution/run-plan.js';
import { type CandidateEdges, pairsOfEdges, startOffsets } from '../graph/candidate-edges.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { reverseOfMarked } from '../graph/reverse-edges.js';
import { type MatrixLocation, shapeOf } from '../io/matrix.js';
import type { SimdLevel } from '../kernels/kernels.js';
import { type FileCheck, featureRows, type RangeCheck, type RowsCheck } from '../memory/file-writes.js';
import { openStore, type Precision, type RowStore, type RowStoreHandle } from '../memory/row-store.js';
import { arrayOf } from '../memory/segments.js';
import { paddedDim, sharedCopy, sharedCounts, sharedInts } from '../memory/shared-arrays.js';
import type { NaanModel } from '../model/model.js';
import type { ProgressListener } from '../progress.js';
import { columnsOf, type Head, type Hops, isKept, type ShardWorkerData, type Stage, type Storage } from './head.js';
import { cutShards, type EdgeStage, type LabelJob, type Shard, type WorkFiles } from './job.js';
import type { WrittenRows } from './kept-shards.js';
import type { KnownScores, Rescore } from './known-scores.js';
import { type Layout, layOutIn, layOutPlan } from './layout.js';
import { messageVersion, type ShardResult, type ShardTask, type Verdict } from './messages.js';
import type { RunObserver } from './run-observer.js';
import type { LeftByShard, Spread } from './spread.js';
import { stepName } from './steps.js';
import { allocateStorage, type Column, joinStorage, rowsFile, writesOver } from './storage.js';
import { type Survey, surveyPlan } from './survey.js';
import { differs, mostShards, type WorkDir } from './work-dir.js';

export interface EngineOptions {
  /** Worker threads; default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Number of shards of the nodes; default `auto`: enough to keep every thread busy to the end of a stage. */
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
  /** The precision of rows between stages; default f32. */
  readonly precision?: Precision | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly observer?: RunObserver | undefined;
  /** Hears what a user should know, such as a device that was lost. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface ScoringOptions extends EngineOptions {
  readonly model: NaanModel;
  /** The head of the model. */
  readonly head: Head;
  readonly hops: Hops;
  /** The work directory that keeps rows and finished shards; without it rows are in memory. */
  readonly work?: WorkDir | undefined;
  /** Other processes that share the shards; what tasks leave is then in segments in this folder. */
  readonly shared?: { readonly path: string; readonly spread?: Spread } | undefined;
  /** Another module that starts devices, and what it is to start. */
  readonly startDevice?: { readonly module: URL; readonly plan: BackendPlan } | undefined;
}

export interface ScoringInput {
  readonly features: MatrixLocation;
  readonly layout: Layout;
  /** Edges of this score or more are united; −Infinity unites all. */
  readonly uniteFrom: number;
  /** Keep what each round of scores gave: `rounds`. */
  readonly keepRounds?: boolean;
  /** Lists and scores of a run before, which heads that can do not compute again. Not with a work directory. */
  readonly known?: KnownScores | undefined;
}

const progressIntervalMs = 200;
const nodesOfAShard = 8192;
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
  /** The back-end that the workers started, once the first task is done. */
  backend: ShardResult | undefined;
  /** With `keepRounds`: the scores of each round, in positions; the last is the result [E]. */
  readonly rounds: Float32Array[] = [];
  /** With `known`: times that an edge was scored. */
  scoredAnew: number | undefined;
  /** With `known`: the edges by input number, and their scores in each round. */
  private inOrder: (CandidateEdges & { readonly rounds: readonly Float32Array[] }) | undefined;
  private readonly batch: number;
  /** Passes of the head over the shards, in order. */
  readonly stages: readonly Stage[];
  private readonly executor: Executor;
  private readonly cancel = new Int32Array(new SharedArrayBuffer(4));
  private readonly stop = () => void Atomics.store(this.cancel, 0, 1);
  private current: LabelJob | undefined;
  private shards: Shard[] = [];
  /** Nodes or edges of the running stage that other processes have computed. */
  private countedElsewhere = 0;
  /** Stages whose results nobody needs any more, as all that was made of them is there. */
  private readonly passed = new Set<Stage>();

  /** Starts the threads, which load their back-end while the caller reads its input. */
  constructor(private readonly options: ScoringOptions) {
    const { model, head, hops, signal, simd, startDevice, onNotice, devices = [0] } = options;
    this.threads = options.threads ?? availableCores();
    this.batch = options.batch ?? labelDefaults.batch;
    this.stages = head.stages(model.config);
    const parts = new Set(this.stages.map(({ part }) => part).filter((part) => part !== 'score'));
    this.counters = Counters.allocate(this.threads, ['edges', ...parts]);
    const { backend = 'auto', provider } = options;
    const plan = startDevice?.plan ?? head.planBackend({ backend, provider, onNotice });
    const { batch, threads } = this;
    this.devices = head.startDevices(model, {
      plan,
      batch,
      hops,
      threads,
      devices,
      onNotice,
      module: startDevice?.module,
    });
    const workerData: ShardWorkerData = {
      model,
      batch,
      hops,
      backend: plan.otherwise,
      devices: this.devices?.handle,
      simd,
      threads,
      tickets: sharedInts(1),
    };
    const worker = new URL('../../workers/shard-worker.js', import.meta.url);
    this.executor = new Pool({ worker, threads, workerData });
    signal?.addEventListener('abort', this.stop);
    if (signal?.aborted) this.stop();
    options.work?.onLost(this.stop);
  }

  /**
   * The graph in the order in which it is best laid out; found on workers, so that this thread can answer signals.
   */
  layOut(graph: KnnGraph): Promise<Layout> {
    return this.runPlan(layOutPlan(graph, this.threads));
  }

  /** The graph in a given order. */
  layOutIn(graph: KnnGraph, order: Int32Array): Promise<Layout> {
    return this.runPlan(layOutIn(graph, order, this.threads));
  }

  /** Surveys the features before anything is computed from them. */
  survey(features: MatrixLocation, findCopies: boolean): Promise<Survey> {
    return this.runPlan(surveyPlan(features, findCopies, surveyedRangesEach * this.threads));
  }

  /** Labels by input number of what has been scored. */
  cut(partition: Partition, options: PartitionOptions): Promise<Int32Array> {
    const { order, components } = this.job;
    const plan = labelPlan(this.edges, partition, { ...options, order }, this.threads, components);
    return this.runPlan(plan);
  }

  /** Candidate edges as pairs a < b of input numbers, sorted, and their scores; with `rounds` those of the rounds before the last too. */
  async sortedPairs(rounds = false): Promise<SortedPairs> {
    const { order, positions } = this.job;
    if (this.inOrder) {
      const earlier = rounds ? this.inOrder.rounds.slice(0, -1) : [];
      return { pairs: pairsOfEdges(this.inOrder), scores: this.inOrder.rounds.at(-1)!, rounds: earlier };
    }
    const earlier = rounds ? this.rounds.slice(0, -1) : [];
    return this.runPlan(sortedPairsPlan({ edges: this.edges, rounds: earlier, order, positions }, this.threads));
  }

  /**
   * Scores the candidate edges of an input: afterwards `edges` and `components` are complete. `afterPart` is called when a
   * part is done. Throws BAD_USAGE when the graph has too few neighbours, or when a run that is gone on with has worked
   * with other features.
   */
  async score(input: ScoringInput, afterPart?: (part: string) => void): Promise<void> {
    await this.open(input);
    this.rounds.length = 0;
    const { rescore } = this.options.head;
    if (input.known && rescore) return this.rescore(input.known, rescore);
    for (const part of new Set(this.stages.map((stage) => stage.part))) {
      const stages = this.stages.filter((stage) => stage.part === part);
      const scorings = stages.filter(({ name }) => name === 'score').length;
      const total = scorings > 0 ? scorings * this.edges.targets.length : this.job.nodeCount;
      await this.timed(part, scorings > 0 ? 'edges' : 'nodes', total, async () => {
        for (const stage of stages) {
          await this.runStage(stage);
          if (input.keepRounds && stage.name === 'score')
            this.rounds.push(sharedCopy(this.columns[stage.columns[0]].values));
        }
      });
      afterPart?.(part);
    }
  }

  /** Computes of an opened input what differs from a run before. */
  private async rescore(known: KnownScores, rescore: Rescore): Promise<void> {
    const { nodeCount } = this.job;
    const only = {
      nodes: new Uint8Array(new SharedArrayBuffer(nodeCount)),
      edges: new Uint8Array(new SharedArrayBuffer(this.edges.targets.length)),
    };
    this.current = { ...this.job, version: this.job.version + 1, only };
    await this.timed('score', 'edges', this.edges.targets.length, async () => {
      const { scored, rounds } = await rescore(
        {
          job: this.job,
          only,
          columns: this.columns,
          stages: this.stages,
          run: (stage) => this.runStage(stage),
          findReverse: (marked) => this.findReverse(marked),
        },
        known,
      );
      this.scoredAnew = scored;
      this.inOrder = { ...known.edges, rounds };
    });
  }

  /** Lays an input out and finds its edges, so that stages may run. */
  async open(input: ScoringInput): Promise<void> {
    this.load(input);
    if (this.options.work?.resumed) await this.measured('verify', () => this.verifyKept());
    if (input.known && this.options.head.rescore) await this.takeEdges(input.known.edges);
    else await this.buildEdges();
  }

  private load(input: ScoringInput): void {
    const { features, layout } = input;
    const { graph, order, positions } = layout;
    const { hops, head, shards, work } = this.options;
    const { nodeCount } = graph;
    checkWidth(graph, head, hops);
    const count = work?.header.shards ?? shardCount(nodeCount, { shards, threads: this.threads, batch: this.batch });
    this.shards = cutShards(nodeCount, count);
    this.current = {
      version: 0,
      features,
      nodeCount,
      sampleHops: hops.sampleHops,
      batch: this.batch,
      uniteFrom: input.uniteFrom,
      neighbours: graph.ids,
      width: graph.width,
      cancel: this.cancel,
      counters: this.counters.handle(),
      ...(order && positions ? { order, positions } : {}),
      offsets: sharedCounts(nodeCount + 1),
      components: SharedDisjointSet.allocate(nodeCount).handle(),
      storage: this.allocate('node', nodeCount, shapeOf(features).dim, graph.width),
      finished: sharedInts(count),
      work: this.workFiles(),
    };
    this.options.observer?.start({
      head: this.options.model.config.head,
      counters: this.counters,
      threads: this.threads,
      shards: count,
      devices: this.devices?.readings ?? [],
    });
  }

  private workFiles(): WorkFiles | undefined {
    const { work, shared } = this.options;
    if (shared) return { path: shared.path, segments: true, ...(work && { lease: work.lease }) };
    return work && { path: work.path, lease: work.lease };
  }

  private allocate(per: 'node' | 'edge', count: number, dim: number, listWidth: number) {
    const { precision = 'f32', work, shared } = this.options;
    return allocateStorage(this.storageSpecs(dim, listWidth), per, count, {
      precision,
      folder: work?.path,
      segments: shared !== undefined,
    });
  }

  private storageSpecs(dim: number, listWidth: number): Storage {
    const { head, model } = this.options;
    return head.storage(model.config, { paddedDim: paddedDim(dim), listWidth });
  }

  /**
   * Reads back what the shards of a resumed run left in files, as far as it is still needed, so that shards whose bytes
   * differ from what was written are computed again. Throws BAD_USAGE when rows of the features are not
   * those that it has worked with.
   */
  private async verifyKept(): Promise<void> {
    const { work, onNotice, shared } = this.options;
    if (!work) return;
    const kept = this.stages.filter(isKept);
    if (work.featuresTouched) await this.verify(work, kept[0], true);
    const needed: Stage[] = [];
    const dropped: string[] = [];
    const pending = (stage: Stage) => work.done(stage.name, stage.round).size < this.shards.length;
    for (const stage of kept.toReversed()) {
      const wanted = needed.length === 0 || needed.some((later) => later.reads.includes(stage) && pending(later));
      if (!wanted) {
        this.passed.add(stage);
        continue;
      }
      needed.push(stage);
      const count = await this.verify(work, stage);
      if (count > 0) dropped.unshift(`${stage.name} ${count}`);
    }
    // A stage that runs again writes over results that later stages made of it; segments are never written over.
    for (const stage of shared ? [] : needed.filter(pending)) {
      for (const later of needed.filter((later) => kept.indexOf(later) > kept.indexOf(stage))) {
        if (writesOver(later, stage))
          work.forget(later.name, later.round, [...work.done(later.name, later.round).keys()]);
      }
    }
    if (dropped.length === 0) return;
    onNotice?.(
      `${work.path}: shards whose files are not as they were written are computed again: ${dropped.join(', ')}`,
    );
  }

  /** Finds the candidate edges: counts them, makes room, lists them, puts them in order. */
  private async buildEdges(): Promise<void> {
    await this.timed('edges', 'nodes', this.job.nodeCount, async () => {
      await this.runEdgeStage('countEdges');
      this.makeRoom(startOffsets(this.job.offsets));
      await this.runEdgeStage('listEdges');
      await this.runEdgeStage('sortEdges');
      if (this.options.head.needsReverse) await this.findReverse();
    });
  }

  /** Takes candidate edges that are known, by input number. */
  private async takeEdges(known: CandidateEdges): Promise<void> {
    await this.timed('edges', 'nodes', this.job.nodeCount, async () => {
      const { order, positions, nodeCount, offsets } = this.job;
      this.makeRoom(known.targets.length);
      const targets = this.job.targets!;
      for (let p = 0, e = 0; p < nodeCount; p++) {
        const a = order ? order[p] : p;
        for (let i = known.offsets[a]; i < known.offsets[a + 1]; i++, e++) {
          targets[e] = positions ? positions[known.targets[i]] : known.targets[i];
        }
        offsets[p + 1] = e;
      }
      this.counters.add(0, 'edges', nodeCount);
    });
  }

  /** Memory for so many edges. */
  private makeRoom(edgeCount: number): void {
    const { job } = this;
    const ofEdges = this.allocate('edge', edgeCount, shapeOf(job.features).dim, job.width);
    const storage = joinStorage(job.storage, ofEdges);
    this.current = { ...job, version: job.version + 1, targets: sharedInts(edgeCount), storage };
  }

  /** Finds the edges of marked nodes [n], or of all, at their other end. */
  private async findReverse(marked?: Uint8Array): Promise<void> {
    const { nodeCount, offsets, version } = this.job;
    const targets = this.job.targets!;
    const edgeCount = targets.length;
    const reverse = marked
      ? reverseOfMarked({ nodeCount, offsets, targets }, marked)
      : { offsets: sharedCounts(nodeCount + 1), sources: sharedInts(edgeCount), edges: sharedCounts(edgeCount) };
    this.current = { ...this.job, version: version + 1, reverse };
    if (marked) return;
    await this.runEdgeStage('countReverse');
    startOffsets(reverse.offsets);
    await this.runEdgeStage('listReverse');
  }

  /** Input number of the node at each position [n]; undefined where nodes keep the order of the input. */
  get order(): Int32Array | undefined {
    return this.job.order;
  }

  /** Rows of the storage, in positions. */
  rows(name: string): RowStore {
    return openStore(this.job.storage.rows[name]);
  }

  /** The columns of nodes and edges in memory, by name. */
  get columns(): Readonly<Record<string, Column>> {
    return this.job.storage.columns;
  }

  /** Candidate edges in positions, keyed by the end of smaller input number, and their scores [E]. */
  get edges(): ScoredEdges {
    const { nodeCount, offsets, targets, storage } = this.job;
    const scores = storage.columns.scores?.values;
    if (!targets || !scores) throw new Error('nothing was scored');
    return { nodeCount, offsets, targets, scores };
  }

  /** Components of the united edges, in positions. */
  get components(): SharedDisjointSet {
    return SharedDisjointSet.from(this.job.components);
  }

  /** Unique rows that tiles gathered from around them for each row they own, over the stages that gather. */
  get haloFactor(): number {
    const gathering = this.stages.filter(({ gathers }) => gathers).length;
    return this.counters.total('rowsGathered') / (gathering * this.job.nodeCount);
  }

  get shardCount(): number {
    return this.shards.length;
  }

  async close(): Promise<void> {
    this.options.signal?.removeEventListener('abort', this.stop);
    await Promise.all([this.executor.close(), this.devices?.close()]);
    await this.options.work?.close();
  }

  /** Runs a plan of the steps in steps.ts on the threads. */
  runPlan<T>(plan: Plan<T>): Promise<T> {
    return runPlanOn(this.executor, plan, stepName, this.options.signal);
  }

  private get job(): LabelJob {
    if (!this.current) throw new Error('nothing was scored');
    return this.current;
  }

  /** Runs a stage here or, as far as it is shared, with others. */
  async runStage(stage: Stage): Promise<void> {
    const { job, counters } = this;
    const { name, round } = stage;
    if (this.passed.has(stage)) {
      if (name === 'score') counters.add(0, 'edgesScored', this.edges.targets.length);
      else counters.add(0, name, job.nodeCount);
      return;
    }
    const { spread } = this.options.shared ?? {};
    if (spread && isKept(stage)) return this.runSpread(stage, spread);
    const work = isKept(stage) ? this.options.work : undefined;
    // Files that the stage writes over must have been used, and the results made of them must be on the disk.
    if (work && this.stages.some((earlier) => earlier !== stage && writesOver(stage, earlier))) await work.flush();
    const done = work?.done(name, round);
    const tasks = this.shards.map(
      (shard): ShardTask => ({
        version: messageVersion,
        stage: name,
        round,
        shard,
        ...(done?.has(shard.index) && { restore: true }),
      }),
    );
    await this.runShards(tasks, ({ shard, restore }, result) => {
      if (!restore) work?.record({ stage: name, round, shard: shard.index, checks: result.checks ?? [] });
    });
  }

  /** A stage whose shards other processes share. */
  private async runSpread(stage: Stage, spread: Spread): Promise<void> {
    const { work } = this.options;
    const { name, round } = stage;
    const here = new Set<number>();
    const done = new Map([...(work?.done(name, round) ?? [])].map(([shard, checks]) => [shard, rangesOf(checks)]));
    const left = await spread.run({
      stage,
      last: stage === this.stages.at(-1),
      shards: this.shards,
      done,
      compute: (shards, onLeft) =>
        this.compute(stage, shards, (shard, checks) => {
          here.add(shard);
          onLeft(shard, checks);
        }),
      record: (shard, checks) => work?.record({ stage: name, round, shard, checks }),
      flush: async () => work?.flush(),
      elsewhere: (shard) => {
        this.countedElsewhere += this.unitsOf(stage, this.shards[shard]);
      },
    });
    this.countedElsewhere = 0;
    if (left) await this.adopt(stage, left, here);
  }

  /** Nodes or edges that a shard counts. */
  private unitsOf({ name }: Stage, { start, end }: Shard): number {
    const { offsets } = this.job;
    return name === 'score' ? offsets[end] - offsets[start] : end - start;
  }

  /** Computes shards of a stage in this process. */
  compute(
    { name: stage, round }: Stage,
    shards: readonly Shard[],
    onLeft: (shard: number, left: readonly RangeCheck[]) => void,
  ): Promise<void> {
    const tasks = shards.map((shard): ShardTask => ({ version: messageVersion, stage, round, shard }));
    return this.runShards(tasks, ({ shard }, { checks = [] }) => onLeft(shard.index, rangesOf(checks)));
  }

  /** Takes over what all shards of a stage have left; those of `here` were computed in this process. */
  async adopt(stage: Stage, left: LeftByShard, here: ReadonlySet<number>): Promise<void> {
    const { name, round } = stage;
    const segmentsOfShard = ({ index }: Shard) => left.get(index) ?? [];
    const tasks = this.shards
      .filter(({ index }) => !here.has(index))
      .map((shard): ShardTask => {
        return { version: messageVersion, stage: name, round, shard, restore: true, segments: segmentsOfShard(shard) };
      });
    if (tasks.length > 0) await this.runShards(tasks);
    const { job, shards } = this;
    const { order, offsets, nodeCount, storage } = job;
    const specs = this.storageSpecs(shapeOf(job.features).dim, job.width).rows;
    const rows: Record<string, RowStoreHandle> = {};
    for (const array of stage.rows) {
      const handle = storage.rows[array];
      const ofEdges = specs.find((spec) => spec.name === array)?.per === 'edge';
      const index = {
        folder: this.options.shared!.path,
        segments: shards.map((shard) => segmentsOfShard(shard).find(({ file }) => arrayOf(file) === rowsFile(array))),
        starts: [...shards.map(({ start }) => start), nodeCount].map((node) => (ofEdges ? offsets[node] : node)),
        order: stage.ofFeatures ? order : undefined,
      };
      rows[array] = { ...handle, words: { index } };
    }
    this.current = {
      ...job,
      version: job.version + 1,
      storage: joinStorage(storage, { rows, columns: {}, scratch: {} }),
    };
  }

  private runEdgeStage(stage: EdgeStage): Promise<void> {
    return this.runShards(this.shards.map((shard): ShardTask => ({ version: messageVersion, stage, round: 0, shard })));
  }

  private async runShards(tasks: ShardTask[], onDone?: (task: ShardTask, result: ShardResult) => void): Promise<void> {
    const { observer, signal, onNotice } = this.options;
    for (const { shard } of tasks) this.job.finished[shard.index] = 0;
    await this.executor.runAll<ShardTask, ShardResult>(tasks, (task) => this.describe(task), {
      context: this.job,
      signal,
      onDone: (task, result) => {
        onDone?.(task, result);
        if (result.backend !== this.backend?.backend || result.simd !== this.backend.simd) observer?.backend(result);
        this.backend = result;
      },
      onCounts: (counts) => observer?.shards(counts),
      onRetry: (task, reason) => onNotice?.(`${task} failed and is run again: ${reason}`),
    });
  }

  /**
   * Reads what shards of a stage left in files, and forgets those that differ: how many. `features`: reads the features
   * instead, by which the shards know them again.
   */
  private async verify(work: WorkDir, { name: stage, round }: Stage, features = false): Promise<number> {
    const done = work.done(stage, round);
    const isRows = (check: { file: string }): check is RowsCheck => 'sum' in check;
    const written = new Map<string, WrittenRows>();
    for (const { file, bytes, rowBytes } of features ? [] : [...done.values()].flat().filter(isRows)) {
      written.set(file, { file, bytes, rowBytes });
    }
    const rows = [...written.values()];
    const sums = new Map(rows.map(({ file }) => [file, new Int32Array(this.shards.length)]));
    const tasks = this.shards
      .filter((shard) => done.has(shard.index) || rows.length > 0)
      .map((shard): ShardTask => {
        const read = done.get(shard.index)?.filter((check): check is RangeCheck => !isRows(check)) ?? [];
        const ranges = features ? [] : read.filter(({ file }) => file !== featureRows);
        const ofFeatures = features ? read.find(({ file }) => file === featureRows) : undefined;
        return { version: messageVersion, stage, round, shard, verify: { ranges, rows, features: ofFeatures } };
      });
    const differing = new Set<number>();
    await this.executor.runAll<ShardTask, Verdict>(tasks, (task) => this.describe(task), {
      context: this.job,
      signal: this.options.signal,
      onDone: ({ shard }, verdict) => {
        if (!verdict.features) throw differs(work.path, 'features', 'other rows', 'the file of today');
        if (!verdict.ranges) differing.add(shard.index);
        verdict.sums.forEach((found, i) => {
          const total = sums.get(rows[i].file)!;
          for (const [writer, sum] of found) total[writer] += sum;
        });
      },
    });
    if (features) {
      work.featuresVerified();
      return 0;
    }
    for (const [shard, checks] of done) {
      for (const check of checks) {
        if (isRows(check) && sums.get(check.file)![shard] !== (check.sum | 0)) differing.add(shard);
      }
    }
    work.forget(stage, round, differing);
    return differing.size;
  }

  private describe({ stage, shard: { index, start, end } }: ShardTask): string {
    return `stage '${stage}', shard ${index} of ${this.shards.length} (nodes ${start}..${end - 1})`;
  }

  /** Times a part, and reports its progress while it runs. */
  private async timed(part: string, unit: 'nodes' | 'edges', total: number, run: () => Promise<void>): Promise<void> {
    const { onProgress, observer } = this.options;
    const field = unit === 'edges' ? 'edgesScored' : part;
    const tell = () =>
      onProgress?.({ stage: part, done: this.counters.total(field) + this.countedElsewhere, total, unit });
    const ticker = onProgress && setInterval(tell, progressIntervalMs);
    try {
      await this.measured(part, run);
    } finally {
      clearInterval(ticker);
    }
    tell();
    observer?.stageDone(part, this.seconds[part], this.busy[part]);
  }

  private async measured(part: string, run: () => Promise<void>): Promise<void> {
    const began = performance.now();
    const busyBefore = this.counters.total('busySeconds');
    await run();
    this.seconds[part] = (performance.now() - began) / 1000;
    this.busy[part] = (this.counters.total('busySeconds') - busyBefore) / (this.seconds[part] * this.threads);
  }
}

/** Where tasks leave segments, all checks are of ranges. */
function rangesOf(checks: readonly FileCheck[]): RangeCheck[] {
  return checks.filter((check): check is RangeCheck => !('sum' in check));
}

/**
 * Throws BAD_USAGE when the lists of a graph are shorter than those that the model and the options look at, and a node has
 * more neighbours than they name. `file`: where the graph comes from.
 */
export function checkWidth({ width, nodeCount }: KnnGraph, head: Head, hops: Hops, file?: string): void {
  const longest = Math.min(columnsOf(hops) - 1, nodeCount - 1);
  if (width > longest) return;
  const where = file === undefined ? '' : `${file}: `;
  const asked = `${head.describeHops(hops)} and sample-hops ${hops.sampleHops}`;
  throw new NaanError(
    'BAD_USAGE',
    `${where}the kNN graph has ${width - 1} neighbours a node, expected at least ${longest} for ${asked}`,
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
