/**
 * Directed pairs a second of block training on a generated set, at the labelling hops and at the published training
 * hops, with the FLOP count of a pair and the ratio to the GEMM rate measured in the same run.
 *
 *     node dist/bench/train.js [--nodes 12174] [--dim 512] [--threads 2] [--block 3000] [--cell 512] [--epochs 3]
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { plantKnn } from '../src/graph/knn-planted.js';
import { SyntheticSet } from '../src/graph/synthetic-set.js';
import { type Limits, measureLimits } from '../src/machine/limits.js';
import { SharedRows } from '../src/memory/shared-rows.js';
import { balancedWeights, coverageOf, cutBlocks } from '../src/training/concat/blocks.js';
import type { Closure, Hops } from '../src/training/concat/closure.js';
import { TrainingEngine } from '../src/training/concat/training-engine.js';
import { report, spread } from './report.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '12174' },
    dim: { type: 'string', default: '512' },
    threads: { type: 'string', default: String(availableParallelism()) },
    block: { type: 'string', default: '3000' },
    cell: { type: 'string', default: '512' },
    epochs: { type: 'string', default: '3' },
  },
});
const [nodes, dim, threads, blockNodes, cellNodes, epochs] = [
  ...[values.nodes, values.dim, values.threads],
  ...[values.block, values.cell, values.epochs],
].map(Number);
/** The published code in PyTorch on two cores. */
const publishedPairsPerSecond = 60;
const settings = { learningRate: 0.002, weightDecay: 5e-4, clip: 2 };
const cases: Hops[] = [
  { k1: 20, k2: 10, sampleHops: 20 },
  { k1: 100, k2: 10, sampleHops: 120 },
];

/** Floating-point operations of one step: its GEMMs, and its kernels over lists and pairs. */
function flopsOf({ rowCount, oneHopCount, blockCount, attention, targets }: Closure): {
  gemm: number;
  kernels: number;
} {
  const rows = 2 * rowCount + 3 * oneHopCount + 6 * blockCount;
  return { gemm: 2 * dim * dim * rows, kernels: dim * (6 * attention.index.length + 14 * targets.length) };
}

/** Measured before and after, as the machine may be shared. */
function meanOf(a: Limits, b: Limits): Limits {
  const mean = (name: 'gemmGflops' | 'randomRowGBps' | 'streamGBps') => (a[name] + b[name]) / 2;
  const { threads } = a;
  return {
    threads,
    gemmGflops: mean('gemmGflops'),
    randomRowGBps: mean('randomRowGBps'),
    streamGBps: mean('streamGBps'),
  };
}

const set = new SyntheticSet({ seed: 1, split: 0, dim, extent: { nodes }, shuffle: false });
const graph = await plantKnn(set, { k: Math.max(...cases.map(({ sampleHops }) => sampleHops)) });
const labels = set.labels();
const features = SharedRows.allocate(nodes, dim);
for (let i = 0; i < nodes; i++) set.rows(i, 1, features.row(i));

const results: Record<string, unknown>[] = [];
for (const hops of cases) {
  const architecture = { dim, heads: 1, head: 'concat' as const };
  const engine = new TrainingEngine({ architecture, alpha: 0.2, hops, features, graph, labels, seed: 1, threads });
  engine.parameters.initialise(1);
  const before = await measureLimits({ threads });
  const rates: number[] = [];
  const totals = { steps: 0, pairs: 0, cpuSeconds: 0, gemm: 0, kernels: 0, seconds: 0, rows: 0, oneHop: 0, block: 0 };
  let coverage = 0;
  let loss = 0;
  for (let epoch = 0; epoch <= epochs; epoch++) {
    const blocks = cutBlocks(graph, { blockNodes, cellNodes, seed: 1, epoch });
    const covered = coverageOf(graph, labels, hops.sampleHops, blocks);
    coverage = covered.coveredPairs / covered.pairs;
    const classWeights = balancedWeights(covered);
    const began = performance.now();
    const cpuBegan = process.cpuUsage();
    let pairs = 0;
    let next = engine.prepare(blocks[0]);
    for (let b = 0; b < blocks.length; b++) {
      const closure = next;
      const step = engine.step(closure, { ...settings, classWeights });
      if (b + 1 < blocks.length) next = engine.prepare(blocks[b + 1]);
      ({ loss } = await step);
      pairs += closure.targets.length;
      if (epoch === 0) continue;
      const flops = flopsOf(closure);
      totals.steps++;
      totals.gemm += flops.gemm;
      totals.kernels += flops.kernels;
      totals.rows += closure.rowCount;
      totals.oneHop += closure.oneHopCount;
      totals.block += closure.blockCount;
    }
    const seconds = (performance.now() - began) / 1000;
    if (epoch === 0) continue; // warms up
    const cpu = process.cpuUsage(cpuBegan);
    totals.cpuSeconds += (cpu.user + cpu.system) / 1e6;
    totals.pairs += pairs;
    totals.seconds += seconds;
    rates.push(pairs / seconds);
  }
  await engine.close();
  const limits = meanOf(before, await measureLimits({ threads }));
  const gflops = totals.gemm / totals.seconds / 1e9;
  results.push({
    nodes,
    dim,
    ...hops,
    threads,
    blockNodes,
    cellNodes,
    epochs,
    pairsPerSecond: spread(rates),
    pairsPerCpuSecond: totals.pairs / totals.cpuSeconds,
    timesPublished: spread(rates).median / publishedPairsPerSecond,
    millisecondsPerStep: (totals.seconds / totals.steps) * 1000,
    pairsPerStep: totals.pairs / totals.steps,
    closureOfAStep: {
      block: totals.block / totals.steps,
      oneHop: totals.oneHop / totals.steps,
      rows: totals.rows / totals.steps,
    },
    pairsCovered: coverage,
    flopsPerPair: { gemm: totals.gemm / totals.pairs, kernels: totals.kernels / totals.pairs },
    gemmGflops: gflops,
    limits,
    shareOfGemmLimit: gflops / limits.gemmGflops,
    lossOfLastStep: loss,
  });
}
report('train', { results });
