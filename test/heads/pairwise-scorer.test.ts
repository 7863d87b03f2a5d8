import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RoundNetwork } from '../../src/backends/pairwise/network.js';
import { mlpLogits } from '../../src/backends/pairwise/reference.js';
import { startBackend } from '../../src/backends/start.js';
import { NaanError } from '../../src/errors.js';
import { reverseEdges } from '../../src/graph/reverse-edges.js';
import { sigmoid } from '../../src/heads/pairwise/edge-score.js';
import { allocatePairwiseJob } from '../../src/heads/pairwise/job.js';
import { cachedTile, PairwiseScorer, scorePairwise } from '../../src/heads/pairwise/scorer.js';
import { expectedTensors, type PairwiseModel } from '../../src/model/model.js';
import { featureCount, type PairwiseConfig } from '../../src/model/pairwise.js';
import { roundNetworks, roundParameters } from '../../src/model/round-network.js';
import * as literal from './literal.js';

function randomModel(next: () => number, shape: Partial<PairwiseConfig> = {}): PairwiseModel {
  const config: PairwiseConfig = {
    head: 'pairwise',
    k: 20,
    rounds: 3,
    hidden: [12, 6],
    sampleHops: 20,
    provenance: {},
    ...shape,
  };
  const tensors = new Map(
    expectedTensors(config).map(([name, shape]) => {
      const length = shape.reduce((product, size) => product * size, 1);
      const data = Float32Array.from({ length }, () => 2 * next() - 1);
      return [name, { shape, data: name.endsWith('scale') ? data.map((x) => 1.1 + x) : data }];
    }),
  );
  return { config, tensors };
}

function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('the network agrees with its plain form, and an edge with itself in any batch', async () => {
  const next = lcg(1);
  const model = randomModel(next);
  for (const round of [0, 1]) {
    const parameters = roundParameters(model, round);
    const rows = 300;
    const network = await RoundNetwork.create(parameters);
    const features = Float32Array.from({ length: rows * featureCount(round) }, () => 8 * next() - 4);
    const logits = new Float32Array(rows);
    await network.run(rows, features, logits);
    const expected = mlpLogits(parameters, features);
    expected.forEach((logit, row) => {
      assert.ok(Math.abs(logits[row] - logit) < 1e-4, `round ${round}, row ${row}: ${logits[row]} ≠ ${logit}`);
    });
    for (const count of [1, 2, 5, 15, 16, 17, 64, 100, 299]) {
      const again = new Float32Array(rows);
      await network.run(count, features, again);
      assert.deepEqual(again.subarray(0, count), logits.subarray(0, count));
    }
    await network.release();
  }
});

test('scores follow from features round by round', async () => {
  await fc.assert(
    fc.asyncProperty(literal.randomLists, async ({ nodeCount, lists, order, next }) => {
      const model = randomModel(next, { rounds: 2 });
      const given = literal.neighbourLists(lists, 21, order);
      const edges = literal.edgesOf(given, 20, order);
      const [first, scores] = await inRanges(model, given, edges, next);
      const expect = (score: number, round: number, features: number[], what: string) => {
        const logit = mlpLogits(roundParameters(model, round), Float32Array.from(features))[0];
        // Sums in float32 of up to hundreds.
        assert.ok(Math.abs(score - sigmoid(logit)) < 1e-3, `round ${round}, ${what}: ${score} ≠ ${sigmoid(logit)}`);
      };
      const byPair = Array.from({ length: nodeCount }, () => new Map<number, number>());
      literal.eachEdge(edges, order, (e, a, b) => {
        expect(first[e], 0, literal.structuralFeatures(lists, 20, a, b), `edge ${a}, ${b}`);
        byPair[a].set(b, first[e]);
        byPair[b].set(a, first[e]);
      });
      literal.eachEdge(edges, order, (e, a, b) => {
        const structure = literal.structuralFeatures(lists, 20, a, b);
        expect(scores[e], 1, [...structure, ...literal.scoreFeatures(byPair, a, b)], `edge ${a}, ${b}`);
      });
    }),
    { numRuns: 40 },
  );
});

test('ranges, their order and the numbering of nodes change no bit', async () => {
  await fc.assert(
    fc.asyncProperty(literal.randomLists, async ({ nodeCount, lists, order, next }) => {
      const model = randomModel(next);
      const scoresByPair = async (order: Int32Array, scattered: boolean) => {
        const given = literal.neighbourLists(lists, 21, order);
        const edges = literal.edgesOf(given, 20, order);
        const scores = scattered
          ? (await inRanges(model, given, edges, next)).at(-1)!
          : await scorePairwise(model, given, edges);
        const byPair = new Map<number, number>();
        literal.eachEdge(edges, order, (e, a, b) => byPair.set(a * nodeCount + b, scores[e]));
        return [...byPair].sort(([x], [y]) => x - y);
      };
      const asGiven = Int32Array.from(order, (_, i) => i);
      const wanted = await scoresByPair(asGiven, false);
      assert.deepEqual(await scoresByPair(order, true), wanted);
    }),
    { numRuns: 40 },
  );
});

/** Scores of each round: all steps by two threads' worth of scorers, in ranges cut anywhere, from the last to the first, some edges before the others. */
async function inRanges(
  model: PairwiseModel,
  lists: ReturnType<typeof literal.neighbourLists>,
  edges: ReturnType<typeof literal.edgesOf>,
  next: () => number,
): Promise<Float32Array[]> {
  const job = allocatePairwiseJob(lists, edges, reverseEdges(edges), model.config.k);
  const backends = [1, 2].map(() => startBackend('native', roundNetworks(model), cachedTile));
  const scorers = (await Promise.all(backends)).map((backend) => new PairwiseScorer(model, job, backend));
  const ranges = (count: number) => {
    const cuts = [0, Math.floor(next() * (count + 1)), Math.floor(next() * (count + 1)), count].sort((x, y) => x - y);
    return [2, 1, 0].map((i) => [cuts[i], cuts[i + 1], i % 2] as const);
  };
  for (const [start, end, i] of ranges(edges.nodeCount)) scorers[i].summariseLists(start, end);
  const rounds = Array.from({ length: model.config.rounds }, () => new Float32Array(edges.targets.length));
  let previous = new Float32Array(edges.targets.length);
  for (const [round, scores] of rounds.entries()) {
    for (const [start, end, i] of ranges(edges.nodeCount)) scorers[i].summariseScores(previous, start, end);
    const some = Uint8Array.from(scores, () => Number(next() < 0.3));
    for (const due of [some, some.map((one) => 1 - one)]) {
      for (const [first, until, i] of ranges(scores.length))
        await scorers[i].score(round, first, until, previous, scores, due);
    }
    previous = scores;
  }
  for (const backend of backends) await (await backend).release();
  return rounds;
}

test('lists that are too short, or of other nodes, are refused', async () => {
  const model = randomModel(lcg(2));
  const lists = { nodeCount: 2, width: 21, ids: new Int32Array(42).fill(-1), similarities: new Float32Array(42) };
  const edges = { nodeCount: 2, offsets: Uint32Array.of(0, 1, 1), targets: Int32Array.of(1) };
  const refuses = (given: Partial<typeof lists>, message: RegExp) =>
    assert.rejects(
      scorePairwise(model, { ...lists, ...given }, edges),
      (error) => error instanceof NaanError && error.code === 'BAD_SHAPE' && message.test(error.message),
    );
  await refuses({ width: 20 }, /has 19 neighbours a node, the model looks at 20/);
  await refuses({ similarities: new Float32Array(41) }, /got 41, expected 2 × 21/);
  await refuses({ nodeCount: 3, similarities: new Float32Array(63) }, /edges of 2 nodes, but the kNN graph has 3/);
});
