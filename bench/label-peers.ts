/**
 * Nodes a second of `naan label` beside PyTorch on the same set with the same model: NAAN as it is written down, on some
 * of the nodes, and factored as naan factors it, both in bench/peers. The three take turns, and their scores must agree.
 *
 *     node dist/bench/label-peers.js [--nodes 100000] [--runs 3] [--centres 1500] [--threads 2] [--gather bag]
 *
 * naan's time is that of the whole process, from files to files; PyTorch's is from files to scores, without the time
 * that Python takes to load it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/format.js';
import { generate } from '../src/jobs/generate.js';
import { writeModel } from '../src/model/model-file.js';
import { report, type Spread, spread } from './report.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '3' },
    centres: { type: 'string', default: '1500' },
    threads: { type: 'string', default: String(availableParallelism()) },
    gather: { type: 'string', default: 'bag' },
  },
});
const python = '/usr/bin/python3';
const dim = 512;
const hops = [20, 10, 20] as const;
/** Sums of 512 float32 in another order. */
const tolerance = 1e-4;
const [nodes, runs, threads] = [Number(values.nodes), Number(values.runs), Number(values.threads)];
const folder = join(tmpdir(), 'naan-bench');
const set = join(folder, `${nodes}x${dim}`);
const model = join(folder, 'model.safetensors');
const out = join(folder, 'peers-out');
const split = (suffix: string) => join(set, 'unlabeled', `split1_${suffix}`);
const inputs = ['--features', split('feats.npz'), '--knn', split('knn.npy'), '--model', model];

interface Peer {
  readonly greatestDifference: number;
  readonly torch: string;
}
interface Factored extends Peer {
  readonly seconds: number;
  readonly importSeconds: number;
  readonly stages: Readonly<Record<string, number>>;
}
interface Literal extends Peer {
  readonly nodesPerSecond: number;
}

/** Seconds of the process, and what it printed. */
function timed(program: string, args: readonly string[]): [seconds: number, stdout: string] {
  const began = performance.now();
  const child = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (child.status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${child.error ?? child.stderr}`);
  return [(performance.now() - began) / 1000, child.stdout];
}

function naan(...more: string[]): number {
  const args = ['dist/src/cli/main.js', 'label', ...inputs, '--out', out, '--quiet', '--threads', String(threads)];
  return timed(process.execPath, [...args, ...more])[0];
}

function peer<P extends Peer>(script: string, ...more: string[]): P & { readonly wholeProcess: number } {
  const expected = [
    '--expected-edges',
    join(out, 'split1_edges.npy'),
    '--expected-scores',
    join(out, 'split1_scores.npy'),
  ];
  const args = [join('bench/peers', script), ...inputs, ...expected, '--threads', String(threads), ...more];
  const [wholeProcess, text] = timed(python, [...args, '--hops', ...hops.map(String)]);
  const told = JSON.parse(text) as P;
  if (!(told.greatestDifference <= tolerance)) {
    throw new Error(
      `${script}: a score differs from naan's by ${told.greatestDifference}, expected ${tolerance} at most`,
    );
  }
  return { ...told, wholeProcess };
}

if (!existsSync(split('labels.txt'))) {
  await generate({ out: set, nodes, labeledIds: 0, dim, k: 80, plantedKnn: true });
}
await writeModel(model, smoothedDistanceModel(dim, [hops[0], hops[1]]));
naan('--save-edges');
const { seconds: own, precision, edges } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));

const ours: number[] = [];
const factored: ReturnType<typeof peer<Factored>>[] = [];
const literal: ReturnType<typeof peer<Literal>>[] = [];
for (let i = 0; i < runs; i++) {
  ours.push(naan());
  factored.push(peer<Factored>('naan_factored.py', '--gather', values.gather));
  literal.push(peer<Literal>('naan_literal.py', '--centres', values.centres));
}

const rates = {
  naan: spread(ours.map((seconds) => nodes / seconds)),
  factored: spread(factored.map(({ seconds }) => nodes / seconds)),
  literal: spread(literal.map(({ nodesPerSecond }) => nodesPerSecond)),
};
/** Ratios of runs that stood beside each other. */
const times = {
  factored: spread(ours.map((seconds, i) => factored[i].seconds / seconds)),
  literal: spread(ours.map((seconds, i) => nodes / seconds / literal[i].nodesPerSecond)),
};
const differences = (peers: readonly Peer[]) => Math.max(...peers.map((one) => one.greatestDifference));
const rate = ({ median, least, greatest }: Spread) =>
  [median, least, greatest].map((value) => Math.round(value).toLocaleString('en-US'));
const row = (name: string, ofName: Spread, ratio?: Spread, peers?: readonly Peer[]) => [
  ...[name, ...rate(ofName), ratio ? `${ratio.median.toFixed(1)} ×` : ''],
  peers ? differences(peers).toExponential(1) : '',
];
console.log(
  table([
    [`${nodes} × ${dim}, ${threads} threads`, 'nodes/s', 'least', 'greatest', 'naan is', 'scores differ by'],
    row('naan label', rates.naan),
    row('PyTorch, factored', rates.factored, times.factored, factored),
    row('PyTorch, literal', rates.literal, times.literal, literal),
  ]),
);
const stages = Object.keys(factored[0].stages);
report('label-peers', {
  nodes,
  dim,
  hops,
  threads,
  edges,
  runs,
  gather: values.gather,
  precision,
  torch: factored[0].torch,
  nodesPerSecond: rates,
  naanTimes: times,
  naan: { wholeProcessSeconds: spread(ours), stages: own.stages },
  factored: {
    seconds: spread(factored.map(({ seconds }) => seconds)),
    importSeconds: spread(factored.map(({ importSeconds }) => importSeconds)),
    stages: Object.fromEntries(stages.map((name) => [name, spread(factored.map((one) => one.stages[name])).median])),
    greatestDifference: differences(factored),
  },
  literal: { centres: Number(values.centres), greatestDifference: differences(literal) },
});
