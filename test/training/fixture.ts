/** Stored training steps, and small random problems. */

import { allocateKnnGraph, type KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { readFloat32Array, readFloat64Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { readLabels } from '../../src/io/labels.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import { concatTensors } from '../../src/model/concat.js';
import type { Block, Hops } from '../../src/training/concat/closure.js';
import type { Architecture } from '../../src/training/concat/parameters.js';
import { loadTrainingFeatures, TrainingEngine, type TrainingInput } from '../../src/training/concat/training-engine.js';
import { readJson } from '../engine/fixture.js';

export interface StoredStep {
  readonly input: TrainingInput;
  readonly block: Block;
  readonly targets: Int32Array;
  /** [Q × 2]. */
  readonly logits: Float32Array;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly before: ReadonlyMap<string, Float32Array>;
  readonly gradient: ReadonlyMap<string, Float32Array>;
  readonly after: ReadonlyMap<string, Float32Array>;
}

/** One batch of a PyTorch run: pairs, loss, gradients and one Adam step (test/fixtures). */
export async function loadStoredStep(name: 'one_head' | 'four_heads'): Promise<StoredStep> {
  const folder = `test/fixtures/${name}`;
  const file = `${folder}/train_step.npz`;
  const { dim, k1, k2, sample_hops, nheads, alpha } = readJson(`${folder}/expected.json`);
  const architecture: Architecture = { dim, heads: nheads, head: 'concat' };
  const location = await locateFeatures(`${folder}/feats.npz`);
  const { codes: labels } = await readLabels(`${folder}/feats.npz`);
  const tensors = async (group: string) => {
    const found = new Map<string, Float32Array>();
    for (const [tensor] of concatTensors(architecture)) {
      found.set(tensor, (await readFloat32Array(file, `${group}/${tensor}`)).data);
    }
    return found;
  };
  const query = (await readInt32Array(file, 'query')).data;
  const neighbour = (await readInt32Array(file, 'neighbour')).data;
  const pairs = Int32Array.from({ length: 2 * query.length }, (_, i) => (i % 2 ? neighbour : query)[i >> 1]);
  return {
    input: {
      architecture,
      alpha,
      hops: { k1, k2, sampleHops: sample_hops },
      features: loadTrainingFeatures(location).rows,
      graph: await readKnn(`${folder}/knn.npy`),
      labels,
      seed: 1,
      threads: 1,
    },
    block: { nodes: Int32Array.from(new Set(pairs)), pairs },
    targets: (await readInt32Array(file, 'target')).data,
    logits: (await readFloat32Array(file, 'logits')).data,
    loss: (await readFloat64Array(file, 'loss')).data[0],
    gradientNorm: (await readFloat64Array(file, 'grad_norm')).data[0],
    before: await tensors('before'),
    gradient: await tensors('grad'),
    after: await tensors('after'),
  };
}

export interface SmallProblem {
  readonly nodeCount?: number;
  readonly dim?: number;
  readonly heads?: number;
  readonly hops?: Hops;
  readonly identities?: number;
  readonly seed?: number;
}

/** Random unit vectors around random identities, each node's neighbours drawn mostly from its own. */
export function smallProblem({
  nodeCount = 60,
  dim = 12,
  heads = 1,
  hops = { k1: 6, k2: 3, sampleHops: 5 },
  identities = 8,
  seed = 1,
}: SmallProblem): TrainingInput {
  const random = new RandomStream(seed, 1000, 0);
  const labels = Int32Array.from({ length: nodeCount }, () => random.below(identities));
  const padded = Math.ceil(dim / 4) * 4;
  const features = SharedRows.allocate(nodeCount, padded);
  const centres = Float32Array.from({ length: identities * dim }, () => random.gaussian());
  for (let i = 0; i < nodeCount; i++) {
    const row = features.row(i);
    for (let c = 0; c < dim; c++) row[c] = centres[labels[i] * dim + c] + random.gaussian();
    const norm = Math.hypot(...row);
    for (let c = 0; c < dim; c++) row[c] /= norm;
  }
  const width = Math.max(hops.k1, hops.k2, hops.sampleHops) + 1;
  return {
    architecture: { dim, heads, head: 'concat' },
    alpha: 0.2,
    hops,
    features,
    graph: nearest(features, width),
    labels,
    seed,
    threads: 1,
  };
}

/** Exact kNN by plain loops; a few lists are cut short, as real ones are. */
function nearest(features: SharedRows, width: number): KnnGraph {
  const { rowCount } = features;
  const graph = allocateKnnGraph(rowCount, width);
  for (let i = 0; i < rowCount; i++) {
    const x = features.row(i);
    const cosines = Float64Array.from({ length: rowCount }, (_, j) => {
      const y = features.row(j);
      let sum = 0;
      for (let c = 0; c < x.length; c++) sum += x[c] * y[c];
      return sum;
    });
    const others = [...cosines.keys()].filter((j) => j !== i).sort((a, b) => cosines[b] - cosines[a]);
    const length = i % 11 === 0 ? Math.ceil(width / 2) : width;
    graph.ids.set([i, ...others].slice(0, length), i * width);
  }
  return graph;
}

/** An engine closed after `use`, with parameters set by `fill`. */
export async function withEngine<T>(
  input: TrainingInput,
  fill: (engine: TrainingEngine) => void,
  use: (engine: TrainingEngine) => Promise<T>,
): Promise<T> {
  const engine = new TrainingEngine(input);
  try {
    fill(engine);
    return await use(engine);
  } finally {
    await engine.close();
  }
}

export function fillFrom(tensors: ReadonlyMap<string, ArrayLike<number>>): (engine: TrainingEngine) => void {
  return ({ parameters }) => {
    for (const name of parameters.names) parameters.get(name).set(tensors.get(name) ?? []);
  };
}

/** Square of what counts as zero: a gradient that vanishes by symmetry is left with rounding errors. */
const zero = 1e-18;

/** ‖actual − expected‖ / ‖expected‖, and the largest error of an element relative to it or the root mean square. */
export function relativeErrors(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { norm: number; element: number } {
  let difference = 0;
  let total = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2;
    total += expected[i] ** 2;
  }
  // An element far below the tensor's root mean square is a difference of large terms: it is measured against that.
  const floor = Math.sqrt(Math.max(total, zero) / expected.length);
  let element = 0;
  for (let i = 0; i < expected.length; i++) {
    element = Math.max(element, Math.abs(actual[i] - expected[i]) / Math.max(Math.abs(expected[i]), floor));
  }
  return { norm: Math.sqrt(difference / Math.max(total, zero)), element };
}
