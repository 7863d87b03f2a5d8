import { serveMetrics } from '../metrics/server.js';
import { TrainingMetrics } from '../metrics/training.js';
import type { TrainedEpoch } from '../training/concat-training.js';
import { type TrainSummary, train } from '../training/train.js';
import type { Run } from './command.js';
import { bytes, count, duration, table } from './format.js';

/** After Ctrl-C a step has to end, and a checkpoint to be written. */
export const graceMs = 30_000;

export const run: Run<'train'> = async (values, { signal, onProgress, log, tell, origins }) => {
  const { metricsPort, quiet, json: _, config: __, logLevel: ___, ...options } = values;
  const metrics = metricsPort === undefined ? undefined : new TrainingMetrics();
  const server = metrics && (await serveMetrics(metrics.registry, metricsPort ?? 0));
  if (server) tell(`metrics at ${server.url}`);
  const inform = quiet ? () => {} : tell;
  const onEpoch = (epoch: TrainedEpoch) => {
    inform(epochLine(epoch, values.epochs));
    log.info(epoch, 'epoch');
  };
  try {
    const { summary } = await train({
      ...options,
      ...{ signal, onProgress, onEpoch, onNotice: inform, observer: metrics, optionSources: origins },
    });
    return { json: summary, text: describe(summary, values.out) };
  } finally {
    server?.close();
  }
};

function epochLine({ epoch, learningRate, loss, accuracy, heldOut }: TrainedEpoch, epochs: number): string {
  const trained = `epoch ${epoch} of ${epochs}: lr ${Number(learningRate.toPrecision(3))}, loss ${loss.toFixed(4)}, accuracy ${accuracy.toFixed(4)}`;
  if (!heldOut) return trained;
  const { partition, partitions, auc } = heldOut;
  const { threshold, bcubed } = partitions[partition];
  const best = `BCubed F ${bcubed.f.toFixed(4)} by ${partition} at ${threshold.toFixed(2)}`;
  return `${trained}; held out: loss ${heldOut.loss.toFixed(4)}, AUC ${auc.toFixed(4)}, ${best}`;
}

function describe(summary: TrainSummary, out: string): string {
  const { nodes, identities, heldOutNodes, heldOutIdentities, heldOut, seconds } = summary;
  const measures = heldOut && [
    ['  loss', heldOut.loss.toFixed(4)],
    ['  AUC', heldOut.auc.toFixed(4)],
    ['  accuracy', heldOut.accuracy.toFixed(4)],
    ['  BCubed F', heldOut.bcubed.f.toFixed(4)],
    ['partition', heldOut.partition],
    ['threshold', heldOut.threshold.toFixed(3)],
  ];
  const facts = table([
    ['nodes', count(nodes)],
    ['identities', count(identities)],
    ['held out', heldOut ? `${count(heldOutNodes)} of ${count(heldOutIdentities)} identities` : 'none'],
    ...(measures ?? []),
    ['best epoch', `${summary.bestEpoch} of ${summary.epochs}`],
    ['steps', count(summary.steps)],
    ['pairs', count(summary.pairs)],
    ['time', duration(seconds)],
    ['peak memory', bytes(summary.peakRssBytes)],
  ]);
  return `${facts}\n\nwritten to ${out}`;
}
