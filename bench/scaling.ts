/**
 * How the time of `naan label` grows with the set: whole processes on generated, shuffled sets of rising size, on one
 * thread and on all, with the exponent of time = c · n^p fitted by least squares of the logarithms; besides, at one size,
 * several numbers of shards, and the set in the order of its identities.
 *
 *     node dist/bench/scaling.js [--nodes 10000 --nodes 100000 ...] [--threads 1 --threads 2] [--runs 1] [--keep]
 *       [--at 100000] [--shards 8 --shards 64 ...] [--folder DIR] [-- flags of naan label, such as --memory 16GiB]
 *
 * Sets are made one by one in a temporary folder and removed after use, unless --keep. Results are written after every
 * run, so an interruption loses nothing. `{folder}` in a flag of label stands for a folder that each run finds empty.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bytes, count, duration, table } from '../src/cli/format.js';
import { writeModel } from '../src/model/model-file.js';
import { exponent, report, spread } from './report.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const cores = availableParallelism();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    nodes: {
      type: 'string',
      multiple: true,
      default: ['10000', '30000', '100000', '300000', '584000', '1700000', '5200000'],
    },
    threads: { type: 'string', multiple: true, default: [...new Set(['1', String(cores)])] },
    shards: { type: 'string', multiple: true, default: [] },
    at: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
    folder: { type: 'string', default: join(tmpdir(), 'naan-scaling') },
    name: { type: 'string', default: 'scaling' },
  },
});
const [dim, k] = [512, 80];
const { folder } = values;
const at = Number(values.at);
const shardCounts = values.shards.length > 0 ? values.shards : ['2', '8', '32', '128'];
const model = join(folder, 'model.safetensors');
const workFolder = join(folder, 'work');
const main = 'dist/src/cli/main.js';

interface Result {
  readonly nodes: number;
  readonly order: 'shuffled' | 'sorted';
  readonly threads: number;
  /** The shards that were asked for, and the shards that there were. */
  readonly asked: string;
  readonly shards: number;
  readonly edges: number;
  readonly seconds: number;
  readonly microsecondsPerNode: number;
  readonly peakRssBytes: number;
  /** Rows gathered by tiles, by the nodes: over the three stages that gather. */
  readonly rowsGatheredPerNode: number;
  readonly busyShare: number;
  readonly stages: Readonly<Record<string, number>>;
}

const results: Result[] = [];
const generated: { nodes: number; seconds: number; bytes: number }[] = [];

function node(args: readonly string[]): number {
  const began = performance.now();
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (child.status !== 0) throw new Error(`naan ${args.slice(1).join(' ')} failed: ${child.error ?? child.stderr}`);
  return (performance.now() - began) / 1000;
}

/** Refuses a set that the disk has no room for, rather than filling it. */
function makeSet(nodes: number, order: Result['order']): string {
  const set = join(folder, `${nodes}-${order}`);
  const split = join(set, 'unlabeled');
  if (existsSync(join(split, 'split1_labels.txt'))) return split;
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  const needed = 1.05 * nodes * 4 * (dim + k + 1);
  if (bavail * bsize < needed) {
    throw new Error(`${folder}: ${bytes(bavail * bsize)} free, ${nodes} nodes need ${bytes(needed)}: give a --folder`);
  }
  const flags = [
    '--nodes',
    String(nodes),
    '--labeled-ids',
    '0',
    '--dim',
    String(dim),
    '--k',
    String(k),
    '--planted-knn',
  ];
  const seconds = node([
    main,
    'generate',
    '--out',
    set,
    ...flags,
    '--quiet',
    ...(order === 'shuffled' ? ['--shuffle'] : []),
  ]);
  const size = ['feats.npz', 'knn.npy'].reduce((sum, file) => sum + statSync(join(split, `split1_${file}`)).size, 0);
  generated.push({ nodes, seconds, bytes: size });
  return split;
}

function removeSet(nodes: number, order: Result['order']): void {
  if (!values.keep) rmSync(join(folder, `${nodes}-${order}`), { recursive: true, force: true });
}

function label(split: string, nodes: number, order: Result['order'], threads: string, shards = 'auto'): void {
  const out = join(folder, 'out');
  rmSync(workFolder, { recursive: true, force: true });
  const inputs = ['--features', join(split, 'split1_feats.npz'), '--knn', join(split, 'split1_knn.npy')];
  const flags = ['--model', model, '--out', out, '--quiet', '--threads', threads, '--shards', shards];
  const more = positionals.map((flag) => flag.replace('{folder}', workFolder));
  const seconds = node([main, 'label', ...inputs, ...flags, ...more]);
  const run = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
  const { shards: cut, rowsGatheredPerNode, busyShare } = run.engine;
  results.push({
    nodes,
    order,
    threads: Number(threads),
    asked: shards,
    shards: cut,
    edges: run.edges,
    seconds,
    microsecondsPerNode: (seconds / nodes) * 1e6,
    peakRssBytes: run.peakRssBytes,
    rowsGatheredPerNode,
    busyShare,
    stages: run.seconds.stages,
  });
  rmSync(out, { recursive: true, force: true });
  rmSync(workFolder, { recursive: true, force: true });
  const last = results[results.length - 1];
  console.error(
    `${count(nodes)} nodes, ${order}, ${threads} threads, ${shards} shards: ${duration(seconds)}, ` +
      `${last.microsecondsPerNode.toFixed(1)} µs a node, ${bytes(last.peakRssBytes)}`,
  );
  write();
}

/** Medians of the shuffled runs with shards as they come, by size. */
function curve(threads: number): { nodes: number; seconds: number }[] {
  const ofThreads = results.filter(
    (run) => run.threads === threads && run.order === 'shuffled' && run.asked === 'auto',
  );
  const sizes = [...new Set(ofThreads.map((run) => run.nodes))].toSorted((a, b) => a - b);
  return sizes.map((nodes) => ({
    nodes,
    seconds: spread(ofThreads.filter((run) => run.nodes === nodes).map((run) => run.seconds)).median,
  }));
}

/** How much longer the set takes in random order, at `at` nodes on all threads asked for. */
function shuffledBySorted(): number | undefined {
  const threads = Math.max(...values.threads.map(Number));
  const median = (order: Result['order']) => {
    const runs = results.filter((run) => run.nodes === at && run.order === order && run.threads === threads);
    const seconds = runs.filter((run) => run.asked === 'auto').map((run) => run.seconds);
    return seconds.length > 0 ? spread(seconds).median : Number.NaN;
  };
  const ratio = median('shuffled') / median('sorted');
  return Number.isNaN(ratio) ? undefined : ratio;
}

function write(): void {
  const byThreads = Object.fromEntries(
    values.threads.map((threads) => [
      threads,
      { exponent: exponent(curve(Number(threads))), curve: curve(Number(threads)) },
    ]),
  );
  const figures = { dim, k, labelFlags: positionals, threads: byThreads, shuffledBySorted: shuffledBySorted() };
  report(values.name, { ...figures, generated, results }, false);
}

mkdirSync(folder, { recursive: true });
await writeModel(model, smoothedDistanceModel(dim, [20, 10]));
for (const nodes of values.nodes.map(Number)) {
  const split = makeSet(nodes, 'shuffled');
  const sorted = nodes === at ? makeSet(nodes, 'sorted') : undefined;
  for (let i = 0; i < Number(values.runs); i++) {
    for (const threads of values.threads) label(split, nodes, 'shuffled', threads);
    const all = String(Math.max(...values.threads.map(Number)));
    if (!sorted) continue;
    label(sorted, nodes, 'sorted', all);
    for (const shards of shardCounts) label(split, nodes, 'shuffled', all, shards);
  }
  removeSet(nodes, 'shuffled');
  removeSet(nodes, 'sorted');
}

console.log(
  table([
    ['nodes', 'order', 'threads', 'shards', 'seconds', 'µs a node', 'memory', 'rows gathered a node', 'busy'],
    ...results.map((run) => [
      ...[count(run.nodes), run.order, String(run.threads), String(run.shards), run.seconds.toFixed(2)],
      ...[run.microsecondsPerNode.toFixed(1), bytes(run.peakRssBytes), run.rowsGatheredPerNode.toFixed(2)],
      `${Math.round(100 * run.busyShare)} %`,
    ]),
  ]),
);
for (const threads of values.threads) {
  const fitted = exponent(curve(Number(threads)));
  if (fitted !== undefined) console.log(`threads ${threads}: time grows as nodes^${fitted.toFixed(3)}`);
}
const ratio = shuffledBySorted();
if (ratio !== undefined)
  console.log(`in random order ${count(at)} nodes take ${ratio.toFixed(2)} times as long as sorted`);
