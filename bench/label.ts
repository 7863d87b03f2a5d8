/**
 * Nodes a second of `naan label`, whole process, on generated sets with planted kNN graphs: stage by stage, beside the
 * limit of the machine measured in the same run: GEMM flops at the GEMM rate, gathered rows at the random-row rate, and
 * the input files at the rate of reading them.
 *
 *     node dist/bench/label.js [--nodes 12174 --nodes 100000] [--runs 5] [--threads 2] [--shuffle] [--model FILE]
 *
 * Without --model a constructed `concat` model is timed; with one of head `pairwise`, each run of it beside one of that.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { generate } from '../src/jobs/generate.js';
import { measureLimits } from '../src/machine/limits.js';
import { writeModel } from '../src/model/model-file.js';
import { report, spread } from './report.js';
import { smoothedDistanceModel } from './smoothed-distance-model.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', multiple: true, default: ['12174', '100000'] },
    runs: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    shuffle: { type: 'boolean', default: false },
    model: { type: 'string' },
  },
});
const dim = 512;
const [k1, k2, sampleHops] = [20, 10, 20];
/** The published code on two cores: 12,174 nodes at these hops in 64 s. */
const publishedNodesPerSecond = 12174 / 64;
const threads = Number(values.threads);
const folder = join(tmpdir(), 'naan-bench');
const modelPath = join(folder, 'model.safetensors');

interface RunJson {
  readonly nodes: number;
  readonly edges: number;
  readonly seconds: { readonly total: number; readonly stages: Record<string, number> };
  readonly engine: { readonly rowsGatheredPerNode: number; readonly busyShare: number };
  readonly peakRssBytes: number;
}

function labelOnce(set: string, model = modelPath): RunJson & { wholeProcess: number } {
  const out = join(folder, 'out');
  const inputs = ['--features', join(set, 'split1_feats.npz'), '--knn', join(set, 'split1_knn.npy')];
  const args = ['dist/src/cli/main.js', 'label', ...inputs, '--model', model, '--out', out, '--quiet'];
  const began = performance.now();
  const child = spawnSync(process.execPath, [...args, '--threads', String(threads)], { encoding: 'utf8' });
  const wholeProcess = (performance.now() - began) / 1000;
  if (child.status !== 0) throw new Error(`naan label failed: ${child.stderr}`);
  return { ...JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')), wholeProcess };
}

/** Seconds to read a file that is in the page cache. */
function readSeconds(path: string): number {
  const block = new Uint8Array(2 ** 22);
  const fd = openSync(path, 'r');
  const began = performance.now();
  while (readSync(fd, block) > 0);
  closeSync(fd);
  return (performance.now() - began) / 1000;
}

const results: Record<string, unknown>[] = [];
for (const nodes of values.nodes.map(Number)) {
  const set = join(folder, `${nodes}x${dim}${values.shuffle ? '-shuffled' : ''}`);
  if (!existsSync(join(set, 'unlabeled/split1_labels.txt'))) {
    await generate({ out: set, nodes, labeledIds: 0, dim, k: 80, shuffle: values.shuffle, plantedKnn: true });
  }
  await writeModel(modelPath, smoothedDistanceModel(dim, [k1, k2]));
  const split = join(set, 'unlabeled');
  labelOnce(split);
  const runs: ReturnType<typeof labelOnce>[] = [];
  const beside: ReturnType<typeof labelOnce>[] = [];
  for (let i = 0; i < Number(values.runs); i++) {
    runs.push(labelOnce(split));
    if (values.model) beside.push(labelOnce(split, values.model));
  }
  const limits = await measureLimits({ threads });

  const [{ edges, engine, seconds, peakRssBytes }] = runs;
  const wholeProcess = spread(runs.map((run) => run.wholeProcess));
  const stages = Object.keys(seconds.stages).map((stage) => [
    stage,
    spread(runs.map((r) => r.seconds.stages[stage])).median,
  ]);
  const gemmSeconds = (nodes * 4 * 2 * dim * dim) / (limits.gemmGflops * 1e9);
  const gatherSeconds = (nodes * engine.rowsGatheredPerNode * dim * 4) / (limits.randomRowGBps * 1e9);
  const fileSeconds = readSeconds(join(split, 'split1_feats.npz')) + readSeconds(join(split, 'split1_knn.npy'));
  const limitSeconds = gemmSeconds + gatherSeconds + fileSeconds;
  results.push({
    nodes,
    dim,
    k1,
    k2,
    sampleHops,
    threads,
    shuffled: values.shuffle,
    edges,
    inputBytes: statSync(join(split, 'split1_feats.npz')).size + statSync(join(split, 'split1_knn.npy')).size,
    wholeProcessSeconds: wholeProcess,
    nodesPerSecond: nodes / wholeProcess.median,
    timesPublished: nodes / wholeProcess.median / publishedNodesPerSecond,
    stageSeconds: Object.fromEntries(stages),
    ...engine,
    peakRssBytes,
    limit: { ...limits, gemmSeconds, gatherSeconds, fileSeconds, limitSeconds },
    timesLimit: wholeProcess.median / limitSeconds,
    ...(values.model && {
      givenModel: {
        wholeProcessSeconds: spread(beside.map((run) => run.wholeProcess)),
        timesConcat: spread(beside.map((run, i) => run.wholeProcess / runs[i].wholeProcess)),
        peakRssBytes: beside[0].peakRssBytes,
      },
    }),
  });
}
report(values.shuffle ? 'label-shuffled' : 'label', { results });
