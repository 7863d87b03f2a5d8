/**
 * The contract between the engine and a head, the part of a model that scores edges. The coordinator knows a head by its stages and by
 * what they leave, so that memory, the memory plan, progress, files and restarts follow from one description; threads know
 * what computes the stages. A new head implements `Head`, and is named in `heads/heads.ts`.
 */
import type { BackendName, OnnxProvider } from '../backends/names.js';
import type { BackendChoice, BackendPlan } from '../backends/plan.js';
import { labellingHops } from '../defaults.js';
import type { Devices, DevicesHandle } from '../devices/devices.js';
import type { MatrixLocation } from '../io/matrix.js';
import type { SimdLevel } from '../kernels/kernels.js';
import type { ModelConfig, NaanModel } from '../model/model.js';
import type { Rescore } from './known-scores.js';
import type { OpenJob } from './open-job.js';

/** One pass over all shards, with a barrier before and after it. */
export interface Stage {
  readonly name: string;
  /** Number of the pass where a stage is run several times, from 0. */
  readonly round: number;
  /** The name under which progress, times and metrics count it. `score` counts edges, any other nodes. */
  readonly part: string;
  /** Its shards are rows of the feature file, in the file's order, not positions. */
  readonly ofFeatures: boolean;
  /** Whether its tiles gather rows of other nodes. */
  readonly gathers: boolean;
  /** Rows and columns of the storage that its shards write, each shard its own part. */
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** Earlier stages whose rows and columns it may read, all of them. */
  readonly reads: readonly Stage[];
}

/** A stage with the usual values for what is left out. */
export function stage(name: string, given: Partial<Stage> = {}): Stage {
  const { round = 0, part = name, ofFeatures = false, gathers = false, rows = [], columns = [], reads = [] } = given;
  return { name, round, part, ofFeatures, gathers, rows, columns, reads };
}

/** Whether a work directory keeps what the stage leaves; what other stages leave is computed again in each process. */
export function isKept({ rows, columns }: Stage): boolean {
  return rows.length + columns.length > 0;
}

/** An array that a head keeps, of `width` numbers for each node or each candidate edge. */
interface Kept {
  readonly name: string;
  readonly per: 'node' | 'edge';
  readonly width: number;
  /** The name of the memory that it is in, if another has it too: the later one then overwrites the earlier. */
  readonly memory?: string;
}

export interface Storage {
  /** Wide matrices that are gathered from, in memory or in files, in the precision of the run or as float32. */
  readonly rows: readonly (Kept & { readonly exact?: boolean })[];
  /** Float32 in shared memory, with a copy in files where there is a work directory. The column `scores` is the result. */
  readonly columns: readonly Kept[];
  /** Float64 in shared memory, which no later stage reads after a restart. */
  readonly scratch: readonly Kept[];
}

/** The counts that the sizes of a storage depend on. */
interface StorageShape {
  /** Values of a row of the features, padded to a multiple of 4. */
  readonly paddedDim: number;
  /** Entries of a kNN list, the node itself included. */
  readonly listWidth: number;
}

/** The numbers of neighbours that a run looks at around a node. */
export interface Hops {
  /** Neighbours of hop one and hop two. */
  readonly k1: number;
  readonly k2: number;
  /** Candidate edges go to this many nearest neighbours. */
  readonly sampleHops: number;
}

/** Hops that a user asks for. */
export interface AskedHops {
  readonly kHops?: readonly [number, number] | undefined;
  readonly sampleHops?: number | undefined;
}

/** The cost of one node in a part of a run. */
export interface PartCost {
  /** Floating-point operations of matrix products. */
  readonly flops?: number;
  /** Bytes of the node's own rows that are read and written in order. */
  readonly streamedBytes?: number;
  /** Bytes of a gathered row. */
  readonly rowBytes?: number;
}

interface CostShape {
  readonly paddedDim: number;
  /** Bytes of a stored value: 4 or 2. */
  readonly valueBytes: number;
}

interface WorkerShape {
  readonly nodes: number;
  readonly batch: number;
  readonly paddedDim: number;
  readonly listWidth: number;
}

/** The rate by which `auto` chooses between the processor and GPUs. */
export interface BackendRate {
  /** Nodes through all stages of head `concat`, or edges through the networks of head `pairwise`. */
  readonly name: 'nodesPerSecond' | 'edgesPerSecond';
  /** Rows from which measuring it pays: `native` takes about 20 s for them. */
  readonly fromRows: number;
}

/** The back-end and provider that a user asks for. */
interface BackendRequest {
  readonly backend: BackendName | 'auto';
  readonly provider?: OnnxProvider | 'auto' | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

interface DevicesRequest {
  readonly plan: BackendPlan;
  readonly batch: number;
  readonly hops: Hops;
  readonly threads: number;
  readonly devices: readonly number[];
  readonly onNotice?: ((message: string) => void) | undefined;
  /** The module that starts a device; default `backends/start-device.js`. */
  readonly module?: URL | undefined;
}

/** Data that each worker gets once, at its start. */
export interface ShardWorkerData {
  readonly model: NaanModel;
  readonly batch: number;
  readonly hops: Hops;
  /** The back-end in each worker, unless a device computes. */
  readonly backend: BackendChoice | undefined;
  readonly devices: DevicesHandle | undefined;
  readonly simd: SimdLevel | undefined;
  readonly threads: number;
  /** [1]: the next worker's number. */
  readonly tickets: Int32Array;
}

export interface Head<Config extends ModelConfig = ModelConfig> {
  /** The dimension that features must have; undefined when any will do. */
  dimOf(config: Config): number | undefined;
  /** Neighbours of hop one and two that a run looks at. */
  hopsOf(config: Config, asked: readonly [number, number] | undefined): readonly [number, number];
  /** Whether hops can be chosen for it. */
  readonly takesHops: boolean;
  /** Text for messages of the hops that are asked for, such as `k-hops 20 10`. */
  describeHops(hops: Hops): string;
  /** The model as it scores these features, where it depends on the whole of them; by default as it is. */
  settle?(model: NaanModel<Config>, features: MatrixLocation): NaanModel<Config>;
  /** The model as a run before has settled it: `recorded` are its settings in run.json, of which any form may come. */
  settleAgain?(model: NaanModel<Config>, recorded: unknown): NaanModel<Config>;
  /** Passes over the shards, in order. The last leaves the column `scores`. */
  stages(config: Config): readonly Stage[];
  storage(config: Config, shape: StorageShape): Storage;
  /** Computes what differs from a run before, for a head that knows how far a change reaches; by default all is computed. */
  readonly rescore?: Rescore;
  /** Whether stages read the candidate edges by their other end. */
  readonly needsReverse: boolean;
  /** Bytes that each worker takes for tiles and tables. */
  workerBytes(config: Config, shape: WorkerShape): number;
  /** Costs by part, to explain where the time goes. */
  costs(config: Config, shape: CostShape): Readonly<Record<string, PartCost>>;
  /** A small model for features of 76 columns or more. Machines whose scores of it agree to the bit may share a run. */
  readonly sample: Config;
  planBackend(request: BackendRequest): BackendPlan;
  /** Absent where `auto` is always `native`. */
  readonly backendRate?: BackendRate;
  /** Starts the threads that own devices, where the plan has some. */
  startDevices(model: NaanModel<Config>, request: DevicesRequest): Devices | undefined;
  /** Starts the worker that computes the stages on the calling thread. */
  start(data: ShardWorkerData & { readonly model: NaanModel<Config> }, worker: number): Promise<HeadWorker>;
}

/** The stages of one head, on one thread. */
export interface HeadWorker {
  /** The back-end and SIMD level that compute. */
  readonly description: { readonly backend: string; readonly simd: string };
  /** The maximum of rows that a tile gathers. */
  readonly localRows: number;
  /** Computes a tile: nodes or, for a stage of features, rows of their file, start .. end−1. */
  run(stage: Stage, open: OpenJob, start: number, end: number): void | Promise<void>;
  /** Forgets what was opened for a job. */
  close(): void;
}

/** The model as it scores these features. */
export function settledModel(head: Head, model: NaanModel, features: MatrixLocation): NaanModel {
  return head.settle?.(model, features) ?? model;
}

/** Hops as asked, else those of the published labelling, or the model's where they are fewer. */
export function hopsFor(head: Head, { config }: NaanModel, { kHops, sampleHops }: AskedHops): Hops {
  const [k1, k2] = head.hopsOf(config, kHops);
  return { k1, k2, sampleHops: sampleHops ?? Math.min(labellingHops.sampleHops, config.sampleHops) };
}

/** Entries of a kNN list that a run looks at, the node itself included. */
export function columnsOf({ k1, k2, sampleHops }: Hops): number {
  return Math.max(k1, k2, sampleHops) + 1;
}
