import { cleanLabels } from '../evaluation/clean-labels.js';
import { type Agreement, type Evaluation, evaluate } from '../evaluation/evaluate.js';
import { readLabels, writeLabelText } from '../io/labels.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'evaluate'> = async ({ labels: path, truth, cleanOut, unlabelled }) => {
  const labels = await readLabels(path);
  const evaluation = evaluate(labels, await readLabels(truth), { unlabelled });
  if (cleanOut !== undefined) await writeLabelText(cleanOut, cleanLabels(labels));
  return { json: evaluation, text: describe(evaluation) };
};

function describe(evaluation: Evaluation): string {
  const { clusters, singletons, identities, discardRatio, purity } = evaluation;
  const measures = table([
    ['', 'precision', 'recall', 'F', 'NMI'],
    ...rows('all rows', evaluation.all),
    ...rows('without singletons', evaluation.withoutSingletons),
  ]);
  const facts = table([
    ['clusters', count(clusters)],
    ['  of one row', count(singletons)],
    ['identities', count(identities)],
    ['discard ratio', discardRatio.toFixed(4)],
    ['purity', purity.toFixed(4)],
  ]);
  return `${measures}\n\n${facts}`;
}

function rows(name: string, { bcubed, pairwise, nmi }: Agreement): string[][] {
  const figures = ({ precision, recall, f }: Agreement['bcubed']) => [precision, recall, f].map((x) => x.toFixed(4));
  return [
    [`${name}: BCubed`, ...figures(bcubed), nmi.toFixed(4)],
    [`${name}: pairwise`, ...figures(pairwise), ''],
  ];
}
