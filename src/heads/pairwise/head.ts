/**
 * The default head: scores an edge by how the neighbourhoods of its ends overlap, in rounds, for features of any dimension.
 * Its networks compute on whatever back-end is asked for, a device too; cosines, lists and sums over lists, on the CPU.
 *
 *   stage         reads                                writes
 *   load          x (file)                             x = rows, whitened if so, padded to a multiple of 4
 *   similarities  x of i and of N(i)                   cosines along the lists, their summaries
 *   score         lists, scores of the round before    scores; round 0 also the structural features of each edge
 *   summarise     scores of the round before           their summaries, for the next round
 *
 * Rounds write two arrays by turns, so that the last writes the one that is the result.
 */
import { planBackend } from '../../backends/plan.js';
import { tileCapacity } from '../../backends/tile.js';
import { Devices } from '../../devices/devices.js';
import { type Head, type Stage, stage } from '../../engine/head.js';
import { type PairwiseConfig, structuralFeatureCount } from '../../model/pairwise.js';
import { roundNetworks } from '../../model/round-network.js';
import { settleAgain, settleModel } from './chance.js';
import { scoresOf, whitenedAtOnce } from './job.js';
import { rescore } from './rescore.js';
import { summaryWidth } from './score-features.js';
import { listSummaryWidth } from './structural-features.js';

const load = stage('load', { ofFeatures: true, rows: ['x'] });
const similarities = stage('similarities', {
  gathers: true,
  columns: ['similarities', 'listSummaries'],
  reads: [load],
});

export const pairwiseHead: Head<PairwiseConfig> = {
  dimOf: ({ dim }) => dim,
  hopsOf: ({ k }) => [k, k],
  takesHops: false,
  settle: settleModel,
  settleAgain,
  describeHops: ({ k1 }) => `a model that looks at ${k1}`,

  stages({ rounds }) {
    const first = stage('score', { columns: [scoresOf(0, rounds)], rows: ['structure'], reads: [similarities] });
    const scoring: Stage[] = [first];
    for (let round = 1; round < rounds; round++) {
      const [before] = scoring.slice(-1);
      const reads = before === first ? [similarities, first] : [similarities, first, before];
      scoring.push(stage('summarise', { round, part: 'score', reads: [before] }));
      scoring.push(stage('score', { round, columns: [scoresOf(round, rounds)], reads }));
    }
    return [load, similarities, ...scoring];
  },

  storage({ rounds }, { paddedDim, listWidth }) {
    return {
      rows: [
        { name: 'x', per: 'node', width: paddedDim },
        { name: 'structure', per: 'edge', width: structuralFeatureCount, exact: true },
      ],
      columns: [
        { name: 'similarities', per: 'node', width: listWidth },
        { name: 'listSummaries', per: 'node', width: listSummaryWidth },
        ...Array.from({ length: rounds }, (_, round) => ({
          name: scoresOf(round, rounds),
          per: 'edge' as const,
          width: 1,
          memory: (rounds - 1 - round) % 2 === 0 ? 'scores' : 'earlier',
        })),
      ],
      scratch: [{ name: 'scoreSummaries', per: 'node', width: summaryWidth }],
    };
  },

  rescore,
  needsReverse: true,
  // Two tables of the nodes, the rows and lists of a tile, and the whitening twice, as given and as products take it.
  workerBytes: ({ k, dim = 0 }, { nodes, batch, paddedDim }) =>
    2 * nodes + 4 * batch * (k + 1) * (paddedDim + 2) + 8 * dim * (dim + whitenedAtOnce),

  costs({ dim = 0 }, { paddedDim, valueBytes }) {
    const row = valueBytes * paddedDim;
    return { load: { flops: 2 * dim * dim, streamedBytes: 4 * paddedDim + row }, similarities: { rowBytes: row } };
  },

  sample: { head: 'pairwise', k: 12, rounds: 2, hidden: [32, 16], sampleHops: 12, provenance: {} },
  planBackend: ({ backend, provider }) => planBackend(backend, provider),
  backendRate: { name: 'edgesPerSecond', fromRows: 1_000_000 },

  startDevices(model, { plan, batch, hops, threads, devices, onNotice, module }) {
    if (plan.devices.length === 0) return undefined;
    const capacity = tileCapacity(batch, hops.k1, 0);
    return new Devices({ plan, model: roundNetworks(model), capacity, threads, devices, onNotice, module });
  },

  async start({ model, batch, hops, backend, devices, simd }, worker) {
    const { PairwiseStages } = await import('./stages.js');
    const { cachedTile } = await import('./scorer.js');
    const { startWorkerBackend } = await import('../../devices/worker-backend.js');
    const capacity = devices ? tileCapacity(batch, hops.k1, 0) : cachedTile;
    const options = { devices, otherwise: backend, simd, worker };
    const started = await startWorkerBackend(roundNetworks(model), capacity, options);
    return new PairwiseStages(started, model, { batch, simd }, worker);
  },
};
