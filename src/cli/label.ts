import { describePlan, type MemoryPlan } from '../engine/memory-plan.js';
import { type LabelResult, type LabelSummary, label, labelShare, type Origin } from '../jobs/label.js';
import { configOf } from '../options/resolve.js';
import type { Run } from './command.js';
import { bytes, count, duration, table } from './format.js';

export const run: Run<'label'> = async (values, context) => {
  const { signal, onProgress, log, tell, metrics, commandLine, origins, clusterPassword } = context;
  const onPlan = (plan: MemoryPlan) => void (values.quiet || tell(describePlan(plan)));
  const { cluster, rank = 0, ranks, ...alone } = values;
  const job = {
    ...values,
    clusterPassword,
    signal,
    onProgress,
    onNotice: log.warn,
    onPlan,
    observer: metrics,
    taskObserver: cluster === undefined || cluster === 'files' ? undefined : metrics?.coordinates(),
    commandLine,
    // Ranks make what one process makes, so one process runs it again.
    config: configOf(alone, origins),
    optionSources: origins,
  };
  if (cluster === 'files' && rank > 0) {
    await labelShare(job);
    return {
      json: { cluster, rank, ranks },
      text: `rank ${rank} of ${ranks} has done its part: rank 0 writes the labels`,
    };
  }
  const result = await label(job);
  return { json: result.summary, text: describe(result, values.out) };
};

function describe({ summary, haloFactor }: LabelResult, out: string): string {
  const { nodes, copies, badRows, edges, clusters, singletons, unlabelled, largest, seconds, peakRssBytes } = summary;
  const { search, partition, threshold } = summary;
  const stages = Object.entries(seconds.stages).map(([stage, taken]) => [`  ${stage}`, duration(taken)]);
  const facts = table([
    ['nodes', count(nodes)],
    ...(copies > 0 ? [['  copies', count(copies)]] : []),
    ...(badRows > 0 ? [['  left out', count(badRows)]] : []),
    ...(search ? [['neighbours found', `${search.k} by ${search.method}`]] : []),
    ...(search && search.method !== 'exact' ? [['  recall', `${search.recall.toFixed(4)} on a sample`]] : []),
    ['candidate edges', count(edges)],
    ...(summary.decisions === undefined ? [] : [['decisions', count(summary.decisions)]]),
    ['clusters', count(clusters)],
    ['  of one node', count(singletons)],
    ['  largest', `${count(largest)} nodes`],
    ['without a label', count(unlabelled)],
    ['partition', partition],
    ['threshold', threshold.toFixed(3)],
    // A coordinator whose workers are elsewhere gathers nothing itself.
    ...(haloFactor > 0 ? [['halo factor', haloFactor.toFixed(2)]] : []),
    ['time', duration(seconds.total)],
    ...stages,
    ['peak memory', bytes(peakRssBytes)],
  ]);
  return `${facts}\n\nlabels are in ${out}\n${describeOrigins(summary)}${describeChanges(summary)}`;
}

function describeOrigins({ partitionFrom, thresholdFrom }: LabelSummary): string {
  const [partition, threshold] = [partitionFrom, thresholdFrom].map((origin) => originWords[origin]);
  return partition === threshold
    ? `partition and threshold are ${partition}`
    : `the partition is ${partition}, the threshold ${threshold}`;
}

/** A line about identities, where there is one to tell. */
export function describeChanges({ changes }: LabelSummary): string {
  if (!changes) return '';
  return `\nidentities: ${Object.entries(changes)
    .map(([kind, number]) => `${count(number)} ${kind}`)
    .join(', ')}`;
}

const originWords: Readonly<Record<Origin, string>> = {
  given: 'as given',
  calibrated: 'calibrated with the model',
  default: 'by default',
};
