/**
 * Measures the speed of a back-end on this machine: every stage of a made-up tile of 512 features, on as many threads as asked. It
 * runs in a process of its own, because a driver that does not suit a machine may end the process that loads it.
 *
 * B nodes, d features, R local rows.
 */
import { fork } from 'node:child_process';
import type { BackendOptions, ConcatBackend } from '../backends/backend.js';
import type { BackendName } from '../backends/names.js';
import { holdsRealAdapter } from '../backends/onnx-providers.js';
import { type ConcatStage, concatLayout, concatStages } from '../backends/stages.js';
import { startBackend } from '../backends/start.js';
import { rowCapacity, tileCapacity } from '../backends/tile.js';
import { knnDefaults } from '../defaults.js';
import { NaanError } from '../errors.js';
import { RandomStream } from '../graph/random.js';
import { cachedTile } from '../heads/pairwise/scorer.js';
import { knnColumns } from '../knn/on-device.js';
import { SharedRows } from '../memory/shared-rows.js';
import type { FactoredModel } from '../model/factored.js';
import { featureCount } from '../model/pairwise.js';
import type { MlpParameters } from '../model/round-network.js';

export interface ProbeRequest extends BackendOptions {
  readonly backend: BackendName;
  readonly threads: number;
  /** B. */
  readonly batch: number;
  /** Measured for about so long once everything runs. */
  readonly seconds: number;
}

type StageSeconds = Record<ConcatStage, number>;

export interface Probe {
  readonly backend: BackendName;
  readonly provider?: string | undefined;
  /** webgpu on a driver that computes on the CPU. */
  readonly software: boolean;
  readonly threads: number;
  readonly batch: number;
  /** Seconds of each stage for 1,000 nodes on one of the threads. */
  readonly stageSeconds: StageSeconds;
  /** The rate of all threads together, through all stages. */
  readonly nodesPerSecond: number;
  /** The rate of all threads together, through both networks of a `pairwise` model of two rounds. */
  readonly edgesPerSecond: number;
  /** The rate of all threads together at comparing a row with another for kNN, each with all others. */
  readonly pairsPerSecond: number;
  readonly gflops: number;
  /** Scores of the tile's edges, the same tile for every back-end of one `batch`. */
  readonly scores: Float32Array;
}

/** The standard tile: published width and hops; halo and edges a node as in labelled sets of 10⁴ to 10⁵ nodes. */
const dim = 512;
const [k1, k2] = [20, 10];
const haloShare = 1.3;
const edgesOfANode = 15;

/** Products of four d × d matrices, two attentions, three dots, and the edges. */
const flopsOfANode = 8 * dim * dim + 2 * dim * (k1 + k2 + 2) + 6 * dim + 4 * dim * edgesOfANode;

/** A driver that compiles for a new device may take minutes; one that hangs never ends. */
const patienceMs = 180_000;

/** The answer of the probing process. */
export type ProbeAnswer = { readonly probe: Probe } | { readonly reason: string };

/** Throws BACKEND_UNAVAILABLE with the reason in one line, CANCELLED after an abort. */
export function probeBackend(request: ProbeRequest, signal?: AbortSignal): Promise<Probe> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new NaanError('CANCELLED', 'cancelled'));
    const child = fork(new URL('../../workers/backend-probe.js', import.meta.url), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      timeout: patienceMs,
      killSignal: 'SIGKILL',
      execArgv: [],
    });
    let answer: ProbeAnswer | undefined;
    let lastWords = '';
    const stop = () => void child.kill('SIGKILL');
    signal?.addEventListener('abort', stop);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-2000);
    });
    child.once('message', (message) => {
      answer = message as ProbeAnswer;
      stop();
    });
    child.once('error', (error) => {
      answer ??= { reason: error.message };
    });
    child.once('close', (code, killedBy) => {
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) return reject(new NaanError('CANCELLED', 'cancelled'));
      if (answer && 'probe' in answer) return resolve(answer.probe);
      const line = lastWords.trim().split('\n').at(-1);
      const end = killedBy ? `ended by ${killedBy}` : `ended with exit code ${code}`;
      const crash = `its process ${end}${line ? `, and said last: ${line}` : ''}`;
      reject(new NaanError('BACKEND_UNAVAILABLE', answer?.reason ?? crash));
    });
    // A process that has ended takes no request; how it ended is what 'close' says.
    child.send(request, () => {});
  });
}

/** One thread's share. `ready` resolves when every thread has come so far. */
export async function probeTile(request: ProbeRequest, ready: () => void): Promise<Probe> {
  const { batch, seconds, threads, backend: name, ...options } = request;
  const model = probeModel();
  const capacity = tileCapacity(batch, k1, k2);
  const layouts = concatLayout(model, capacity).stages;
  const backend = await startBackend(name, model, capacity, options);
  const { lists, scores } = await fillTile(backend, batch);
  const spent = Object.fromEntries(concatStages.map((stage) => [stage, 0])) as StageSeconds;
  ready();
  const began = performance.now();
  let tiles = 0;
  while (performance.now() - began < seconds * 1000) {
    for (const stage of concatStages) {
      if (stage === 'aggregate' || stage === 'embed') backend.tile.lists.set(lists[stage]);
      const start = performance.now();
      await backend.run(stage, layouts[stage].unit === 'edges' ? batch * edgesOfANode : batch);
      spent[stage] += (performance.now() - start) / 1000;
    }
    tiles++;
  }
  const software = backend.provider === 'webgpu' && !holdsRealAdapter();
  await backend.release();
  const edgesPerSecond = await probeNetworks(request);
  const pairsPerSecond = await probeKnn(request);
  const perThousand = (stage: ConcatStage) => (1000 * spent[stage]) / (batch * tiles);
  const stageSeconds = Object.fromEntries(concatStages.map((stage) => [stage, perThousand(stage)])) as StageSeconds;
  const nodesPerSecond = 1000 / concatStages.reduce((sum, stage) => sum + stageSeconds[stage], 0);
  return {
    backend: backend.name,
    provider: backend.provider,
    software,
    threads,
    batch,
    stageSeconds,
    nodesPerSecond,
    edgesPerSecond,
    pairsPerSecond,
    gflops: (nodesPerSecond * flopsOfANode) / 1e9,
    scores,
  };
}

/** Edges a second through the networks of two rounds, in tiles as labelling has them. */
async function probeNetworks({ backend: name, batch, seconds, ...options }: ProbeRequest): Promise<number> {
  const random = new RandomStream(1, 3, 0);
  const capacity = name === 'native' ? cachedTile : tileCapacity(batch, k1, 0);
  const backend = await startBackend(
    name,
    { rounds: [0, 1].map((round) => probeNetwork(round, random)) },
    capacity,
    options,
  );
  random.gaussians(backend.tile.features);
  const both = async () => {
    for (const stage of ['network0', 'network1'] as const) await backend.run(stage, capacity.edges);
  };
  await both();
  const began = performance.now();
  let tiles = 0;
  for (; performance.now() - began < seconds * 500; tiles++) await both();
  const rate = (1000 * tiles * capacity.edges) / (performance.now() - began);
  await backend.release();
  return rate;
}

/** Pairs a second of a kNN search for 80 neighbours. A device gets as many columns as a tile of a search has, so that it has enough to do. */
async function probeKnn({ backend: name, batch, seconds, ...options }: ProbeRequest): Promise<number> {
  const isDevice = options.provider !== undefined && options.provider !== 'cpu';
  const columns = SharedRows.allocate(batch * (isDevice ? 128 : 16), dim);
  const base = new Float32Array(batch * dim);
  new RandomStream(1, 4, 0).gaussians(base);
  for (let i = 0; i < base.length; i++) base[i] /= Math.sqrt(dim);
  for (let row = 0; row < columns.rowCount; row++) {
    // Every batch of columns is the first one, turned by another number of places.
    const shift = Math.floor(row / batch);
    const from = base.subarray((row % batch) * dim, ((row % batch) + 1) * dim);
    columns.row(row).set(from.subarray(shift));
    columns.row(row).set(from.subarray(0, shift), dim - shift);
  }
  const model = knnColumns(columns, { k: knnDefaults.k, residentBytes: 2 ** 31 });
  const backend = await startBackend(name, model, rowCapacity(batch), options);
  backend.tile.x.set(base);
  await backend.run('nearest', batch);
  const began = performance.now();
  let batches = 0;
  for (; performance.now() - began < seconds * 500; batches++) await backend.run('nearest', batch);
  const rate = (1000 * batches * batch * columns.rowCount) / (performance.now() - began);
  await backend.release();
  return rate;
}

/** The width of the general model. */
function probeNetwork(round: number, random: RandomStream): MlpParameters {
  const units = [featureCount(round), 64, 32, 1];
  const layers = units.slice(1).map((outputs, layer) => {
    const weight = new Float32Array(outputs * units[layer]);
    random.gaussians(weight);
    return { weight: weight.map((value) => value / Math.sqrt(units[layer])), bias: new Float32Array(outputs) };
  });
  return { mean: new Float32Array(units[0]), scale: new Float32Array(units[0]).fill(1), layers };
}

/** Takes the tile through all stages, as the engine would, so that every input of every stage is in place and warm. */
async function fillTile(backend: ConcatBackend, batch: number) {
  const { tile } = backend;
  const random = new RandomStream(1, 1, 0);
  const width = k1 + 1;
  const halo = Math.round(haloShare * batch);
  /** Lists that start with the node's own row, then `count` of the halo's rows. */
  const near = (count: number, firstRow: number) =>
    Int32Array.from({ length: batch * width }, (_, at) => {
      const column = at % width;
      if (column === 0) return Math.floor(at / width);
      return column <= count ? firstRow + random.below(halo) : -1;
    });
  /** Copies rows of the tile's own nodes to local rows from `firstRow` on. */
  const copyRows = (source: Float32Array, columns: number, target: Float32Array, firstRow: number, count: number) => {
    for (let i = 0; i < count; i++) {
      const from = (i % batch) * columns;
      target.set(source.subarray(from, from + columns), (firstRow + i) * columns);
    }
  };
  const lists = { aggregate: near(k2, 0), embed: near(k1, batch) };
  random.gaussians(tile.x);
  for (let i = 0; i < tile.x.length; i++) tile.x[i] /= Math.sqrt(dim);
  await backend.run('project', batch);
  copyRows(tile.h, dim, tile.rows, 0, halo);
  copyRows(tile.t, 1, tile.rowT, 0, halo);
  tile.lists.set(lists.aggregate);
  await backend.run('aggregate', batch);
  copyRows(tile.h, dim, tile.rows, batch, halo);
  copyRows(tile.t, 1, tile.rowT, batch, halo);
  tile.lists.set(lists.embed);
  await backend.run('embed', batch);
  await backend.run('split', batch);
  copyRows(tile.right, dim, tile.rows, 0, halo);
  const edges = batch * edgesOfANode;
  for (let e = 0; e < edges; e++) {
    tile.pairs[2 * e] = random.below(batch);
    tile.pairs[2 * e + 1] = random.below(halo);
  }
  await backend.run('score', edges);
  return { lists, scores: tile.scores.slice(0, edges) };
}

/** Random weights that keep rows near unit length, make attention uneven and spread scores between 0 and 1. */
function probeModel(): FactoredModel {
  const random = new RandomStream(1, 2, 0);
  const normal = (length: number, deviation: number) => {
    const values = new Float32Array(length);
    random.gaussians(values);
    return values.map((value) => value * deviation);
  };
  const square = () => normal(dim * dim, 1 / Math.sqrt(dim));
  const project = square();
  const positive = normal(dim, 12);
  return {
    dim,
    paddedDim: dim,
    alpha: 0.2,
    projectRaw: project,
    projectPadded: project,
    projectBias: normal(dim, 0.01),
    heads: [{ centre: normal(dim, 1), neighbour: normal(dim, 1), attentionBias: 0.1, outputBias: normal(dim, 0.01) }],
    left: square(),
    right: square(),
    rightBias: normal(dim, 0.01),
    slope: new Float32Array(dim).fill(0.25),
    positive,
    negative: positive.map((weight) => weight / 4),
    gapBias: 0.1,
  };
}
