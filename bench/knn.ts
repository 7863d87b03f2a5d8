/**
 * How fast is the exact kNN search, and how near to what the machine's GEMM allows? The whole of `buildKnn` is timed:
 * starting the threads, checking the rows, searching. The limit is n² d multiply-adds, each similarity computed once
 * for both of its rows, at the GEMM rate measured in the same run.
 *
 *     node dist/bench/knn.js --nodes 12174 --dim 512 --k 80 --threads 2 --repeat 5
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { SyntheticSet } from '../src/graph/synthetic-set.js';
import { buildKnn } from '../src/knn/exact.js';
import { measureLimits } from '../src/machine/limits.js';
import { SharedRows } from '../src/memory/shared-rows.js';
import { report, spread } from './report.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '12174' },
    dim: { type: 'string', default: '512' },
    k: { type: 'string', default: '80' },
    threads: { type: 'string', default: String(availableParallelism()) },
    repeat: { type: 'string', default: '5' },
  },
});
const [nodes, dim, k, threads, repeat] = [values.nodes, values.dim, values.k, values.threads, values.repeat].map(
  Number,
);

const set = new SyntheticSet({ seed: 1, split: 1, dim, extent: { nodes }, shuffle: true });
const rows = SharedRows.allocate(nodes, dim);
rows.eachRun(0, nodes, (view, first) => set.rows(first, view.length / dim, view));

validate(await search());
const seconds: number[] = [];
const limits: number[] = [];
for (let run = 0; run < repeat; run++) {
  limits.push((await measureLimits({ threads })).gemmGflops);
  const began = performance.now();
  await search();
  seconds.push((performance.now() - began) / 1000);
}

const gemmGflops = spread(limits);
const time = spread(seconds);
const flops = nodes * nodes * dim;
report('knn', {
  question: 'exact kNN search: rows per second, and how near to the GEMM limit',
  nodes,
  dim,
  k,
  threads,
  seconds: time,
  rowsPerSecond: nodes / time.median,
  gflops: flops / time.median / 1e9,
  gemmGflops,
  timesLimit: time.median / (flops / (gemmGflops.median * 1e9)),
});

function search(): Promise<KnnGraph> {
  return buildKnn({ kind: 'memory', name: 'bench', rows: rows.handle() }, { k, threads });
}

/** Compares every hundredth list with a plain search. */
function validate({ ids, width }: KnnGraph): void {
  for (let row = 0; row < nodes; row += 100) {
    const cosines = Float64Array.from({ length: nodes }, (_, other) => dot(rows.row(row), rows.row(other)));
    const kth = cosines.toSorted()[nodes - 1 - k];
    for (const id of ids.subarray(row * width + 1, (row + 1) * width)) {
      if (cosines[id] < kth - 1e-6) throw new Error(`row ${row}: ${id} is not among its ${k} nearest`);
    }
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}
