import { clustersOf } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { cleanLabels } from '../evaluation/clean-labels.js';
import { type Agreement, type Evaluation, evaluate } from '../evaluation/evaluate.js';
import type { PrecisionRecall } from '../evaluation/precision-recall.js';
import { type TrustPoint, trustCurve } from '../evaluation/trust-curve.js';
import { checkClusterTable, readClusterTable } from '../io/cluster-table.js';
import { isSameInput } from '../io/input-file.js';
import type { Labels } from '../io/label-codes.js';
import { readLabels, writeLabels } from '../io/labels.js';
import { itemsOfBoth, type Matching, matchByItem } from '../io/labels-by-item.js';
import { checkOutputs } from '../io/outputs.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

/** Lines of the curve by trust. */
const curveSteps = 20;

export const run: Run<'evaluate'> = async (
  { labels: path, truth, clusters, cleanOut, unlabelled, overwrite },
  { log },
) => {
  if (cleanOut !== undefined) {
    const file = { name: 'clean-out', path: cleanOut, isOurs: () => false, otherwise: 'may be labels by hand' };
    await checkOutputs([file], { labels: path, truth, clusters }, overwrite);
  }
  if (truth === undefined) return clean(path, cleanOut);
  if (isSameInput(path, truth))
    log.warn(`${path}: the labels and the truth are one and the same: they agree as they must`);
  const labels = await readLabels(path);
  const { codes } = await readLabels(truth);
  const items = await itemsOfBoth(path, truth);
  const matching = items && (await matchByItem({ labels, items: items[0] }, { labels: { codes }, items: items[1] }));
  if (matching?.matched === 0) {
    throw new NaanError('BAD_INPUT', `${path}: has none of the items of ${truth}, expected the same names in both`);
  }
  if (!matching && labels.codes.length !== codes.length) {
    const got = `${path}: ${labels.codes.length} labels`;
    throw new NaanError('BAD_SHAPE', `${got}, expected ${codes.length} as ${truth} has, or an item beside each label`);
  }
  const identities = matching?.truth ?? codes;
  const evaluation = evaluate(labels.codes, identities, { unlabelled });
  const byTrust = clusters === undefined ? undefined : await curveOf(clusters, path, labels, identities);
  if (cleanOut !== undefined) await writeLabels(cleanOut, cleanLabels(labels));
  const json = { ...evaluation, ...(byTrust && { byTrust }) };
  const text = [describe(evaluation), ...(byTrust ? [describeCurve(byTrust)] : [])].join('\n\n');
  if (!matching) return { json, text };
  const { matched, onlyInLabels, onlyInTruth, ambiguous } = matching;
  return {
    json: { ...json, items: { matched, onlyInLabels, onlyInTruth, ambiguous } },
    text: `${text}\n\n${describeMatching(matching, path, truth)}`,
  };
};

async function curveOf(file: string, path: string, { codes }: Labels, truth: Int32Array) {
  const clusters = await readClusterTable(file);
  const { clusterOf, ids, sizes } = clustersOf(codes);
  checkClusterTable(clusters, file, { ids, sizes }, path);
  return trustCurve(clusterOf, clusters.trust, truth, curveSteps);
}

function describeCurve(points: readonly TrustPoint[]): string {
  const figures = ({ precision, recall, f }: PrecisionRecall) => [precision, recall, f].map((x) => x.toFixed(4));
  return table([
    ['--min-trust', 'rows kept', 'BCubed: precision', 'recall', 'F', 'pairwise: precision', 'recall', 'F'],
    ...points.map(({ trust, share, bcubed, pairwise }) => [
      trust.toFixed(4),
      share.toFixed(4),
      ...figures(bcubed!),
      ...figures(pairwise!),
    ]),
  ]);
}

/** Labels to train on need no truth. */
async function clean(path: string, cleanOut: string | undefined) {
  if (cleanOut === undefined) {
    throw new NaanError('BAD_USAGE', '--truth (or NAAN_TRUTH) is missing: true identities, or --clean-out without');
  }
  const labels = await readLabels(path);
  const cleaned = cleanLabels(labels);
  await writeLabels(cleanOut, cleaned);
  const labelled = (codes: Int32Array) => codes.reduce((sum, code) => sum + (code === -1 ? 0 : 1), 0);
  const [before, after] = [labelled(labels.codes), labelled(cleaned.codes)];
  const facts = table([
    ['rows', count(labels.codes.length)],
    ['  with a label', count(after)],
    ['  left out, alone', count(before - after)],
  ]);
  return {
    json: { rows: labels.codes.length, labelled: after, alone: before - after },
    text: `${facts}\n\nlabels are in ${cleanOut}`,
  };
}

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

function describeMatching(matching: Matching, labels: string, truth: string): string {
  const { matched, onlyInLabels, onlyInTruth, ambiguous } = matching;
  const facts = [`${count(matched)} items matched by name`];
  if (onlyInLabels > 0) facts.push(`${count(onlyInLabels)} of ${labels} are not in ${truth}`);
  if (onlyInTruth > 0) facts.push(`${count(onlyInTruth)} of ${truth} are not in ${labels}`);
  if (ambiguous > 0) facts.push(`${count(ambiguous)} have two labels in one file and were not counted`);
  return facts.join('\n');
}
