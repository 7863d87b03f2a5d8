import { type TrainSummary, train } from '../jobs/train.js';
import { serveMetrics } from '../metrics/server.js';
import { TrainingMetrics } from '../metrics/training.js';
import type { TrainingReport } from '../training/trained.js';
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
  const onReport = (report: TrainingReport) => inform(reportLine(report));
  try {
    const { summary } = await train({
      ...options,
      signal,
      onProgress,
      onReport,
      onNotice: log.warn,
      observer: metrics,
      optionSources: origins,
    });
    return { json: summary, text: describe(summary, values.out) };
  } finally {
    server?.close();
  }
};

function reportLine({ unit, index, count, learningRate, loss, accuracy, heldOut }: TrainingReport): string {
  const rate = unit === 'epoch' ? `lr ${Number(learningRate.toPrecision(3))}, ` : '';
  const trained = `${unit} ${index} of ${count}: ${rate}loss ${loss.toFixed(4)}, accuracy ${accuracy.toFixed(4)}`;
  if (!heldOut) return trained;
  const { auc, partition, threshold, bcubed } = heldOut;
  const measures = `loss ${heldOut.loss.toFixed(4)}, AUC ${auc.toFixed(4)}, accuracy ${heldOut.accuracy.toFixed(4)}`;
  const [p, r, f] = [bcubed.precision, bcubed.recall, bcubed.f].map((value) => value.toFixed(4));
  return `${trained}; held out: ${measures}, BCubed P ${p} R ${r} F ${f} by ${partition} at ${threshold.toFixed(2)}`;
}

function describe(summary: TrainSummary, out: string): string {
  const { head, nodes, identities, steps, pairs, heldOut, seconds, peakRssBytes } = summary;
  const measures = heldOut && [
    ['on identities held out', ''],
    ['  loss', heldOut.loss.toFixed(4)],
    ['  AUC', heldOut.auc.toFixed(4)],
    ['  accuracy', heldOut.accuracy.toFixed(4)],
    ['  BCubed F', `${heldOut.bcubed.f.toFixed(4)} ± ${heldOut.deviation.bcubed.toFixed(4)}`],
    ['  pairwise F', `${heldOut.pairwise.f.toFixed(4)} ± ${heldOut.deviation.pairwise.toFixed(4)}`],
    ['  partition', heldOut.partition],
    ['  threshold', heldOut.threshold.toFixed(3)],
  ];
  const facts = table([
    ['head', head],
    ['nodes', count(nodes)],
    ['identities', count(identities)],
    ['steps', count(steps)],
    ['pairs', count(pairs)],
    ...(measures ?? []),
    ['time', duration(seconds)],
    ['peak memory', bytes(peakRssBytes)],
  ]);
  return `${facts}\n\nwritten to ${out}`;
}
