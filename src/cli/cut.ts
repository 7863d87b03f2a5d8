import { countClusters } from '../cluster/relabel.js';
import { writeLabelText } from '../io/labels.js';
import { checkOutputs } from '../io/outputs.js';
import { readScoredPairs } from '../io/scored-pairs.js';
import { cluster } from '../jobs/cluster.js';
import type { Run } from './command.js';
import { count, table } from './format.js';

export const run: Run<'cut'> = async (values) => {
  const { edges, scores: scoresPath, rows, out, overwrite, ...options } = values;
  const replaced = { name: 'out', path: out, isOurs: () => false, otherwise: 'is there already' };
  await checkOutputs([replaced], { edges, scores: scoresPath }, overwrite);
  const scored = await readScoredPairs(edges, scoresPath, rows);
  const nodes = rows ?? scored.pairs.reduce((highest, id) => Math.max(highest, id), -1) + 1;
  const labels = cluster(scored, nodes, options);
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
