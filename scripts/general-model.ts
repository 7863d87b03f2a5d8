/**
 * Trains the general model that comes with the package, which `naan label` takes when none is given:
 *
 *   node dist/scripts/general-model.js [--sets 48] [--out config/general]
 *
 * It learns from many small made sets, each of another kind (`population.ts`), and is calibrated on sets that it has not
 * seen: whole sets, not identities, take turns to be held out. Later rounds, which read the scores of the one before, make
 * it better on sets like these and too sure of itself on others, so it has one. Real sets have more look-alikes than these,
 * and a wrong join does more harm than a missing one: of the thresholds that are all but as good as the best, it takes
 * the highest. The same numbers give the same bytes; what was written, and how good it is, is in the JSON beside it.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { labelsAt, partitions } from '../src/cluster/partition.js';
import { withScores } from '../src/cluster/scored-edges.js';
import { partitionDefaults } from '../src/defaults.js';
import { evaluate } from '../src/evaluation/evaluate.js';
import { candidateEdges } from '../src/graph/candidate-edges.js';
import { withWidth } from '../src/graph/knn-graph.js';
import { besideMiddle, chanceOf } from '../src/heads/pairwise/chance.js';
import { withSimilarities } from '../src/heads/pairwise/similarities.js';
import { buildKnn } from '../src/knn/exact.js';
import { writeModel } from '../src/model/model-file.js';
import { type LabelledLists, sideBySide } from '../src/training/pairwise/strangers.js';
import { trainPairwise } from '../src/training/pairwise/training.js';
import { madeSet } from './made-sets.js';
import { recipeOf } from './population.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'config/general' },
    sets: { type: 'string', default: '48' },
    seed: { type: 'string', default: '1' },
  },
});
const [setCount, seed] = [Number(values.sets), Number(values.seed)];
const k = 20;
const thresholds = Array.from({ length: 24 }, (_, i) => (i + 1) / 25);
/** F below the best that a higher threshold may cost. */
const worth = 0.004;

const sets: LabelledLists[] = [];
for (let index = 0; index < setCount; index++) {
  const { rows, labels } = madeSet(recipeOf(seed, index));
  const features = { kind: 'memory', name: `set ${index}`, rows: rows.handle() } as const;
  const graph = await buildKnn(features, { k: Math.min(k, rows.rowCount - 1) });
  const lists = withSimilarities(withWidth(graph, k + 1), rows);
  besideMiddle(lists.similarities, chanceOf(features).middle);
  sets.push({ lists, labels, groups: new Int32Array(labels.length).fill(index) });
}
const { lists, labels, groups } = sideBySide(sets);
const edges = candidateEdges(lists, k);
console.error(`${setCount} sets, ${lists.nodeCount} rows, ${edges.targets.length} edges`);

const settings = { seed, k, sampleHops: k, rounds: 1, folds: 4, epochs: 3, batch: 1024, learningRate: 2e-3 };
const trained = await trainPairwise({ lists, edges, labels, groups }, { settings });
const [heldOut] = trained.rounds;
const scored = withScores(edges, trained.scores);
const absentPairs = 'capacity';
const chosen: Record<string, { threshold: number; bcubed: number; best: number }> = {};
for (const partition of partitions) {
  const means: number[] = [];
  for (const cut of labelsAt(scored, partition, { ...partitionDefaults, absentPairs }, thresholds)) {
    let from = 0;
    const fs = sets.map(({ labels: truth }) => {
      from += truth.length;
      return evaluate(cut.slice(from - truth.length, from), truth).all.bcubed.f;
    });
    means.push(fs.reduce((sum, f) => sum + f, 0) / setCount);
  }
  const best = Math.max(...means);
  const place = means.findLastIndex((mean) => mean >= best - worth);
  chosen[partition] = { threshold: thresholds[place], bcubed: means[place], best };
  console.error(`${partition}: ${means.map((mean) => mean.toFixed(3)).join(' ')}`);
}

const config = {
  ...trained.model.config,
  guard: undefined,
  centred: true,
  partition: 'linkage',
  threshold: chosen.linkage.threshold,
  thresholds: Object.fromEntries(Object.entries(chosen).map(([name, { threshold }]) => [name, threshold])),
  absentPairs,
  provenance: { trainedBy: 'scripts/general-model.ts', sets: String(setCount), seed: String(seed) },
} as const;
const path = `${values.out}.safetensors`;
await writeModel(path, { ...trained.model, config });
const bytes = readFileSync(path);
const record = {
  sha256: createHash('sha256').update(bytes).digest('hex'),
  bytes: bytes.length,
  sets: setCount,
  seed,
  rows: lists.nodeCount,
  edges: edges.targets.length,
  heldOut,
  calibration: chosen,
};
writeFileSync(`${values.out}.json`, `${JSON.stringify(record, undefined, 2)}\n`);
console.log(JSON.stringify(record, undefined, 2));
