/**
 * How fast every back-end and provider that starts on this machine computes a standard tile (d 512, hops 20/10/20), stage
 * by stage and by batch, and how far its scores are from the reference's. CPUs on all threads, a device fed by one.
 * Rounds go over all of them in turn; the ratio to native is taken within a round. `--backends cuda,tfjs` picks some.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { BackendChoice } from '../src/backends/plan.js';
import { concatStages } from '../src/backends/stages.js';
import { candidates, usesThreads } from '../src/jobs/doctor.js';
import { type Probe, probeBackend } from '../src/machine/backend-probe.js';
import { describeMachine } from '../src/machine/machine.js';
import { report, spread } from './report.js';

const { values } = parseArgs({
  options: {
    backends: { type: 'string' },
    batches: { type: 'string', default: '128,512,2048' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});
const batches = values.batches.split(',').map(Number);
const wanted = values.backends?.split(',');
const seconds = Number(values.seconds);
const sampleBatch = 64;
/** What computes fewer nodes a second is measured on the sample alone. */
const leastNodesPerSecond = 1000;

const isNative = ({ backend }: { backend: string }) => backend === 'native';
const isWanted = ({ backend, provider }: BackendChoice) =>
  !wanted || wanted.includes(backend) || (provider !== undefined && wanted.includes(provider));

const { scores: expected } = await probeBackend({ backend: 'reference', threads: 1, batch: sampleBatch, seconds: 0.1 });
const started: { choice: BackendChoice; sample: Probe; largestScoreDifference: number }[] = [];
const missing: { backend: string; provider?: string | undefined; reason: string }[] = [];
for (const choice of candidates.filter((candidate) => isNative(candidate) || isWanted(candidate))) {
  try {
    const sample = await probeBackend({ ...choice, threads: 1, batch: sampleBatch, seconds });
    const largest = sample.scores.reduce((most, score, e) => Math.max(most, Math.abs(score - expected[e])), 0);
    if (!(largest < 1e-4)) throw new Error(`scores differ from the reference's by ${largest}`);
    started.push({ choice, sample, largestScoreDifference: largest });
  } catch (error) {
    const { backend, provider } = choice;
    missing.push({ backend, provider, reason: error instanceof Error ? error.message : String(error) });
  }
}

interface Row {
  readonly of: (typeof started)[number];
  readonly batch: number;
  readonly threads: number;
  readonly probes: Probe[];
}

const rows = started.flatMap((of): Row[] => {
  const slow = of.sample.nodesPerSecond < leastNodesPerSecond;
  const threads = usesThreads(of.sample) ? Number(values.threads) : 1;
  if (slow) return [{ of, batch: sampleBatch, threads: 1, probes: [of.sample] }];
  return batches.map((batch) => ({ of, batch, threads, probes: [] }));
});
for (let round = 0; round < Number(values.rounds); round++) {
  for (const { of, batch, threads, probes } of rows) {
    if (probes[0] === of.sample) continue;
    probes.push(await probeBackend({ ...of.choice, threads, batch, seconds }));
  }
}

const results = rows.map(({ of, batch, threads, probes }) => {
  const native = rows.find((row) => isNative(row.of.choice) && row.batch === batch)?.probes;
  const { backend, provider, software } = of.sample;
  const median = (value: (probe: Probe) => number) => spread(probes.map(value)).median;
  return {
    backend,
    provider,
    software,
    batch,
    threads,
    secondsPer1000NodesOnAThread: Object.fromEntries(
      concatStages.map((stage) => [stage, median((probe) => probe.stageSeconds[stage])]),
    ),
    nodesPerSecond: spread(probes.map((probe) => probe.nodesPerSecond)),
    gflops: median((probe) => probe.gflops),
    timesNative: native && spread(probes.map((probe, i) => probe.nodesPerSecond / native[i].nodesPerSecond)).median,
    largestScoreDifference: of.largestScoreDifference,
  };
});
const { gpu, onnxruntime, packages } = describeMachine();
report('backends', { results, missing, gpu, onnxruntime: onnxruntime.version, packages });
