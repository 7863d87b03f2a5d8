import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Parameters, parameterCount } from '../../src/training/concat/parameters.js';
import { loadStoredStep, relativeErrors, smallProblem } from './fixture.js';
import { Reference } from './reference.js';

describe('the literal reference', () => {
  for (const heads of [1, 2]) {
    it(`has the gradient of its own loss by finite differences: ${heads} heads`, () => {
      const input = smallProblem({
        nodeCount: 14,
        dim: 3,
        heads,
        hops: { k1: 4, k2: 2, sampleHops: 3 },
        identities: 3,
      });
      const initial = new Parameters(input.architecture, new Float32Array(parameterCount(input.architecture)));
      initial.initialise(3);
      const reference = new Reference(input, new Map(initial.names.map((name) => [name, initial.get(name)])));
      const pairs = [0, 5, 3, 1, 7, 2, 9, 0, 4, 11];
      const mask = (hop: number, head: number, node: number, neighbour: number) =>
        (hop + head + node + neighbour) % 5 === 0 ? 0 : 1.25;
      const options = { mask, weights: [0.5, 2] };
      const { gradient } = reference.batch(pairs, options);
      const step = 1e-5;
      for (const [name, values] of reference.parameters) {
        const measured = values.map((value, i) => {
          values[i] = value + step;
          const above = reference.batch(pairs, options).loss;
          values[i] = value - step;
          const below = reference.batch(pairs, options).loss;
          values[i] = value;
          return (above - below) / (2 * step);
        });
        const { norm } = relativeErrors(gradient.get(name) ?? [], measured);
        assert.ok(norm < 1e-6, `${name}: ${norm}`);
      }
    });
  }

  it('agrees with PyTorch on logits, loss and gradients', async () => {
    const stored = await loadStoredStep('four_heads');
    const reference = new Reference(stored.input, stored.before);
    const { logits, loss, gradient } = reference.batch(stored.block.pairs ?? []);
    assert.ok(Math.abs(loss - stored.loss) < 1e-6);
    stored.logits.forEach((logit, i) => void assert.ok(Math.abs(logits[i] - logit) < 1e-6));
    for (const [name, expected] of stored.gradient) {
      const { norm, element } = relativeErrors(gradient.get(name) ?? [], expected);
      assert.ok(norm < 1e-5 && element < 1e-4, `${name}: ${norm}, ${element}`);
    }
  });
});
