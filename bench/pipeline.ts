/**
 * A user's whole run, features → kNN graph → labels → judged, as whole commands on generated, shuffled sets of rising size: both
 * heads, every stage, memory, quality, and the exponent with which each command's time grows. Features are made, not timed.
 *
 *     node dist/bench/pipeline.js [--nodes 100000 --nodes 580343 ...] [--dim 512] [--k 20] [--threads 2] [--model FILE] [--folder DIR]
 *
 * Head pairwise labels with --model, or with the general model of the package; head concat with a constructed model. Results are written
 * after every size to bench/results/pipeline.json, and their plot to docs/pipeline.svg. For head concat the limit is what
 * its products, gathered rows and files take at the rates that the machine shows in the same minute.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bytes, count, duration, table } from '../src/cli/format.js';
import { measureLimits } from '../src/machine/limits.js';
import { writeModel } from '../src/model/model-file.js';
import { plotStages } from './pipeline-plot.js';
import { exponent, report } from './report.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', multiple: true, default: ['100000', '580343', '1700000', '5197025'] },
    dim: { type: 'string', default: '512' },
    k: { type: 'string', default: '20' },
    threads: { type: 'string', default: String(availableParallelism()) },
    model: { type: 'string' },
    folder: { type: 'string', default: join(tmpdir(), 'naan-pipeline') },
  },
});
const { folder, k } = values;
const dim = Number(values.dim);
const commands = ['knn', 'label, pairwise', 'label, concat'] as const;
type Command = (typeof commands)[number];

interface Step {
  /** Wall time of the whole process. */
  readonly seconds: number;
  readonly stages: Readonly<Record<string, number>>;
  readonly peakRssBytes: number;
  /** F of the labels by both measures. */
  readonly f?: readonly [bcubed: number, pairwise: number];
  readonly timesLimit?: number;
}

interface Result {
  readonly nodes: number;
  readonly steps: Readonly<Record<Command, Step>>;
  readonly recall: number;
  readonly limits: Awaited<ReturnType<typeof measureLimits>>;
}

interface Summary {
  readonly recall: number;
  readonly peakRssBytes: number;
}

interface Judged {
  readonly all: Readonly<Record<'bcubed' | 'pairwise', { readonly f: number }>>;
}

/** Runs a command to its end; what it prints as JSON, and the seconds of the process. */
function naan<T>(args: readonly string[]): { readonly seconds: number; readonly printed: T } {
  const began = performance.now();
  const flags = ['--json', '--quiet', '--overwrite'].slice(0, args[0] === 'evaluate' ? 2 : 3);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/src/cli/main.js', ...args, ...flags], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`naan ${args.join(' ')}: ${stderr}`);
  return { seconds: (performance.now() - began) / 1000, printed: JSON.parse(stdout) as T };
}

/** Runs a command that keeps metrics, with its seconds by stage. */
function timed<T extends Summary>(args: readonly string[]): Step & { readonly printed: T } {
  const metrics = join(folder, 'metrics.prom');
  const { seconds, printed } = naan<T>([...args, '--threads', values.threads, '--metrics-file', metrics]);
  const found = readFileSync(metrics, 'utf8').matchAll(/^naan_stage_seconds\{.*?stage="([^"]+)".*?\} (\S+)$/gm);
  const stages = Object.fromEntries([...found].map(([, stage, value]) => [stage, Number(value)]));
  return { seconds, stages, peakRssBytes: printed.peakRssBytes, printed };
}

async function measure(nodes: number): Promise<Result> {
  const set = join(folder, 'set');
  const out = join(folder, 'out');
  const graph = join(folder, 'graph.npy');
  const made = ['--nodes', String(nodes), '--labeled-ids', '0', '--dim', values.dim, '--k', k];
  naan(['generate', '--out', set, ...made, '--shuffle', '--planted-knn']);
  const features = join(set, 'unlabeled/split1_feats.npz');
  const truth = join(set, 'unlabeled/split1_labels.txt');
  const limits = await measureLimits({ threads: Number(values.threads) });

  const { printed, ...knn } = timed<Summary>(['knn', '--features', features, '--k', k, '--out', graph]);
  const label = (model: readonly string[]) =>
    timed<Summary>(['label', '--features', features, '--knn', graph, '--out', out, ...model]);
  const { printed: _, ...scored } = label(values.model ? ['--model', values.model] : []);
  const { all } = naan<Judged>(['evaluate', '--labels', join(out, 'split1_labels.txt'), '--truth', truth]).printed;
  const pairwise: Step = { ...scored, f: [all.bcubed.f, all.pairwise.f] };
  const { printed: __, ...concat } = label(['--model', constructed]);
  const { engine } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as {
    readonly engine: { readonly rowsGatheredPerNode: number };
  };
  const fileBytes = statSync(features).size + statSync(graph).size;
  const limitSeconds =
    (nodes * 4 * 2 * dim * dim) / (limits.gemmGflops * 1e9) +
    (nodes * engine.rowsGatheredPerNode * dim * 4) / (limits.randomRowGBps * 1e9) +
    fileBytes / (limits.streamGBps * 1e9);
  const steps = {
    knn,
    'label, pairwise': pairwise,
    'label, concat': { ...concat, timesLimit: concat.seconds / limitSeconds },
  };
  return { nodes, steps, recall: printed.recall, limits };
}

mkdirSync(folder, { recursive: true });
const constructed = join(folder, 'concat.safetensors');
await writeModel(constructed, smoothedDistanceModel(dim, [20, 10]));
const results: Result[] = [];
for (const nodes of values.nodes.map(Number)) {
  const result = await measure(nodes);
  results.push(result);
  const exponents = Object.fromEntries(
    commands.map((name) => [name, exponent(results.map((r) => ({ nodes: r.nodes, seconds: r.steps[name].seconds })))]),
  );
  report(
    'pipeline',
    { dim, k: Number(k), threads: Number(values.threads), model: values.model ?? 'general', results, exponents },
    false,
  );
  writeFileSync('docs/pipeline.svg', plotStages(results.map((r) => ({ nodes: r.nodes, steps: r.steps }))));
  console.log(`${count(nodes)} rows, recall ${result.recall.toFixed(4)}`);
  console.log(
    table(
      commands.map((name) => {
        const { seconds, peakRssBytes, stages, f, timesLimit } = result.steps[name];
        const slowest = Object.entries(stages).toSorted(([, a], [, b]) => b - a);
        return [
          `  ${name}`,
          duration(seconds),
          `${((seconds / nodes) * 1e6).toFixed(1)} µs a row`,
          bytes(peakRssBytes),
          f ? `F ${f.map((value) => value.toFixed(4)).join(', pairwise ')}` : '',
          timesLimit ? `${timesLimit.toFixed(2)} × limit` : '',
          slowest
            .slice(0, 4)
            .map(([stage, value]) => `${stage} ${duration(value)}`)
            .join(', '),
        ];
      }),
    ),
  );
  for (const name of commands) {
    const power = exponents[name];
    if (power !== undefined) console.log(`  ${name}: time grows with the power ${power.toFixed(2)} of the rows`);
  }
}
rmSync(folder, { recursive: true, force: true });
