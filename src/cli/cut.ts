import { join, parse } from 'node:path';
import { countClusters } from '../cluster/relabel.js';
import { openItems } from '../io/items.js';
import { writeLabelText } from '../io/labels.js';
import { checkOutputs } from '../io/outputs.js';
import { readScoredPairs } from '../io/scored-pairs.js';
import { cluster } from '../jobs/cluster.js';
import { columnInput, constraintsOf, readDecidedRows } from '../jobs/decided-rows.js';
import { absentPairsOf } from '../jobs/run-inputs.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'cut'> = async (values, { log }) => {
  const { edges, scores: scoresPath, rows, out, overwrite, items, constraints, cannotLinkWithin, ...options } = values;
  const thresholds = [...new Set(options.threshold)];
  const files = thresholds.map((threshold) => (thresholds.length === 1 ? out : fileAt(out, threshold)));
  const replaced = files.map((path) => ({ name: 'out', path, isOurs: () => false, otherwise: 'is there already' }));
  const column = cannotLinkWithin === undefined ? undefined : columnInput(cannotLinkWithin, items);
  const inputs = { edges, scores: scoresPath, items, constraints, 'cannot-link-within': column };
  await checkOutputs(replaced, inputs, overwrite);
  const scored = await readScoredPairs(edges, scoresPath, rows);
  const names = items === undefined ? undefined : await openItems(items);
  const nodes = rows ?? (await names?.count()) ?? scored.pairs.reduce((highest, id) => Math.max(highest, id), -1) + 1;
  const decided = await readDecidedRows(
    { constraints, cannotLinkWithin },
    { rowCount: nodes, items: names, itemsFile: items },
    log.warn,
  );
  const settled = {
    ...options,
    absentPairs: absentPairsOf(scoresPath),
    constraints: decided && constraintsOf(decided).constraints,
  };
  const cuts: Cut[] = [];
  for (const [i, threshold] of thresholds.entries()) {
    const labels = cluster(scored, nodes, { ...settled, threshold });
    await writeLabelText(files[i], labels);
    cuts.push({ threshold, out: files[i], ...countClusters(labels) });
  }
  const common = { rows: nodes, edges: scored.scores.length, partition: options.partition };
  if (cuts.length > 1) return { json: { ...common, cuts }, text: describe(cuts) };
  const [{ out: _, threshold, ...counts }] = cuts;
  const facts = table([
    ['rows', count(nodes)],
    ['clusters', count(counts.clusters)],
    ['  of one row', count(counts.singletons)],
    ['  largest', `${count(counts.largest)} rows`],
    ['without a label', count(counts.unlabelled)],
  ]);
  return { json: { ...common, threshold, ...counts }, text: `${facts}\n\nlabels are in ${out}` };
};

type Cut = { readonly threshold: number; readonly out: string } & ReturnType<typeof countClusters>;

/** cut.txt at 0.5 is cut-0.5.txt. */
function fileAt(out: string, threshold: number): string {
  const { dir, name, ext } = parse(out);
  return join(dir, `${name}-${threshold}${ext}`);
}

function describe(cuts: readonly Cut[]): string {
  const lines = cuts.map(({ threshold, clusters, singletons, largest, unlabelled, out }) => [
    String(threshold),
    ...[clusters, singletons, largest, unlabelled].map(count),
    out,
  ]);
  return table([['threshold', 'clusters', 'of one', 'largest', 'without', 'labels'], ...lines]);
}
