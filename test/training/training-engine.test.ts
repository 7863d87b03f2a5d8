import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dropoutKey, isKept } from '../../src/training/concat/dropout.js';
import { Parameters, parameterCount } from '../../src/training/concat/parameters.js';
import { TrainingEngine, type TrainingInput } from '../../src/training/concat/training-engine.js';
import { largestDifference } from '../engine/fixture.js';
import { fillFrom, relativeErrors, type SmallProblem, smallProblem, withEngine } from './fixture.js';
import { Reference } from './reference.js';

const settings = { learningRate: 0.01, weightDecay: 5e-4, clip: 0.1 };

function initialTensors({ architecture }: TrainingInput): Map<string, Float32Array> {
  const initial = new Parameters(architecture, new Float32Array(parameterCount(architecture)));
  initial.initialise(7);
  return new Map(initial.names.map((name) => [name, initial.get(name)]));
}

const initialise = ({ parameters }: TrainingEngine) => parameters.initialise(7);

/** Directed pairs of a closure as node numbers. */
function nodePairs(closure: { pairs: Int32Array; nodes: Int32Array }): Int32Array {
  return closure.pairs.map((row) => closure.nodes[row]);
}

describe('a training step', () => {
  const problems: [what: string, problem: SmallProblem][] = [
    ['one head', {}],
    ['d not a multiple of 4', { dim: 10 }],
    ['three heads', { heads: 3, dim: 6 }],
    ['hop two longer than hop one', { hops: { k1: 2, k2: 5, sampleHops: 4 } }],
    ['a block whose nodes name each other only', { identities: 1, nodeCount: 20 }],
  ];
  for (const [what, problem] of problems) {
    for (const dropout of [0, 0.4]) {
      it(`has the gradient of the literal form: ${what}, dropout ${dropout}`, async () => {
        const input = smallProblem(problem);
        input.labels.forEach((label, i) => {
          if (label === 1) input.labels[i] = -1;
        });
        const nodes = Int32Array.from({ length: Math.ceil(input.graph.nodeCount / 2) }, (_, i) => 2 * i);
        const tensors = initialTensors(input);
        const classWeights = [0.7, 1.9] as const;
        await withEngine(input, fillFrom(tensors), async (engine) => {
          const closure = engine.prepare({ nodes });
          const pairs = nodePairs(closure);
          assert.ok(pairs.length > 20);
          assert.ok(pairs.every((node) => input.labels[node] >= 0));
          const mask = (hop: 1 | 2, head: number, node: number, neighbour: number) =>
            isKept(dropoutKey(input.seed, 1, hop, head), node, neighbour, dropout) ? 1 / (1 - dropout) : 0;
          const reference = new Reference(input, tensors);
          const expected = reference.batch(pairs, { mask, weights: [...classWeights] });

          const result = await engine.step(closure, { ...settings, dropout, classWeights });
          assert.ok(Math.abs(result.loss - expected.loss) < 1e-6, `${result.loss} ≠ ${expected.loss}`);
          for (const [name, values] of expected.gradient) {
            const { norm, element } = relativeErrors(engine.gradient.get(name), values);
            assert.ok(norm < 2e-5 && element < 1e-4, `${name}: ${norm} by norm, ${element} by element`);
          }
          reference.update(expected.gradient, settings);
          for (const [name, values] of reference.parameters) {
            assert.ok(largestDifference(engine.parameters.get(name), values) < 1e-4, name);
          }
        });
      });
    }
  }

  it('counts pairs, positives and right ones, and evaluates without moving', async () => {
    const input = smallProblem({});
    await withEngine(input, initialise, async (engine) => {
      const closure = engine.prepare({ nodes: Int32Array.from({ length: 60 }, (_, i) => i) });
      const before = engine.parameters.data.slice();
      const evaluated = await engine.evaluate(closure);
      assert.deepEqual(engine.parameters.data, before);
      const right = closure.targets.reduce(
        (sum, target, e) => sum + (evaluated.gaps[e] > 0 === (target === 1) ? 1 : 0),
        0,
      );
      assert.equal(evaluated.correct, right);
      const { gradientNorm, ...stepped } = await engine.step(closure, settings);
      assert.deepEqual({ ...stepped, gaps: evaluated.gaps }, evaluated);
      assert.ok(gradientNorm > 0);
      assert.equal(engine.steps, 1);
      assert.ok(largestDifference(engine.parameters.data, before) > 0);
    });
  });

  it('is the same to the bit for any number of threads, also when the memory has to grow', async () => {
    const problem = { nodeCount: 900, dim: 16, heads: 2, identities: 40, hops: { k1: 9, k2: 4, sampleHops: 8 } };
    const run = (threads: number) =>
      withEngine({ ...smallProblem(problem), threads }, initialise, async (engine) => {
        const losses: number[] = [];
        for (const count of [300, 900, 500]) {
          const closure = engine.prepare({ nodes: Int32Array.from({ length: count }, (_, i) => i) });
          losses.push((await engine.step(closure, { ...settings, dropout: 0.3 })).loss);
        }
        return { losses, parameters: engine.parameters.data.slice() };
      });
    const one = await run(1);
    assert.ok(one.losses.every(Number.isFinite));
    assert.deepEqual(await run(2), one);
    assert.deepEqual(await run(3), one);
  });

  it('learns: the loss of a block falls', async () => {
    await withEngine(smallProblem({ nodeCount: 200, dim: 16 }), initialise, async (engine) => {
      const closure = engine.prepare({ nodes: Int32Array.from({ length: 200 }, (_, i) => i) });
      const { loss: first } = await engine.evaluate(closure);
      for (let step = 0; step < 60; step++) await engine.step(closure, { ...settings, clip: 2 });
      const { loss: last } = await engine.evaluate(closure);
      assert.ok(last < first / 4, `${first} → ${last}`);
    });
  });

  it('a block without pairs is an error that says so', async () => {
    await withEngine(smallProblem({}), initialise, async (engine) => {
      const closure = engine.prepare({ nodes: Int32Array.of(3) });
      await assert.rejects(engine.step(closure, settings), {
        code: 'BAD_INPUT',
        message: /no labelled candidate pair/,
      });
    });
  });

  it('arrays that do not fit together are errors', () => {
    const input = smallProblem({});
    const wrong: [Partial<TrainingInput>, RegExp][] = [
      [{ labels: new Int32Array(59) }, /59 labels, expected one of each for the 60 rows/],
      [{ hops: { k1: 7, k2: 3, sampleHops: 5 } }, /6 neighbours a node, expected at least 7/],
      [{ architecture: { dim: 20, heads: 1, head: 'concat' } }, /dimension 12 .*the model has 20/],
    ];
    for (const [change, message] of wrong) {
      assert.throws(() => void new TrainingEngine({ ...input, ...change }), { name: 'NaanError', message });
    }
  });
});
