import { countClusters } from '../cluster/relabel.js';
import { openItems } from '../io/items.js';
import { writeLabelText } from '../io/labels.js';
import { checkOutputs } from '../io/outputs.js';
import { readScoredPairs } from '../io/scored-pairs.js';
import { cluster } from '../jobs/cluster.js';
import { columnInput, constraintsOf, readDecidedRows } from '../jobs/decided-rows.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'cut'> = async (values, { log }) => {
  const { edges, scores: scoresPath, rows, out, overwrite, items, constraints, cannotLinkWithin, ...options } = values;
  const replaced = { name: 'out', path: out, isOurs: () => false, otherwise: 'is there already' };
  const column = cannotLinkWithin === undefined ? undefined : columnInput(cannotLinkWithin, items);
  const inputs = { edges, scores: scoresPath, items, constraints, 'cannot-link-within': column };
  await checkOutputs([replaced], inputs, overwrite);
  const scored = await readScoredPairs(edges, scoresPath, rows);
  const names = items === undefined ? undefined : await openItems(items);
  const nodes = rows ?? (await names?.count()) ?? scored.pairs.reduce((highest, id) => Math.max(highest, id), -1) + 1;
  const decided = await readDecidedRows(
    { constraints, cannotLinkWithin },
    { rowCount: nodes, items: names, itemsFile: items },
    log.warn,
  );
  const labels = cluster(scored, nodes, { ...options, constraints: decided && constraintsOf(decided).constraints });
  await writeLabelText(out, labels);
  const counts = countClusters(labels);
  const { partition, threshold } = options;
  const facts = table([
    ['rows', count(nodes)],
    ['clusters', count(counts.clusters)],
    ['  of one row', count(counts.singletons)],
    ['  largest', `${count(counts.largest)} rows`],
    ['without a label', count(counts.unlabelled)],
  ]);
  return {
    json: { rows: nodes, edges: scored.scores.length, partition, threshold, ...counts },
    text: `${facts}\n\nlabels are in ${out}`,
  };
};
