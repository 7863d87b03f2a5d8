/**
 * How good are labels? Two sets of real embeddings, handwritten characters; a made one of 100,000 rows with identities of up
 * to 500 images; and small made ones of one character each: largest-100, -300, -500, with one identity of so many images;
 * strangers-0, -0.5, -1, -3, so many for each person, which the labelled half does not have; shared-variation, embeddings that were not made
 * for the images; faces, most of one image. Everything is chosen on split0, whose identities split1 does not have; split1 is labelled and judged. A
 * table in Markdown, mean ± standard deviation over seeds of training; then what was chosen, and how much is lost by choosing from
 * resamples of the identities of split0, beside the partition that does best on split1.
 *
 *   node dist/bench/quality.js [--data ../shared/data] [--sets omniglot_longtail --sets made] [--seeds 3]
 *                              [--scorers pairwise] [--cache DIR] [--python /usr/bin/python3]
 *
 * DBSCAN and HDBSCAN, at the settings of a grid that are best on split0, are those of scikit-learn, of 1.3 or later, in the Python
 * that is named. `--cache` keeps scores (and the made set), so that they can be cut again without training again. A run of some
 * sets or scorers, or of other seeds, prints its figures; only a run of all writes them to bench/results.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { madeSet, type SetRecipe } from '../scripts/made-sets.js';
import type { AbsentPairs } from '../src/cluster/linkage.js';
import { type Partition, partitionEdges, partitions } from '../src/cluster/partition.js';
import { concatTrainingDefaults, partitionDefaults } from '../src/defaults.js';
import { ScoringRun } from '../src/engine/scoring-run.js';
import { auc } from '../src/evaluation/auc.js';
import { type Agreement, evaluate } from '../src/evaluation/evaluate.js';
import { candidateEdges } from '../src/graph/candidate-edges.js';
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { RandomStream } from '../src/graph/random.js';
import { headOf } from '../src/heads/heads.js';
import { besideMiddle, settleModel } from '../src/heads/pairwise/chance.js';
import { scorePairwise } from '../src/heads/pairwise/scorer.js';
import { withSimilarities } from '../src/heads/pairwise/similarities.js';
import type { Whitening } from '../src/heads/pairwise/whitening.js';
import { locateFeatures } from '../src/io/features.js';
import { readKnn } from '../src/io/knn.js';
import { readLabels } from '../src/io/labels.js';
import { type MatrixLocation, openRows, shapeOf } from '../src/io/matrix.js';
import { normaliseRows } from '../src/io/normalise.js';
import { writeNpy } from '../src/io/npy-writer.js';
import { generate } from '../src/jobs/generate.js';
import { buildKnn } from '../src/knn/exact.js';
import { SharedRows } from '../src/memory/shared-rows.js';
import { generalModel } from '../src/model/general.js';
import type { PairwiseModel } from '../src/model/model.js';
import { readModel } from '../src/model/model-file.js';
import { type Calibration, type Cuts, choose, cutEverywhere } from '../src/training/calibration.js';
import { concatSettings, runConcat } from '../src/training/concat/run.js';
import { labelledLists } from '../src/training/pairwise/strangers.js';
import { type PairwiseTrainingSet, pairwiseDefaults, trainPairwise } from '../src/training/pairwise/training.js';
import { findWhitening, whitenRows } from '../src/training/pairwise/whitening.js';
import { report } from './report.js';

const everything = {
  sets: [
    'omniglot_longtail',
    'omniglot_matched',
    'made',
    ...['largest-100', 'largest-300', 'largest-500'],
    ...['strangers-0', 'strangers-0.5', 'strangers-1', 'strangers-3'],
    'shared-variation',
    'faces',
  ],
  scorers: ['cosine', 'dbscan', 'hdbscan', 'general', 'pairwise'],
  seeds: '3',
};
const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join('..', 'shared', 'data') },
    sets: { type: 'string', multiple: true, default: everything.sets },
    seeds: { type: 'string', default: everything.seeds },
    scorers: { type: 'string', multiple: true, default: everything.scorers },
    cache: { type: 'string' },
    python: { type: 'string', default: '/usr/bin/python3' },
  },
});
const { k, sampleHops } = pairwiseDefaults;
const shown: Partition[] = ['threshold', 'linkage', 'propagation'];
const resamples = 20;

/** A partition, and a threshold for each. */
type Choice = Pick<Calibration, 'partition'> & {
  readonly partitions: Readonly<Record<Partition, { readonly threshold: number }>>;
};

/** Scores of split1, and scores of edges of split0 that nothing was learnt from, or what those of some said. */
interface Scored {
  readonly scores: Float32Array;
  readonly calibration: Float32Array | Choice;
  readonly seconds: { readonly train: number; readonly score: number };
}

interface Scorer {
  readonly name: string;
  readonly seeds: number;
  /** The weight of absent pairs in linkage that suits it. */
  readonly absentPairs: AbsentPairs;
  /** What is learnt and calibrated from: the labelled split, or more. */
  prepare(labelled: Split, seed: number): Promise<Labelled>;
  score(labelled: Labelled, unlabelled: Split, seed: number): Promise<Scored>;
}

type Labelled = Pick<Split, 'location' | 'graph' | 'edges' | 'lists' | 'labels'> &
  Pick<PairwiseTrainingSet, 'groups'> & {
    /** What calibration goes by; default: all labels. */
    readonly own?: Int32Array;
    readonly whitening?: Whitening | undefined;
  };

const cosine: Scorer = {
  name: 'cosine',
  seeds: 1,
  absentPairs: 'all',
  prepare: async (labelled) => labelled,
  async score(labelled, unlabelled) {
    return { calibration: cosines(labelled), scores: cosines(unlabelled), seconds: { train: 0, score: 0 } };
  },
};

const pairwise: Scorer = {
  name: 'pairwise',
  seeds: Number(values.seeds),
  absentPairs: 'room',
  async prepare(labelled, seed) {
    const { rows, graph, labels } = labelled;
    const whitening = await findWhitening({ rows, dim: rows.dim, graph, labels });
    const set = await labelledLists(rows, graph, labels, { k, seed, whitening });
    return { ...labelled, ...set, edges: candidateEdges(set.lists, sampleHops), whitening: whitening?.whitening };
  },
  async score(labelled, unlabelled, seed) {
    const began = performance.now();
    const { model, scores: calibration } = await trainPairwise(labelled, { settings: { seed } });
    const trained = performance.now();
    const { rows, graph, edges } = unlabelled;
    const { whitening } = labelled;
    const lists = whitening ? withSimilarities(graph, await whitened(rows, whitening)) : unlabelled.lists;
    const scores = await scorePairwise(model, lists, edges);
    const seconds = { train: (trained - began) / 1000, score: (performance.now() - trained) / 1000 };
    return { calibration, scores, seconds };
  },
};

/** Rows as a model with this whitening has them. */
async function whitened(rows: SharedRows, whitening: Whitening): Promise<SharedRows> {
  const copy = SharedRows.allocate(rows.rowCount, rows.dim);
  await whitenRows({ rows: rows.handle(), whitened: copy.handle(), whitening }, 0, rows.rowCount);
  return copy;
}

/** The published network, trained at the hops that it labels with; a tenth of the identities calibrates. */
const concat: Scorer = {
  name: 'concat',
  seeds: Number(values.seeds),
  absentPairs: 'room',
  prepare: async (labelled) => labelled,
  async score({ location, graph, labels }, unlabelled, seed) {
    const began = performance.now();
    const hops = { k1: 20, k2: 10, sampleHops };
    const settings = concatSettings({ kHops: [20, 10], sampleHops }, graph.width - 1, seed);
    const { model, judgement } = await runConcat(location, shapeOf(location).dim, graph, labels, settings, {
      validation: concatTrainingDefaults.validation,
      provenance: {},
      checkpoint: { path: undefined, identity: {}, every: Number.POSITIVE_INFINITY, resume: false },
    });
    if (!judgement) throw new Error('nothing was held out');
    const trained = performance.now();
    const run = new ScoringRun({ model, head: headOf(model), hops });
    try {
      const layout = { graph: unlabelled.graph };
      await run.score({ features: unlabelled.location, layout, uniteFrom: Number.POSITIVE_INFINITY });
      const seconds = { train: (trained - began) / 1000, score: (performance.now() - trained) / 1000 };
      return { calibration: judgement, scores: run.edges.scores, seconds };
    } finally {
      await run.close();
    }
  },
};

/** The model that comes with the package, which sees no label of the set. */
const general: Scorer = {
  name: 'general',
  seeds: 1,
  absentPairs: 'capacity',
  prepare: async (labelled) => labelled,
  async score(_, { location, graph, rows, edges }) {
    const began = performance.now();
    const model = settleModel((await readModel(generalModel)) as PairwiseModel, location);
    const { middle, partition, threshold, thresholds } = model.config;
    const lists = withSimilarities(graph, rows);
    besideMiddle(lists.similarities, middle!);
    const scores = await scorePairwise(model, lists, edges);
    const of = (name: Partition) => ({ threshold: thresholds?.[name] ?? threshold! });
    const found = Object.fromEntries(partitions.map((name) => [name, of(name)])) as Choice['partitions'];
    return {
      calibration: { partition: partition!, partitions: found },
      scores,
      seconds: { train: 0, score: (performance.now() - began) / 1000 },
    };
  },
};

const scorers = [cosine, concat, general, pairwise].filter(({ name }) => values.scorers.includes(name));

type Split = Awaited<ReturnType<typeof readSplit>>;

const recipe: Omit<SetRecipe, 'seed' | 'strangers'> = {
  sharedSeed: 77,
  dim: 128,
  knee: 60,
  fall: 1,
  identities: 400,
  medianSize: 12,
  sizeSpread: 0.6,
  largestSize: 60,
  familySize: 6,
  clanSize: 4,
  familyShare: [0.2, 0.8],
  pose: 0.4,
  noise: 0.7,
  noiseSpread: 0.3,
  nuisance: 0,
  nuisanceRank: 10,
  domains: 1,
  domainShift: 0,
  common: 0.3,
};

/** People as in photographs of the news: most of one image, some of hundreds, and an embedding that knows them poorly. */
const faces: Omit<SetRecipe, 'seed'> = {
  ...recipe,
  dim: 512,
  knee: 80,
  identities: 2875,
  tail: 1.6,
  largestSize: 240,
  strangers: 0,
  domains: 3,
  familyShare: [0.2, 0.7],
  pose: 0.6,
  noise: 1.05,
  noiseSpread: 0.35,
  nuisance: 0.2,
  domainShift: 0.2,
  common: 0.5,
  poor: 0.5,
};

/** The half of a made set; undefined for a set that is read from files. */
function madeSplit(set: string, split: number) {
  const seed = 77 + split;
  const amount = Number(set.split('-').at(-1));
  if (set === 'faces') return madeSet({ ...faces, seed, oneOf: split === 0 ? 236 : 530 });
  if (set === 'shared-variation') return madeSet({ ...recipe, seed, strangers: 0, nuisance: 0.8 });
  if (set.startsWith('largest-')) {
    return madeSet({ ...recipe, seed, strangers: 0, sizeSpread: 1.2, largestSize: amount, oneOf: amount });
  }
  if (set.startsWith('strangers-')) return madeSet({ ...recipe, seed, strangers: split * amount });
  return undefined;
}

/** The made set: identities of up to 500 images, few of them labelled, and an unlabelled part of 100,000 rows. */
async function folderOf(set: string, split: number): Promise<string> {
  if (set !== 'made') return join(values.data, set);
  const out = join(values.cache ?? tmpdir(), 'made');
  if (!existsSync(out)) {
    await generate({ out, nodes: 100_000, labeledIds: 1500, dim: 128, k: 20, seed: 7, shuffle: true });
  }
  return join(out, split === 0 ? 'labeled' : 'unlabeled');
}

async function readSplit(set: string, split: number) {
  const made = madeSplit(set, split);
  if (made) {
    const { rows, labels } = made;
    const location = { kind: 'memory', name: set, rows: rows.handle() } as const;
    return describeSplit(location, rows, labels, await buildKnn(location, { k: Math.max(k, sampleHops) }));
  }
  const folder = await folderOf(set, split);
  const path = (name: string) => join(folder, `split${split}_${name}`);
  const location = await locateFeatures(path('feats.npz'));
  const inText = path('labels.txt');
  const { codes: labels } = await readLabels(existsSync(inText) ? inText : path('feats.npz'));
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
  return describeSplit(location, rows, labels, graph);
}

function describeSplit(location: MatrixLocation, rows: SharedRows, labels: Int32Array, graph: KnnGraph) {
  const edges = candidateEdges(graph, sampleHops);
  const same = new Uint8Array(edges.targets.length);
  for (let a = 0; a < rows.rowCount; a++) {
    for (let e = edges.offsets[a]; e < edges.offsets[a + 1]; e++)
      same[e] = Number(labels[a] === labels[edges.targets[e]]);
  }
  return { location, rows, graph, labels, edges, same, lists: withSimilarities(graph, rows) };
}

/** The cosine of each edge, 0 where it is negative. */
function cosines({ lists, edges }: Pick<Split, 'lists' | 'edges'>): Float32Array {
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

/** What the scorer gives, from the cache where it is there. */
async function scored(
  scorer: Scorer,
  set: string,
  labelled: Labelled,
  unlabelled: Split,
  seed: number,
): Promise<Scored> {
  if (values.cache === undefined) return scorer.score(labelled, unlabelled, seed);
  mkdirSync(values.cache, { recursive: true });
  const path = (part: string) => join(values.cache!, `${set}-${scorer.name}-${seed}.${part}`);
  if (!existsSync(path('json'))) {
    const { scores, calibration, seconds } = await scorer.score(labelled, unlabelled, seed);
    writeFileSync(path('scores'), scores);
    if (calibration instanceof Float32Array) writeFileSync(path('calibration'), calibration);
    const rest = calibration instanceof Float32Array ? { seconds } : { seconds, calibration };
    writeFileSync(path('json'), JSON.stringify(rest));
  }
  const floats = (part: string) => new Float32Array(Uint8Array.from(readFileSync(path(part))).buffer);
  const { seconds, calibration = floats('calibration') } = JSON.parse(readFileSync(path('json'), 'utf8'));
  return { scores: floats('scores'), calibration, seconds };
}

interface Row {
  readonly set: string;
  readonly method: string;
  readonly seed: number;
  /** The partition that calibration would take. */
  readonly chosen: boolean;
  readonly settings: { readonly threshold: number; readonly absentPairs: AbsentPairs } | object;
  readonly auc?: number;
  readonly bcubed: Agreement['bcubed'];
  readonly pairwise: Agreement['pairwise'];
  /** BCubed F below that at the best setting on split1, which nobody can know. */
  readonly lost: number;
  readonly seconds: { readonly train: number; readonly score: number; readonly partition: number };
}

/** By how much the choices of resamples of split0 are worse on split1 than the best partition there, at most. */
interface Loss {
  readonly set: string;
  readonly scorer: string;
  readonly seed: number;
  /** Times that each partition was chosen, and the thresholds. */
  readonly chosen: Readonly<Record<string, number>>;
  readonly thresholds: readonly number[];
  /** Beside the other partitions, each at the threshold that the same resample calibrated. */
  readonly bcubed: number;
  readonly pairwise: number;
  /** Beside any partition at any threshold: what nobody can know. */
  readonly bcubedOfAny: number;
  readonly pairwiseOfAny: number;
}

/** The agreement of each method at each threshold. */
function curvesOf({ sums, agreement }: Cuts) {
  return sums.map((ofMethod) => ofMethod.map((cut) => agreement.agreement(cut)));
}
type Curves = ReturnType<typeof curvesOf>;

/** The place of a threshold on a curve. */
const placeOf = (threshold: number) => Math.round(threshold * 50) - 1;

function lossOf(labelled: Cuts, curves: Curves): Omit<Loss, 'set' | 'scorer' | 'seed'> {
  const all = curves.flat();
  const maxB = Math.max(...all.map(({ bcubed }) => bcubed.f));
  const maxP = Math.max(...all.map(({ pairwise }) => pairwise.f));
  const chosen: Record<string, number> = {};
  const worst = { bcubed: 0, pairwise: 0, bcubedOfAny: 0, pairwiseOfAny: 0 };
  const thresholds: number[] = [];
  const { identityCount } = labelled.agreement;
  for (let r = 0; r < resamples; r++) {
    const random = new RandomStream(7, 1, r);
    const identities = Int32Array.from({ length: identityCount }, () => random.below(identityCount));
    const { partition, partitions: found } = choose(labelled, identities);
    const at = (name: Partition) => curves[partitions.indexOf(name)][placeOf(found[name].threshold)];
    const own = at(partition);
    chosen[partition] = (chosen[partition] ?? 0) + 1;
    thresholds.push(found[partition].threshold);
    for (const other of partitions) {
      worst.bcubed = Math.max(worst.bcubed, at(other).bcubed.f - own.bcubed.f);
      worst.pairwise = Math.max(worst.pairwise, at(other).pairwise.f - own.pairwise.f);
    }
    worst.bcubedOfAny = Math.max(worst.bcubedOfAny, maxB - own.bcubed.f);
    worst.pairwiseOfAny = Math.max(worst.pairwiseOfAny, maxP - own.pairwise.f);
  }
  return { chosen, thresholds: thresholds.sort((a, b) => a - b), ...worst };
}

/** The sets are as many rows by as many distances to the peers. */
const mostPeerRows = 20_000;

/** What a peer makes of a set at the setting of its grid that is best by BCubed F on split0. */
async function densityRow(method: string, set: string, split0: Split, split1: Split): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'naan-quality-'));
  try {
    const [labelled, unlabelled] = [await density(method, folder, split0), await density(method, folder, split1)];
    const best = (fs: readonly number[]) => fs.indexOf(Math.max(...fs));
    const at = best(labelled.agreements.map(({ bcubed }) => bcubed.f));
    const fs = unlabelled.agreements.map(({ bcubed }) => bcubed.f);
    return {
      set,
      method,
      seed: 1,
      chosen: false,
      settings: labelled.settings[at],
      ...unlabelled.agreements[at],
      lost: fs[best(fs)] - fs[at],
      seconds: { train: 0, score: 0, partition: unlabelled.seconds[at] },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function density(method: string, folder: string, { rows, labels }: Split) {
  const { rowCount, dim } = rows;
  const [features, out] = [join(folder, 'rows.npy'), join(folder, 'labels')];
  await writeNpy(features, 'f4', [rowCount, dim], async (append) => {
    for (let row = 0; row < rowCount; row++) await append(rows.row(row).subarray(0, dim));
  });
  const script = join('bench', 'peers', 'density.py');
  const { settings, seconds } = JSON.parse(
    execFileSync(values.python, [script, method, features, out], { encoding: 'utf8' }),
  ) as { settings: object[]; seconds: number[] };
  const found = new Int32Array(Uint8Array.from(readFileSync(out)).buffer);
  const agreements = settings.map((_, i) => {
    const { bcubed, pairwise } = evaluate(found.slice(i * rowCount, (i + 1) * rowCount), labels).all;
    return { bcubed, pairwise };
  });
  return { settings, seconds, agreements };
}

const rows: Row[] = [];
const losses: Loss[] = [];
for (const set of values.sets) {
  const [split0, unlabelled] = [await readSplit(set, 0), await readSplit(set, 1)];
  for (const peer of ['dbscan', 'hdbscan']) {
    if (!values.scorers.includes(peer) || unlabelled.rows.rowCount > mostPeerRows) continue;
    rows.push(await densityRow(peer, set, split0, unlabelled));
    console.error(`${set} ${peer}`);
  }
  for (const scorer of scorersOf(set)) {
    for (let seed = 1; seed <= seedsOf(set, scorer); seed++) {
      const labelled = await scorer.prepare(split0, seed);
      const { calibration, scores, seconds } = await scored(scorer, set, labelled, unlabelled, seed);
      const { absentPairs } = scorer;
      const curves = curvesOf(await cutEverywhere({ ...unlabelled.edges, scores }, unlabelled.labels, { absentPairs }));
      let calibrated: Choice;
      if (calibration instanceof Float32Array) {
        const edges = { ...labelled.edges, scores: calibration };
        const cuts = await cutEverywhere(edges, labelled.own ?? labelled.labels, { absentPairs });
        calibrated = choose(cuts);
        losses.push({ set, scorer: scorer.name, seed, ...lossOf(cuts, curves) });
      } else calibrated = calibration;
      for (const partition of shown) {
        const { threshold } = calibrated.partitions[partition];
        const began = performance.now();
        const options = { ...partitionDefaults, threshold, absentPairs };
        const labels = partitionEdges(unlabelled.edges, scores, partition, options);
        const partitionSeconds = (performance.now() - began) / 1000;
        const { bcubed, pairwise } = evaluate(labels, unlabelled.labels).all;
        const best = Math.max(...curves[partitions.indexOf(partition)].map((point) => point.bcubed.f));
        rows.push({
          set,
          method: `${scorer.name} → ${partition}`,
          seed,
          chosen: partition === calibrated.partition,
          settings: { threshold, absentPairs },
          auc: auc(scores, unlabelled.same),
          bcubed,
          pairwise,
          lost: best - bcubed.f,
          seconds: { ...seconds, partition: partitionSeconds },
        });
      }
      console.error(`${set} ${scorer.name} seed ${seed}: ${calibrated.partition}, trained in ${seconds.train} s`);
    }
  }
}

/** The published network learns nothing of the made set, which has too few identities for it. */
function scorersOf(set: string): readonly Scorer[] {
  return scorers.filter((scorer) => set !== 'made' || scorer !== concat);
}

/** The made set is large: one seed says what it has to say. */
function seedsOf(set: string, { seeds }: Scorer): number {
  return set === 'made' ? 1 : seeds;
}

const mean = (samples: readonly number[]) => samples.reduce((sum, value) => sum + value, 0) / samples.length;
const deviation = (samples: readonly number[]) => Math.sqrt(mean(samples.map((x) => (x - mean(samples)) ** 2)));
const short = (value: number, digits = 3) => value.toFixed(digits).replace(/^(-?)0/, '$1');

const inWords = (settings: object) => Object.values(settings).map(String).join(', ');
const nameOf = ({ set, method }: Row) => `${set} | ${method}`;

console.log(
  '| set | method | AUC | BCubed P / R | BCubed F | pairwise P / R | pairwise F | settings | F lost | seconds to train; to label |',
);
console.log('|---|---|---|---|---|---|---|---|---|---|');
for (const name of new Set(rows.map(nameOf))) {
  if (name.endsWith('propagation')) continue; // All but the same as threshold.
  const group = rows.filter((row) => nameOf(row) === name);
  const of = (pick: (row: Row) => number) => mean(group.map(pick));
  const withSpread = (pick: (row: Row) => number) => {
    const spread = group.length > 1 ? ` ± ${short(deviation(group.map(pick)), 4)}` : '';
    return `${short(of(pick), 4)}${spread}`;
  };
  const times = group.filter(({ chosen }) => chosen).length;
  const cells = [
    times === 0 ? name : `${name}, chosen${times < group.length ? ` by ${times} of ${group.length}` : ''}`,
    group[0].auc === undefined ? '' : short(of((row) => row.auc!)),
    `${short(of((row) => row.bcubed.precision))} / ${short(of((row) => row.bcubed.recall))}`,
    withSpread((row) => row.bcubed.f),
    `${short(of((row) => row.pairwise.precision))} / ${short(of((row) => row.pairwise.recall))}`,
    withSpread((row) => row.pairwise.f),
    group.map(({ settings }) => ('threshold' in settings ? short(settings.threshold) : inWords(settings))).join(' '),
    short(
      of((row) => row.lost),
      4,
    ),
    `${of((row) => row.seconds.train).toFixed(1)}; ${of((row) => row.seconds.score + row.seconds.partition).toFixed(2)}`,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

console.log(
  '\n| set | scorer | seed | chosen in 20 resamples of split0 | threshold | BCubed F lost | pairwise F lost |',
);
console.log('|---|---|---|---|---|---|---|');
const lost = (beside: number, any: number) => `${short(beside, 4)} (${short(any, 4)})`;
for (const loss of losses) {
  const chosen = Object.entries(loss.chosen).map(([name, times]) => `${name}: ${times}`);
  const range = `${short(loss.thresholds[0])} to ${short(loss.thresholds[resamples - 1])}`;
  const bcubed = lost(loss.bcubed, loss.bcubedOfAny);
  const pairwise = lost(loss.pairwise, loss.pairwiseOfAny);
  console.log(`| ${[loss.set, loss.scorer, loss.seed, chosen.join('; '), range, bcubed, pairwise].join(' | ')} |`);
}
const { sets, scorers: names, seeds } = values;
if (JSON.stringify({ sets, scorers: names, seeds }) === JSON.stringify(everything))
  report('quality', { seeds: Number(seeds), rows, losses }, false);
