import { NaanError } from '../errors.js';
import { cleanLabels } from '../evaluation/clean-labels.js';
import { type Agreement, type Evaluation, evaluate } from '../evaluation/evaluate.js';
import { readLabels, writeLabels } from '../io/labels.js';
import { checkOutputs } from '../io/outputs.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'evaluate'> = async ({ labels: path, truth, cleanOut, unlabelled, overwrite }) => {
  if (cleanOut !== undefined) {
    const file = { name: 'clean-out', path: cleanOut, isOurs: () => false, otherwise: 'may be labels by hand' };
    await checkOutputs([file], { labels: path, truth }, overwrite);
  }
  const labels = await readLabels(path);
  const { codes } = await readLabels(truth);
  if (labels.codes.length !== codes.length) {
    const got = `${path}: ${labels.codes.length} labels`;
    throw new NaanError('BAD_SHAPE', `${got}, expected ${codes.length} as ${truth} has`);
  }
  const evaluation = evaluate(labels.codes, codes, { unlabelled });
  if (cleanOut !== undefined) await writeLabels(cleanOut, cleanLabels(labels));
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
