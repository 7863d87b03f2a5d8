import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mlpLogits } from '../../src/backends/pairwise/reference.js';
import { RandomStream } from '../../src/graph/random.js';
import { adamw } from '../../src/training/pairwise/adamw.js';
import { layersOf, MlpStep } from '../../src/training/pairwise/mlp-step.js';

test('loss and gradients of a step are those of the plain network, by finite differences', async () => {
  const random = new RandomStream(3, 0, 0);
  const units = [4, 6, 3, 1];
  const batch = 20;
  const step = await MlpStep.create(units, batch);
  const mean = Float32Array.of(0.5, -1, 0, 2);
  const scale = Float32Array.of(1, 0.5, 2, 3);
  const parameters = Float32Array.from({ length: step.parameterCount }, () => random.gaussian() / 2);
  for (let i = 0; i < step.features.length; i++) step.features[i] = 2 * random.gaussian();
  for (let i = 0; i < batch; i++) step.targets[i] = i % 3 === 0 ? 1 : 0;
  const plainLoss = (layers: ReturnType<typeof layersOf>) => {
    const logits = mlpLogits({ mean, scale, layers }, step.features);
    return logits.reduce((sum, z, i) => sum + Math.log1p(Math.exp(step.targets[i] === 1 ? -z : z)), 0) / batch;
  };
  const loss = await step.run(parameters, mean, scale);
  assert.ok(Math.abs(loss - plainLoss(layersOf(parameters, units))) < 1e-6);

  // Float64 arrays in the place of the layers, so that differences are not rounded away.
  const precise = new Float64Array(parameters);
  const layers = layersOf(precise as unknown as Float32Array, units);
  const width = 1e-6;
  for (let i = 0; i < precise.length; i++) {
    precise[i] += width;
    const above = plainLoss(layers);
    precise[i] -= 2 * width;
    const slope = (above - plainLoss(layers)) / (2 * width);
    precise[i] += width;
    assert.ok(Math.abs(step.gradients[i] - slope) < 2e-5, `parameter ${i}: ${step.gradients[i]} ≠ ${slope}`);
  }
  await step.release();
});

test('AdamW takes the steps that its definition takes', () => {
  const random = new RandomStream(4, 0, 0);
  const parameters = Float32Array.from({ length: 5 }, () => random.gaussian());
  const expected = [...parameters];
  const [first, second] = [new Float32Array(5), new Float32Array(5)];
  const [m, v] = [new Array<number>(5).fill(0), new Array<number>(5).fill(0)];
  for (let step = 1; step <= 20; step++) {
    const gradients = Float32Array.from({ length: 5 }, () => random.gaussian());
    adamw(parameters, gradients, { first, second }, { step, learningRate: 0.05, weightDecay: 0.1 });
    expected.forEach((_, i) => {
      m[i] = 0.9 * m[i] + 0.1 * gradients[i];
      v[i] = 0.999 * v[i] + 0.001 * gradients[i] ** 2;
      const size = m[i] / (1 - 0.9 ** step) / (Math.sqrt(v[i] / (1 - 0.999 ** step)) + 1e-8);
      expected[i] -= 0.05 * 0.1 * expected[i] + 0.05 * size;
    });
  }
  parameters.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]) < 1e-5, `${value} ≠ ${expected[i]}`);
  });
});
