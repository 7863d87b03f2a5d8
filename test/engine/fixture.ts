/** Fixture cases as the engine takes them. */
import { existsSync, readFileSync } from 'node:fs';
import { layOutIn } from '../../src/engine/layout.js';
import type { EngineOptions, ScoringOptions } from '../../src/engine/scoring-run.js';
import { ScoringRun } from '../../src/engine/scoring-run.js';
import { runPlan } from '../../src/execution/plan.js';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { headOf } from '../../src/heads/heads.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import type { MatrixLocation } from '../../src/io/matrix.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { type ConcatModel, expectedTensors, type NaanModel, type PairwiseModel } from '../../src/model/model.js';
import type { PairwiseConfig } from '../../src/model/pairwise.js';

/** Real embeddings and the published code's results on them stand beside a checkout, not in it. */
export const realData = '../shared/data/omniglot_longtail';
export const realResults = '../shared/fixtures/omniglot_published';
export const withoutRealData =
  existsSync(realData) && existsSync(realResults) ? false : `${realData} or ${realResults} is not here`;

export interface Case {
  readonly model: ConcatModel;
  readonly features: MatrixLocation;
  readonly graph: KnnGraph;
  readonly centres: Float32Array;
  readonly pairs: Int32Array;
  readonly scores: Float32Array;
}

export async function loadCase(name: 'one_head' | 'four_heads' | 'wide'): Promise<Case> {
  const path = (file: string) => `test/fixtures/${name}/${file}`;
  const features = await locateFeatures(path('feats.npz'));
  return {
    model: await importCheckpoint(path('zip.ckpt')),
    features,
    graph: await readKnn(path('knn.npy')),
    centres: (await readFloat32Array(path('centers.npy'))).data,
    pairs: (await readInt32Array(path('edges.npy'))).data,
    scores: (await readFloat32Array(path('scores.npy'))).data,
  };
}

export function readJson(path: string) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

interface RunInput {
  readonly features: MatrixLocation;
  readonly graph: KnnGraph;
  readonly order?: Int32Array | undefined;
  readonly uniteFrom?: number;
}

/** A run on one model at its own hops, closed after `use`, which scores the input. */
export async function withRun<T>(
  model: NaanModel,
  { features, graph, order, uniteFrom = 0.5 }: RunInput,
  options: EngineOptions & Pick<ScoringOptions, 'startDevice'>,
  use: (run: ScoringRun, score: (afterPart?: (part: string) => void) => Promise<void>) => Promise<T>,
): Promise<T> {
  const { config } = model;
  const head = headOf(model);
  const [k1, k2] = head.hopsOf(config, config.head === 'concat' ? [config.k1, config.k2] : undefined);
  const run = new ScoringRun({ ...options, model, head, hops: { k1, k2, sampleHops: config.sampleHops } });
  try {
    const layout = order ? runPlan(layOutIn(graph, order, 3)) : { graph };
    return await use(run, (afterPart) => run.score({ features, layout, uniteFrom }, afterPart));
  } finally {
    await run.close();
  }
}

export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = actual.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(actual[i] - expected[i]));
  return largest;
}

/** Seeded weights: what they say does not matter here, only that every back-end and layout says the same. */
export function randomPairwise(k: number, rounds: number): PairwiseModel {
  const config: PairwiseConfig = { head: 'pairwise', k, rounds, hidden: [16, 8], sampleHops: k, provenance: {} };
  let state = 11;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const tensors = expectedTensors(config).map(([name, shape]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length }, () => (name.endsWith('scale') ? 1 : 0.4 * uniform()));
    return [name, { shape, data }] as const;
  });
  return { config, tensors: new Map(tensors) };
}
