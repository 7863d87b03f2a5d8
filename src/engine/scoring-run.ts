/**
 * The coordinator: lays a labelling job out in shared memory, cuts it into shards, and drives the stages over the pool,
 * with a barrier after each. The result (centres, scores, components) is the same to the bit for any number of threads
 * and shards, and for any order of the nodes.
 */
import { availableParallelism } from 'node:os';
import type { BackendName } from '../backends/backend.js';
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { NaanError } from '../errors.js';
import { type CandidateEdges, startOffsets } from '../graph/candidate-edges.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { SimdLevel } from '../kernels/kernels.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { RunObserver } from '../metrics/run-observer.js';
import type { ConcatModel } from '../model/model.js';
import type { ProgressListener } from '../progress.js';
import { Counters, type Stage } from './counters.js';
import { cutShards, type LabelJob, type Shard, type ShardStage, type ShardTask, shardStages } from './job.js';
import { Pool } from './pool.js';
import type { ShardResult } from './shard-runner.js';

export interface EngineOptions {
  /** Worker threads; default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Shards the nodes are cut into; default `auto`: enough to keep every thread busy to the end of a stage. */
  readonly shards?: number | 'auto' | undefined;
  /** Nodes of a tile, the unit of gathering and of a GEMM; default 512. */
  readonly batch?: number | undefined;
  readonly backend?: BackendName | 'auto' | undefined;
  /** Forces a SIMD level of the native back-end; default: the best that this engine runs. */
  readonly simd?: SimdLevel | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly observer?: RunObserver | undefined;
}

export interface ScoringOptions extends EngineOptions {
  readonly model: ConcatModel;
  readonly k1: number;
  readonly k2: number;
  readonly sampleHops: number;
}

export interface ScoringInput {
  readonly features: MatrixLocation;
  readonly graph: KnnGraph;
  /** Input number of each position: the order in which nodes are laid out. Default: as they come. */
  readonly order?: Int32Array | undefined;
  /** Edges of this score or more are united; −Infinity unites all. */
  readonly uniteFrom: number;
}

/** Given to each worker once. */
export interface ShardWorkerData {
  readonly model: ConcatModel;
  readonly batch: number;
  readonly k1: number;
  readonly k2: number;
  readonly backend: BackendName | 'auto';
  readonly simd: SimdLevel | undefined;
  readonly threads: number;
  /** [1]: the next worker's number. */
  readonly tickets: Int32Array;
}

const progressIntervalMs = 200;
const nodesOfAShard = 8192;

export class ScoringRun {
  readonly threads: number;
  readonly counters: Counters;
  /** Seconds of each stage that has run. */
  readonly seconds: Record<string, number> = {};
  normalisedRows = 0;
  /** What the workers started, once the first task is done. */
  backend: { readonly backend: string; readonly simd: string } | undefined;
  private readonly batch: number;
  private readonly pool: Pool;
  private readonly cancel = new Int32Array(new SharedArrayBuffer(4));
  private readonly stop = () => void Atomics.store(this.cancel, 0, 1);
  private current: LabelJob | undefined;
  private shards: Shard[] = [];

  /** Starts the threads, which load their back-end while the caller reads its input. */
  constructor(private readonly options: ScoringOptions) {
    const { model, k1, k2, signal } = options;
    this.threads = options.threads ?? availableParallelism();
    this.batch = options.batch ?? 512;
    this.counters = new Counters(this.threads);
    const workerData: ShardWorkerData = {
      ...{ model, k1, k2, batch: this.batch, threads: this.threads },
      ...{ backend: options.backend ?? 'auto', simd: options.simd },
      tickets: new Int32Array(new SharedArrayBuffer(4)),
    };
    const worker = new URL('../../workers/shard-worker.js', import.meta.url);
    this.pool = new Pool({ worker, threads: this.threads, workerData });
    signal?.addEventListener('abort', this.stop);
    if (signal?.aborted) this.stop();
  }

  /** Lays out shared memory for this input. Throws BAD_SHAPE when features, graph and model do not fit together. */
  load(input: ScoringInput): void {
    const { features, graph, order } = input;
    const { model, k1, k2, sampleHops, shards = 'auto' } = this.options;
    const { dim, heads } = model.config;
    const nodeCount = graph.nodeCount;
    const longest = Math.max(k1, k2, sampleHops);
    if (graph.width < longest + 1) {
      throw new NaanError(
        'BAD_USAGE',
        `the kNN graph has ${graph.width - 1} neighbours a node, expected at least ${longest} for k-hops ${k1} ${k2} and sample-hops ${sampleHops}`,
      );
    }
    const paddedDim = Math.ceil(dim / 4) * 4;
    const count = shards === 'auto' ? this.autoShards(nodeCount) : Math.min(shards, nodeCount);
    this.shards = cutShards(nodeCount, count);
    const positions = order && inverse(order);
    this.current = {
      ...{ version: 0, shardCount: count, features, nodeCount, k1, k2, sampleHops },
      neighbours: order && positions ? renumber(graph, order, positions) : graph.ids,
      width: graph.width,
      ...(order && positions ? { order, positions } : {}),
      a: SharedRows.allocate(nodeCount, heads * paddedDim).handle(),
      b: SharedRows.allocate(nodeCount, heads * paddedDim).handle(),
      s: sharedFloats(nodeCount * heads),
      t: sharedFloats(nodeCount * heads),
      tz: sharedFloats(nodeCount * heads),
      offsets: new Uint32Array(new SharedArrayBuffer((nodeCount + 1) * 4)),
      components: SharedDisjointSet.allocate(nodeCount).handle(),
      uniteFrom: input.uniteFrom,
      batch: this.batch,
      counters: this.counters.handle(),
      finished: new Int32Array(new SharedArrayBuffer(shardStages.length * count * 4)),
      cancel: this.cancel,
    };
    this.options.observer?.start({ counters: this.counters, threads: this.threads, shards: count });
  }

  /** Finds the candidate edges: counts them, makes room, lists them, puts them in order. */
  async buildEdges(): Promise<void> {
    const nodes = this.job.nodeCount;
    await this.timed('edges', 'nodes', nodes, async () => {
      await this.runStage('countEdges');
      const edgeCount = startOffsets(this.job.offsets);
      this.current = {
        ...this.job,
        version: this.job.version + 1,
        targets: new Int32Array(new SharedArrayBuffer(edgeCount * 4)),
        scores: sharedFloats(edgeCount),
      };
      await this.runStage('listEdges');
      await this.runStage('sortEdges');
    });
  }

  /** project, aggregate, embed: afterwards `centres` holds c. */
  async embedNodes(): Promise<void> {
    for (const stage of ['project', 'aggregate', 'embed'] as const) {
      await this.timed(stage, 'nodes', this.job.nodeCount, () => this.runStage(stage));
    }
  }

  /** split, score: afterwards `scores` and `components` are complete. */
  async scoreEdges(): Promise<void> {
    await this.timed('split', 'nodes', this.job.nodeCount, () => this.runStage('split'));
    await this.timed('score', 'edges', this.edges.targets.length, () => this.runStage('score'));
  }

  /** c of each node after `embedNodes`, in positions: the first p columns of [n × M·p]. */
  get centres(): SharedRows {
    return SharedRows.from(this.job.a);
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

  get shardCount(): number {
    return this.shards.length;
  }

  async close(): Promise<void> {
    this.options.signal?.removeEventListener('abort', this.stop);
    await this.pool.close();
  }

  private get job(): LabelJob {
    if (!this.current) throw new Error('load has not run');
    return this.current;
  }

  private autoShards(nodeCount: number): number {
    const wanted = Math.max(4 * this.threads, Math.ceil(nodeCount / nodesOfAShard));
    return Math.max(1, Math.min(wanted, Math.ceil(nodeCount / this.batch)));
  }

  private async runStage(stage: ShardStage): Promise<void> {
    const { job } = this;
    const tasks = this.shards.map((shard): ShardTask => ({ stage, shard, job }));
    await this.pool.runAll<ShardTask, ShardResult>(
      tasks,
      ({ shard }) =>
        `stage '${stage}', shard ${shard.index} of ${this.shards.length} (nodes ${shard.start}..${shard.end - 1})`,
      {
        signal: this.options.signal,
        onDone: (_, result) => {
          this.normalisedRows += result.normalisedRows;
          if (!this.backend) this.options.observer?.backend(result);
          this.backend = { backend: result.backend, simd: result.simd };
        },
        onCounts: (counts) => this.options.observer?.shards(counts),
      },
    );
  }

  /** Times a stage, and tells about its progress while it runs. */
  private async timed(stage: Stage, unit: 'nodes' | 'edges', total: number, run: () => Promise<void>): Promise<void> {
    const { onProgress, observer } = this.options;
    const field = stage === 'score' ? 'edgesScored' : stage;
    const tell = () => onProgress?.({ stage, done: this.counters.total(field), total, unit });
    const ticker = onProgress && setInterval(tell, progressIntervalMs);
    const began = performance.now();
    try {
      await run();
    } finally {
      clearInterval(ticker);
    }
    this.seconds[stage] = (performance.now() - began) / 1000;
    tell();
    observer?.stageDone(stage, this.seconds[stage]);
  }
}

function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * 4));
}

function inverse(order: Int32Array): Int32Array {
  const positions = new Int32Array(new SharedArrayBuffer(order.length * 4));
  for (let p = 0; p < order.length; p++) positions[order[p]] = p;
  return positions;
}

/** The kNN lists in positions: row p is the list of node order[p]. */
function renumber({ ids, width }: KnnGraph, order: Int32Array, positions: Int32Array): Int32Array {
  const out = new Int32Array(new SharedArrayBuffer(ids.length * 4));
  for (let p = 0; p < order.length; p++) {
    const from = order[p] * width;
    for (let c = 0; c < width; c++) out[p * width + c] = ids[from + c] < 0 ? -1 : positions[ids[from + c]];
  }
  return out;
}
