/**
 * What sharing a run with other processes gains, and what it costs: `naan knn` and `naan label`, both heads, in one process, by ranks
 * over a folder, and by workers that a Redis hands shards (`label`) or ranks (`knn`, where the coordinator is one more) to, each process on one thread. Processor time counts, so that all may
 * run on one machine; only wall times need as many free cores as there are processes. Every way must give the same bytes.
 *
 *     node dist/bench/machines.js [--nodes 300000] [--dim 128] [--k 20] [--what knn --what pairwise --what concat] [--folder DIR]
 *
 * The log of the tasks of one worker is then replayed for more workers: tasks of a stage go to whoever is free, what they read and
 * write passes a storage of a given rate, and what every worker or the coordinator alone does is added. That is a model, which knows nothing
 * of the latency of a network or of disks. Results: bench/results/machines.json, for other than 300,000 rows machines-<rows>.json. Needs Linux, and redis-server for workers. The set is made once
 * and stays in the folder.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { duration, table } from '../src/cli/format.js';
import type { Stage } from '../src/engine/head.js';
import { readJournal } from '../src/io/journal.js';
import { label } from '../src/jobs/label.js';
import { QueueSpread } from '../src/machines/queue.js';
import { serveRun } from '../src/machines/queue-worker.js';
import { Cluster } from '../src/machines/redis.js';
import type { TaskEnding } from '../src/machines/task-observer.js';
import { writeModel } from '../src/model/model-file.js';
import { version } from '../src/version.js';
import { type Counts, countsNow } from './count-at-exit.js';
import { report } from './report.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '300000' },
    dim: { type: 'string', default: '128' },
    k: { type: 'string', default: '20' },
    what: { type: 'string', multiple: true, default: ['knn', 'pairwise', 'concat'] },
    folder: { type: 'string', default: join(tmpdir(), 'naan-machines') },
  },
});
const { nodes, dim, k } = values;
const folder = resolve(values.folder);
const set = join(folder, `set-${nodes}-${dim}-${k}`);
const features = join(set, 'unlabeled/split1_feats.npz');
const knn = join(set, 'unlabeled/split1_knn.npy');
const model = join(folder, `concat-${dim}.safetensors`);
const main = resolve('dist/src/cli/main.js');
const counter = pathToFileURL(resolve('dist/bench/count-at-exit.js')).href;
const storageGBps = [1.25, 5];
const workerCounts = [1, 2, 4, 8, 16, 32, 64];

/** A way to run a command: what each of its processes has spent, rank 0 or the coordinator first. */
interface Way {
  readonly processes: readonly Counts[];
  /** Until the last process has ended. */
  readonly seconds: number;
}

/** Tasks of a stage in the order in which they ended, and the bytes that all of them left. */
interface LoggedStage {
  readonly stage: string;
  readonly taskSeconds: number[];
  /** Columns, which every process reads as a whole. */
  columnBytes: number;
  /** Rows, of which each reads what it needs. */
  rowBytes: number;
}

let started = 0;

/** Runs naan to its end. */
async function naan(args: readonly string[]): Promise<Counts> {
  const file = join(folder, `counts-${started++}.json`);
  const flags = ['--import', counter, main, ...args, '--quiet'];
  const child = spawn(process.execPath, flags, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, COUNTS_FILE: file },
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`naan ${args.join(' ')}: exit code ${code}`);
  const counts = JSON.parse(readFileSync(file, 'utf8')) as Counts;
  rmSync(file);
  return counts;
}

async function together(commands: readonly (readonly string[])[]): Promise<Way> {
  const began = performance.now();
  const processes = await Promise.all(commands.map(naan));
  return { processes, seconds: (performance.now() - began) / 1000 };
}

const work = join(folder, 'work');
const clear = (...paths: string[]) => {
  for (const path of paths) rmSync(path, { recursive: true, force: true });
};

/** One process on one and on two threads, and one and two ranks. `result`: the file that must have the same bytes. */
async function alone(command: readonly string[], out: string, result: string): Promise<Record<string, Way>> {
  const ways: Record<string, Way> = {};
  let expected: Buffer | undefined;
  const run = async (name: string, commands: readonly (readonly string[])[]) => {
    clear(work, out);
    ways[name] = await together(commands);
    expected ??= readFileSync(result);
    if (!readFileSync(result).equals(expected)) throw new Error(`${name}: the result is not that of one process`);
  };
  for (const threads of ['1', '2']) await run(`threads ${threads}`, [[...command, '--threads', threads]]);
  for (const ranks of [1, 2]) {
    const flags = ['--threads', '1', '--work-dir', work, '--cluster', 'files', '--ranks', String(ranks)];
    const commands = Array.from({ length: ranks }, (_, rank) => [...command, ...flags, '--rank', String(rank)]);
    await run(`ranks ${ranks}`, commands);
  }
  clear(work);
  return ways;
}

interface Shared {
  readonly way: Way;
  readonly stages: readonly LoggedStage[];
}

/** `naan label` in this process, and workers. */
async function byWorkers(head: string, count: number, out: string, expected: Buffer, result: string): Promise<Shared> {
  clear(work, out);
  return withRedis(async (cluster) => {
    const log: TaskEnding[] = [];
    const began = performance.now();
    const before = countsNow();
    const workers = together(Array.from({ length: count }, () => workerFor(cluster)));
    await label({
      features,
      knn,
      ...(head === 'concat' && { model }),
      out,
      trust: false,
      report: false,
      threads: 1,
      workDir: work,
      cluster,
      taskObserver: { task: (ending) => void log.push(ending), contact() {}, queue() {}, lost() {} },
    });
    const now = countsNow();
    const coordinator = Object.fromEntries(
      (Object.keys(now) as (keyof Counts)[]).map((name) => [name, now[name] - before[name]]),
    ) as unknown as Counts;
    const { processes } = await workers;
    if (!readFileSync(result).equals(expected))
      throw new Error(`${count} workers: the result is not that of one process`);
    const way = { processes: [coordinator, ...processes], seconds: (performance.now() - began) / 1000 };
    return { way, stages: logged(log) };
  });
}

/** `naan knn`, whose coordinator is a rank as well, and workers for the others. */
async function searchByWorkers(search: readonly string[], count: number, out: string, expected: Buffer): Promise<Way> {
  clear(work, out);
  return withRedis(async (cluster) => {
    const flags = ['--threads', '1', '--work-dir', work, '--cluster', cluster, '--ranks', String(count + 1)];
    const workers = Array.from({ length: count }, () => workerFor(cluster));
    const way = await together([[...search, ...flags], ...workers]);
    if (!readFileSync(out).equals(expected)) throw new Error(`${count} workers: the graph is not that of one process`);
    return way;
  });
}

const workerFor = (cluster: string) => ['worker', '--cluster', cluster, '--threads', '1', '--runs', '1'];

/** CPU-seconds that a coordinator and a worker together spend on handing out a task and taking its answer, of tasks that do nothing. */
async function dispatchSeconds(): Promise<number> {
  const count = 2000;
  return withRedis(async (cluster) => {
    const [forWorker, forCoordinator] = await Promise.all([0, 1].map(() => Cluster.open({ cluster })));
    clear(work);
    mkdirSync(work);
    const announcement = {
      naan: version,
      job: 'label' as const,
      run: 'nothing',
      workDir: work,
      options: {},
      identity: {},
    };
    const spread = await QueueSpread.start(forCoordinator, announcement, { last: 0, async note() {} }, {});
    const before = countsNow().cpuSeconds;
    const serving = serveRun(
      forWorker,
      { ...announcement, epoch: 1 },
      { folder: work, threads: 1, compute: async () => ({ left: [], bytes: 0 }) },
    );
    await spread.run({
      stage: { name: 'load', round: 0 } as Stage,
      last: true,
      shards: Array.from({ length: count }, (_, index) => ({ index, start: index, end: index + 1 })),
      done: new Map(),
      async compute() {},
      record() {},
      async flush() {},
      elsewhere() {},
    });
    const spent = countsNow().cpuSeconds - before;
    await spread.close();
    await serving;
    forWorker.close();
    clear(work);
    return spent / count;
  });
}

/** Stages of a run as its tasks were told and its journal has them. */
function logged(log: readonly TaskEnding[]): LoggedStage[] {
  const stages = new Map<string, LoggedStage>();
  for (const { stage, result, seconds } of log) {
    if (result !== 'done') continue;
    const found = stages.get(stage) ?? { stage, taskSeconds: [], columnBytes: 0, rowBytes: 0 };
    stages.set(stage, found);
    found.taskSeconds.push(seconds);
  }
  interface Recorded {
    readonly stage?: string;
    readonly checks?: readonly { readonly file: string; readonly length?: number }[];
  }
  for (const { stage = '', checks = [] } of readJournal<Recorded>(join(work, 'journal')).entries) {
    const found = stages.get(stage);
    for (const { file, length = 0 } of found ? checks : []) {
      if (file.endsWith('.column')) found!.columnBytes += length;
      else found!.rowBytes += length;
    }
  }
  return [...stages.values()];
}

/**
 * CPU-seconds that every worker spends for itself (it starts, reads the inputs, finds order and edges, takes in what others have left), and
 * those of all tasks: two workers spend the former twice. Seconds on the clock would count what else the machine did.
 */
function parts(one: Way, two: Way): { readonly everyone: number; readonly tasks: number } {
  const [alone, both] = [one, two].map(({ processes }) =>
    processes.slice(1).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
  );
  const everyone = Math.min(alone, Math.max(0, both - alone));
  return { everyone, tasks: alone - everyone };
}

/** Seconds of a run with so many workers, by the log of one with one worker. */
function replayed({ stages, way }: Shared, spent: ReturnType<typeof parts>, workers: number, gbps: number): number {
  const logged = stages.flatMap(({ taskSeconds }) => taskSeconds).reduce((sum, seconds) => sum + seconds, 0);
  const inputs = statSync(features).size + statSync(knn).size;
  const moving = (bytes: number) => bytes / (gbps * 1e9);
  let seconds = Math.max(spent.everyone, moving(inputs * (workers + 1))) + way.processes[0].cpuSeconds;
  for (const { taskSeconds, columnBytes, rowBytes } of stages) {
    const free = new Float64Array(workers);
    for (const task of taskSeconds) {
      let next = 0;
      for (let worker = 1; worker < workers; worker++) if (free[worker] < free[next]) next = worker;
      free[next] += (task * spent.tasks) / logged;
    }
    // Written once; rows are read once by all together, columns by each and the coordinator.
    seconds += Math.max(...free, moving(2 * rowBytes + columnBytes * (workers + 2)));
  }
  return seconds;
}

/** Gives a Redis of its own, by its address. */
async function withRedis<T>(use: (cluster: string) => Promise<T>): Promise<T> {
  const port = await freePort();
  const redis = spawn('redis-server', ['config/redis/naan.conf', '--port', String(port), '--dir', folder], {
    stdio: 'ignore',
  });
  try {
    await answers(port);
    return await use(`redis://127.0.0.1:${port}`);
  } finally {
    redis.kill();
  }
}

function freePort(): Promise<number> {
  return new Promise((resolved) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolved(port));
    });
  });
}

/** Resolves when something listens there. */
async function answers(port: number): Promise<void> {
  const { Redis } = await import('ioredis');
  const client = new Redis({ host: '127.0.0.1', port });
  client.on('error', () => {});
  await client.ping();
  client.disconnect();
}

const slowest = ({ processes }: Way) => Math.max(...processes.map(({ cpuSeconds }) => cpuSeconds));
const allOf = ({ processes }: Way) => processes.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);

/** What one and two processes take, and by Amdahl's law what sixteen would gain, if the part that two do not share is all that they repeat. */
function gain(one: number, two: number) {
  const serial = Math.max(0, 2 * (two / one) - 1);
  return { two: one / two, serial, sixteen: 1 / (serial + (1 - serial) / 16) };
}

mkdirSync(folder, { recursive: true });
if (!existsSync(set)) {
  const made = ['--nodes', nodes, '--dim', dim, '--labeled-ids', '0', '--k', k, '--shuffle', '--planted-knn'];
  await naan(['generate', '--out', set, ...made]);
}
await writeModel(model, smoothedDistanceModel(Number(dim), [20, 10]));

const results: Record<string, unknown> = {};
const dispatch = await dispatchSeconds();
console.log(`${(dispatch * 1000).toFixed(2)} CPU-ms to hand out a task`);
for (const what of values.what) {
  const out = join(folder, what === 'knn' ? 'knn.npy' : `labels-${what}`);
  const result = what === 'knn' ? out : join(out, 'split1_labels.txt');
  const ofHead = what === 'concat' ? ['--model', model] : [];
  const command =
    what === 'knn'
      ? ['knn', '--features', features, '--k', k, '--method', 'ivf', '--out', out]
      : ['label', '--features', features, '--knn', knn, ...ofHead, '--no-trust', '--no-report', '--out', out];
  const ways = await alone(command, out, result);
  const one = ways['threads 1'].processes[0].cpuSeconds;
  const gains: Record<string, unknown> = { ranks: gain(one, slowest(ways['ranks 2'])) };
  let replay: unknown;
  const expected = readFileSync(result);
  if (what === 'knn') {
    for (const count of [1, 2]) {
      const way = await searchByWorkers(command, count, out, expected);
      ways[`coordinator and workers ${count}`] = way;
      gains[`workers ${count}`] = { gain: one / slowest(way), dispatchShare: (dispatch * count) / allOf(way) };
    }
    // What is spent beyond ranks over files: Redis, its client, and the metrics and progress that pass through it.
    gains.redisShare = allOf(ways['coordinator and workers 1']) / allOf(ways['ranks 2']) - 1;
    clear(work);
  } else {
    const shared = await byWorkers(what, 1, out, expected, result);
    ways['workers 1'] = shared.way;
    ways['workers 2'] = (await byWorkers(what, 2, out, expected, result)).way;
    // The coordinator works before and after the workers.
    const [coordinator, ...both] = ways['workers 2'].processes.map(({ cpuSeconds }) => cpuSeconds);
    gains.workers = gain(one, coordinator + Math.max(...both));
    const spent = parts(shared.way, ways['workers 2']);
    const taskCount = shared.stages.reduce((sum, { taskSeconds }) => sum + taskSeconds.length, 0);
    gains.dispatchShare = (dispatch * taskCount) / allOf(shared.way);
    replay = workerCounts.map((workers) => ({
      workers,
      ...Object.fromEntries(
        storageGBps.map((gbps) => [`seconds at ${gbps} GB/s`, replayed(shared, spent, workers, gbps)]),
      ),
    }));
    results[`${what} tasks`] = shared.stages.map(({ stage, taskSeconds, columnBytes, rowBytes }) => {
      return {
        stage,
        tasks: taskSeconds.length,
        seconds: taskSeconds.reduce((sum, s) => sum + s, 0),
        columnBytes,
        rowBytes,
      };
    });
  }
  results[what] = { ways, gains, ...(replay !== undefined && { replay }) };
  console.log(what);
  console.log(
    table(
      Object.entries(ways).map(([name, way]) => [
        `  ${name}`,
        ...[duration(way.seconds), way.processes.map(({ cpuSeconds }) => cpuSeconds.toFixed(1)).join(' + ') + ' CPU-s'],
        `read ${way.processes.map(({ readBytes }) => Math.round(readBytes / 1e6)).join(' + ')} MB`,
        `written ${way.processes.map(({ writtenBytes }) => Math.round(writtenBytes / 1e6)).join(' + ')} MB`,
      ]),
    ),
  );
  console.log(JSON.stringify({ gains, replay }));
  report(
    nodes === '300000' ? 'machines' : `machines-${nodes}`,
    { nodes: Number(nodes), dim: Number(dim), k: Number(k), dispatchSeconds: dispatch, results },
    false,
  );
}
