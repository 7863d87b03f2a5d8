/**
 * How good are labels on real embeddings with labels, two sets of handwritten characters? Everything is chosen on split0,
 * whose identities split1 does not have; split1 is labelled and judged. A table in Markdown, mean ± standard deviation
 * over seeds of training.
 *
 *   node dist/bench/quality.js [--data ../shared/data] [--sets omniglot_longtail omniglot_matched] [--seeds 3]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Partition, partitionDefaults, partitionEdges } from '../src/cluster/partition.js';
import { normaliseRows } from '../src/engine/normalise.js';
import { ScoringRun } from '../src/engine/scoring-run.js';
import { auc } from '../src/evaluation/auc.js';
import { type Agreement, evaluate } from '../src/evaluation/evaluate.js';
import { candidateEdges } from '../src/graph/candidate-edges.js';
import { locateFeatures } from '../src/io/features.js';
import { readKnn } from '../src/io/knn.js';
import { readLabels } from '../src/io/labels.js';
import { openRows, shapeOf } from '../src/io/matrix.js';
import { SharedRows } from '../src/memory/shared-rows.js';
import { scorePairwise } from '../src/pairwise/pairwise-scorer.js';
import { withSimilarities } from '../src/pairwise/similarities.js';
import { concatSettings, runConcat } from '../src/training/concat-run.js';
import { concatTrainingDefaults } from '../src/training/defaults.js';
import { calibrate, type Judgement } from '../src/training/held-out.js';
import { pairwiseDefaults, trainPairwise } from '../src/training/pairwise-training.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join('..', 'shared', 'data') },
    sets: { type: 'string', multiple: true, default: ['omniglot_longtail', 'omniglot_matched'] },
    seeds: { type: 'string', default: '3' },
  },
});
const { k, sampleHops } = pairwiseDefaults;
const shown: Partition[] = ['threshold', 'whispers', 'linkage', 'propagation'];

/** Scores of split1, and what scores of edges of split0 that nothing was learnt from said to cut them at. */
interface Scored {
  readonly calibrated: Pick<Judgement, 'partition' | 'partitions'>;
  readonly scores: Float32Array;
  readonly seconds: { readonly train: number; readonly score: number };
}

interface Scorer {
  readonly name: string;
  readonly seeds: number;
  score(labelled: Split, unlabelled: Split, seed: number): Promise<Scored>;
}

const cosine: Scorer = {
  name: 'cosine',
  seeds: 1,
  async score(labelled, unlabelled) {
    const calibrated = await calibrate({ ...labelled.edges, scores: cosines(labelled) }, labelled.labels);
    return { calibrated, scores: cosines(unlabelled), seconds: { train: 0, score: 0 } };
  },
};

const pairwise: Scorer = {
  name: 'pairwise',
  seeds: Number(values.seeds),
  async score(labelled, unlabelled, seed) {
    const began = performance.now();
    const { model, scores: calibration } = await trainPairwise(labelled, { settings: { seed } });
    const trained = performance.now();
    const scores = await scorePairwise(model, unlabelled.lists, unlabelled.edges);
    const seconds = { train: (trained - began) / 1000, score: (performance.now() - trained) / 1000 };
    const calibrated = await calibrate({ ...labelled.edges, scores: calibration }, labelled.labels);
    return { calibrated, scores, seconds };
  },
};

/** The published network, trained at the hops that it labels with; a tenth of the identities calibrates. */
const concat: Scorer = {
  name: 'concat',
  seeds: Number(values.seeds),
  async score({ location, graph, labels }, unlabelled, seed) {
    const began = performance.now();
    const hops = { k1: 20, k2: 10, sampleHops };
    const settings = concatSettings({ kHops: [20, 10], sampleHops }, graph.width - 1, seed);
    const { model, judgement } = await runConcat(location, shapeOf(location).dim, graph, labels, settings, {
      ...{ validation: concatTrainingDefaults.validation, provenance: {} },
      checkpoint: { path: undefined, identity: {}, every: Number.POSITIVE_INFINITY, resume: false },
    });
    if (!judgement) throw new Error('nothing was held out');
    const trained = performance.now();
    const run = new ScoringRun({ ...hops, model });
    try {
      const layout = { graph: unlabelled.graph };
      run.load({ features: unlabelled.location, layout, uniteFrom: Number.POSITIVE_INFINITY });
      await run.buildEdges();
      await run.embedNodes();
      await run.scoreEdges();
      const seconds = { train: (trained - began) / 1000, score: (performance.now() - trained) / 1000 };
      return { calibrated: judgement, scores: run.edges.scores, seconds };
    } finally {
      await run.close();
    }
  },
};

const scorers = [cosine, concat, pairwise];

type Split = Awaited<ReturnType<typeof readSplit>>;

async function readSplit(set: string, split: number) {
  const path = (name: string) => join(values.data, set, `split${split}_${name}`);
  const location = await locateFeatures(path('feats.npz'));
  const { codes: labels } = await readLabels(path('feats.npz'));
  const reader = openRows(location);
  const { rowCount, dim } = reader;
  const rows = SharedRows.allocate(rowCount, dim);
  const buffer = new Float32Array(dim);
  for (let row = 0; row < rowCount; row++) {
    reader.read(row, 1, buffer);
    normaliseRows(buffer, row, 1, dim, location.name);
    rows.row(row).set(buffer);
  }
  reader.close();
  const graph = await readKnn(path('knn.npy'), { nodeCount: rowCount, columns: Math.max(k, sampleHops) + 1 });
  const edges = candidateEdges(graph, sampleHops);
  const same = new Uint8Array(edges.targets.length);
  for (let a = 0; a < rowCount; a++) {
    for (let e = edges.offsets[a]; e < edges.offsets[a + 1]; e++)
      same[e] = Number(labels[a] === labels[edges.targets[e]]);
  }
  return { location, graph, labels, edges, same, lists: withSimilarities(graph, rows) };
}

/** Of each edge, 0 for a negative one. */
function cosines({ lists, edges }: Split): Float32Array {
  const { ids, similarities, width } = lists;
  const scores = new Float32Array(edges.targets.length);
  const find = (list: number, node: number) => {
    const at = ids.subarray(list * width, (list + 1) * width).indexOf(node, 1);
    return at < 0 ? undefined : similarities[list * width + at];
  };
  for (let a = 0; a < edges.nodeCount; a++) {
    for (let e = edges.offsets[a]; e < edges.offsets[a + 1]; e++) {
      scores[e] = Math.max(0, find(a, edges.targets[e]) ?? find(edges.targets[e], a) ?? 0);
    }
  }
  return scores;
}

interface Row {
  readonly set: string;
  readonly scorer: string;
  readonly seed: number;
  readonly partition: Partition;
  /** The partition that calibration would take. */
  readonly chosen: boolean;
  readonly threshold: number;
  readonly heldOutF: number;
  readonly auc: number;
  readonly bcubed: Agreement['bcubed'];
  readonly pairwise: Agreement['pairwise'];
  readonly seconds: { readonly train: number; readonly score: number; readonly partition: number };
}

const rows: Row[] = [];
for (const set of values.sets) {
  const [labelled, unlabelled] = [await readSplit(set, 0), await readSplit(set, 1)];
  for (const scorer of scorers) {
    for (let seed = 1; seed <= scorer.seeds; seed++) {
      const { calibrated, scores, seconds } = await scorer.score(labelled, unlabelled, seed);
      for (const partition of shown) {
        const { threshold, bcubed: heldOut } = calibrated.partitions[partition];
        const began = performance.now();
        const labels = partitionEdges(unlabelled.edges, scores, partition, { ...partitionDefaults, threshold });
        const partitionSeconds = (performance.now() - began) / 1000;
        const { bcubed, pairwise } = evaluate(labels, unlabelled.labels).all;
        rows.push({
          ...{ set, scorer: scorer.name, seed, partition, threshold, bcubed, pairwise, heldOutF: heldOut.f },
          ...{ chosen: partition === calibrated.partition, auc: auc(scores, unlabelled.same) },
          seconds: { ...seconds, partition: partitionSeconds },
        });
      }
      console.error(
        `${set} ${scorer.name} seed ${seed}: ${calibrated.partition}, trained in ${seconds.train.toFixed(1)} s`,
      );
    }
  }
}

const mean = (samples: readonly number[]) => samples.reduce((sum, value) => sum + value, 0) / samples.length;
const deviation = (samples: readonly number[]) => Math.sqrt(mean(samples.map((x) => (x - mean(samples)) ** 2)));
const short = (value: number) => value.toFixed(3).replace(/^0/, '');

console.log(
  '| set | scorer → partition | AUC | BCubed P / R | BCubed F | pairwise P / R / F | threshold | train + label s |',
);
console.log('|---|---|---|---|---|---|---|---|');
for (const set of values.sets) {
  for (const scorer of scorers) {
    for (const partition of [...shown, 'calibrated'] as const) {
      const group = rows.filter(
        (row) =>
          row.set === set &&
          row.scorer === scorer.name &&
          (partition === 'calibrated' ? row.chosen : row.partition === partition),
      );
      const of = (pick: (row: Row) => number) => mean(group.map(pick));
      const fs = group.map((row) => row.bcubed.f);
      const spreadOfF = group.length > 1 ? ` ± ${deviation(fs).toFixed(4).replace(/^0/, '')}` : '';
      const cells = [
        set,
        `${scorer.name} → ${partition}`,
        short(of((row) => row.auc)),
        `${short(of((row) => row.bcubed.precision))} / ${short(of((row) => row.bcubed.recall))}`,
        `${mean(fs).toFixed(4).replace(/^0/, '')}${spreadOfF}`,
        [of((row) => row.pairwise.precision), of((row) => row.pairwise.recall), of((row) => row.pairwise.f)]
          .map(short)
          .join(' / '),
        group.map((row) => short(row.threshold)).join(' '),
        `${of((row) => row.seconds.train).toFixed(1)} + ${of((row) => row.seconds.score + row.seconds.partition).toFixed(2)}`,
      ];
      console.log(`| ${cells.join(' | ')} |`);
    }
  }
}
report('quality', { seeds: Number(values.seeds), rows });
