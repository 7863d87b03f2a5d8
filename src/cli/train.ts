import { type TrainSummary, train } from '../jobs/train.js';
import { configOf } from '../options/resolve.js';
import { describeTrainingPlan, type TrainingPlan } from '../training/memory-plan.js';
import type { TrainingReport } from '../training/trained.js';
import type { Run } from './command.js';
import { bytes, count, duration, table } from './format.js';

/** Milliseconds after Ctrl-C in which a step can end and a checkpoint be written. */
export const graceMs = 30_000;

export const run: Run<'train'> = async (values, { signal, onProgress, log, tell, metrics, commandLine, origins }) => {
  metrics?.trains(values.head);
  const onReport = (report: TrainingReport) => {
    metrics?.report(report);
    if (!values.quiet) tell(reportLine(report));
  };
  const onPlan = (plan: TrainingPlan) => void (values.quiet || tell(describeTrainingPlan(plan)));
  const { summary } = await train({
    ...values,
    signal,
    onProgress,
    onReport,
    onPlan,
    onNotice: log.warn,
    observer: metrics,
    commandLine,
    config: configOf(values, origins),
    optionSources: origins,
  });
  return { json: summary, text: describe(summary, values.out) };
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
  const { head, nodes, identities, steps, pairs, heldOut, decided, seconds, peakRssBytes } = summary;
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
  const compared = decided && [
    ['on pairs decided of', `${count(decided.pairs)}, ${count(decided.same)} of one identity`],
    ...(['loss', 'AUC', 'accuracy'] as const).map((name) => {
      const value = (of: typeof decided.before) => of[name === 'AUC' ? 'auc' : name]?.toFixed(4) ?? '-';
      return [`  ${name}`, `${value(decided.after)}, before ${value(decided.before)}`];
    }),
  ];
  const facts = table([
    ['head', head],
    ['nodes', count(nodes)],
    ['identities', count(identities)],
    ['steps', count(steps)],
    ['pairs', count(pairs)],
    ...(measures ?? []),
    ...(compared ?? []),
    ['time', duration(seconds)],
    ['peak memory', bytes(peakRssBytes)],
  ]);
  return `${facts}\n\nwritten to ${out}`;
}
