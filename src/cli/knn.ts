import { findFeatures } from '../io/features.js';
import { writeNpy } from '../io/npy-writer.js';
import { checkOutputs, isOurGraph } from '../io/outputs.js';
import { checkCluster } from '../jobs/cluster-options.js';
import { type FindKnnOptions, findKnn } from '../knn/find.js';
import type { KnnWork } from '../knn/kept-lists.js';
import { describeKnnPlan, type KnnPlan } from '../knn/plan.js';
import { devicesForKnn } from '../machine/choose-knn.js';
import { peakResidentBytes } from '../memory/peak.js';
import type { Run } from './command.js';
import { bytes, count, duration, table } from './format.js';

export const run: Run<'knn'> = async (
  { features, dim, out, overwrite, workDir, restart, cluster, rank, ranks, clusterPasswordFile, clusterCa, ...values },
  { signal, onProgress, log, tell, metrics, clusterPassword },
) => {
  const began = performance.now();
  const file = { name: 'out', path: out, isOurs: isOurGraph, otherwise: 'is no kNN graph' };
  checkCluster({ cluster, rank, ranks, workDir, restart }, 'ranks');
  const share = cluster === undefined ? undefined : { rank: rank ?? 0, ranks: ranks ?? 1 };
  const isOther = share !== undefined && share.rank > 0;
  if (!isOther) await checkOutputs([file], { features }, overwrite);
  const location = await findFeatures(features, { dim });
  const { backend, provider, devices, batch, deviceMemory, ...options } = values;
  const work: KnnWork | undefined = workDir === undefined ? undefined : { path: workDir, features, restart, share };
  const computing = { backend, provider, devices, batch, deviceMemory };
  const onDevices = await devicesForKnn(location, computing, { ...options, work, signal, onNotice: log.warn });
  const search: FindKnnOptions = {
    ...options,
    signal,
    onProgress,
    onNotice: log.warn,
    work,
    onDevices: onDevices && { ...onDevices, onDevices: (readings) => metrics?.devices(readings) },
    onFound: ({ graph: { nodeCount, width, ids } }) =>
      isOther ? Promise.resolve() : writeNpy(out, 'i4', [nodeCount, width], ids),
    onPlan: (plan: KnnPlan) => void (options.quiet || tell(describeKnnPlan(plan))),
  };
  const address = { clusterPassword, clusterPasswordFile, clusterCa, onNotice: log.warn };
  const { graph, method, recall, attempts, copies, badRows, computed } =
    work && share && cluster !== undefined && cluster !== 'files'
      ? await findByWorkers(
          location,
          { ...search, work },
          { ...share, ...address, cluster, dim, observer: metrics?.coordinates() },
        )
      : await findKnn(location, search);
  if (isOther) {
    return { json: { cluster, ...share }, text: `rank ${rank} of ${ranks} has done its part: rank 0 writes the graph` };
  }
  const { nodeCount, width } = graph;
  const seconds = (performance.now() - began) / 1000;
  const peakRssBytes = peakResidentBytes();
  const k = width - 1;
  const facts = table([
    ['nodes', count(nodeCount)],
    ['neighbours each', count(k)],
    ...(copies > 0 ? [['copies', count(copies)]] : []),
    ...(badRows > 0 ? [['left out', count(badRows)]] : []),
    ['method', method],
    ...(computed ? [['computed by', computed.backend]] : []),
    ['recall', method === 'exact' ? '1' : `${recall.toFixed(4)} on a sample`],
    ['time', duration(seconds)],
    ['peak memory', bytes(peakRssBytes)],
  ]);
  const found = { nodes: nodeCount, copies, badRows, k, method, recall, attempts, ...computed };
  const json = { ...found, seconds, peakRssBytes, out };
  return { json, text: `${facts}\n\nwritten to ${out}` };
};

/** Loaded when asked for. */
const findByWorkers: typeof import('../jobs/knn-ranks.js').findKnnByWorkers = async (...given) => {
  const { findKnnByWorkers } = await import('../jobs/knn-ranks.js');
  return findKnnByWorkers(...given);
};
