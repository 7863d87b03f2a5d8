/**
 * The head of the published network: attention over two hops embeds each node, and a small network scores the embeddings of
 * two. M heads of p columns, p being d padded to a multiple of 4; rows lie in stores of n × M·p that stages reuse.
 *
 *   stage      reads                            writes
 *   project    x (file)                         a = h, s, t
 *   aggregate  a, t of N(i)[0..k2]              b = h of z, tz
 *   embed      a, s, t of i; b, tz of N(i)      c = c
 *   split      c                                a = left, b = right
 *   score      a of one end, b of the other     scores
 *
 * In memory c is a: only the owner reads h_i when it is replaced by c_i, so a job holds two n × d matrices and no third.
 * In files c is a third, so that a stage never overwrites what it reads and can be run again after a crash.
 */
import { planBackend } from '../../backends/plan.js';
import { tileCapacity } from '../../backends/tile.js';
import { labellingHops } from '../../defaults.js';
import { Devices } from '../../devices/devices.js';
import { type Head, stage } from '../../engine/head.js';
import type { ConcatConfig } from '../../model/concat.js';
import { factor } from '../../model/factored.js';

const project = stage('project', { ofFeatures: true, rows: ['a'], columns: ['s', 't'] });
const aggregate = stage('aggregate', { gathers: true, rows: ['b'], columns: ['tz'], reads: [project] });
const embed = stage('embed', { gathers: true, rows: ['c'], reads: [project, aggregate] });
const split = stage('split', { rows: ['a', 'b'], reads: [embed] });
const score = stage('score', { gathers: true, columns: ['scores'], reads: [split] });

export const concatHead: Head<ConcatConfig> = {
  dimOf: ({ dim }) => dim,
  hopsOf: ({ k1, k2 }, asked) => asked ?? [Math.min(labellingHops.k1, k1), Math.min(labellingHops.k2, k2)],
  takesHops: true,
  describeHops: ({ k1, k2 }) => `k-hops ${k1} ${k2}`,
  stages: () => [project, aggregate, embed, split, score],

  storage({ heads }, { paddedDim }) {
    const width = heads * paddedDim;
    return {
      rows: [
        { name: 'a', per: 'node', width },
        { name: 'b', per: 'node', width },
        { name: 'c', per: 'node', width, memory: 'a' },
      ],
      columns: [
        { name: 's', per: 'node', width: heads },
        { name: 't', per: 'node', width: heads },
        { name: 'tz', per: 'node', width: heads },
        { name: 'scores', per: 'edge', width: 1 },
      ],
      scratch: [],
    };
  },

  needsReverse: false,
  // Rows that a tile gathers, its lists and edges, and what it computes from them.
  workerBytes: ({ heads }, { batch, paddedDim, listWidth }) =>
    4 * batch * (paddedDim * (heads * (listWidth + 1) + 4) + listWidth * (heads + 4)),

  costs({ heads }, { paddedDim, valueBytes }) {
    const row = valueBytes * paddedDim;
    const product = 2 * paddedDim * paddedDim;
    return {
      project: { flops: heads * product, streamedBytes: 4 * paddedDim + heads * row },
      aggregate: { flops: heads * product, streamedBytes: heads * row, rowBytes: heads * row },
      embed: { streamedBytes: heads * row + row, rowBytes: heads * row },
      split: { flops: 2 * product, streamedBytes: 3 * row },
      score: { streamedBytes: row, rowBytes: row },
    };
  },

  sample: { head: 'concat', dim: 76, heads: 2, alpha: 0.2, k1: 12, k2: 6, sampleHops: 12, provenance: {} },
  planBackend: ({ backend, provider }) => planBackend(backend, provider),
  backendRate: { name: 'nodesPerSecond', fromRows: 100_000 },

  startDevices(model, { plan, batch, hops, threads, devices, onNotice, module }) {
    if (plan.devices.length === 0) return undefined;
    const capacity = tileCapacity(batch, hops.k1, hops.k2);
    return new Devices({ plan, model: factor(model), capacity, threads, devices, onNotice, module });
  },

  async start({ model, batch, hops, backend, devices, simd }, worker) {
    const { ConcatStages } = await import('./stages.js');
    const { startWorkerBackend } = await import('../../devices/worker-backend.js');
    const factored = factor(model);
    const capacity = tileCapacity(batch, hops.k1, hops.k2);
    const started = await startWorkerBackend(factored, capacity, { devices, otherwise: backend, simd, worker });
    return new ConcatStages(started, factored, hops, worker);
  },
};
