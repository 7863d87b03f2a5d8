/** One training step against what PyTorch computed for the literal form, pair by pair. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fillFrom, loadStoredStep, relativeErrors, withEngine } from './fixture.js';

const settings = { learningRate: 0.002, weightDecay: 5e-4, clip: 2 };

for (const name of ['one_head', 'four_heads'] as const) {
  describe(`a stored training step: ${name}`, async () => {
    const stored = await loadStoredStep(name);

    for (const simd of [undefined, 'scalar'] as const) {
      it(`loss, gradients and the step agree with PyTorch${simd ? `, kernels ${simd}` : ''}`, async () => {
        await withEngine({ ...stored.input, simd }, fillFrom(stored.before), async (engine) => {
          const closure = engine.prepare(stored.block);
          const { gaps } = await engine.evaluate(closure);
          const gapOf = new Map<string, number>();
          gaps.forEach((gap, e) => {
            const [a, b] = closure.pairs.subarray(2 * e, 2 * e + 2);
            gapOf.set(`${closure.nodes[a]} ${closure.nodes[b]}`, gap);
          });
          stored.targets.forEach((_, e) => {
            const [query, neighbour] = stored.block.pairs?.subarray(2 * e, 2 * e + 2) ?? [];
            const expected = stored.logits[2 * e + 1] - stored.logits[2 * e];
            assert.ok(Math.abs((gapOf.get(`${query} ${neighbour}`) ?? Number.NaN) - expected) < 1e-5);
          });

          const result = await engine.step(closure, settings);
          assert.ok(Math.abs(result.loss - stored.loss) < 1e-5, `loss ${result.loss} ≠ ${stored.loss}`);
          assert.ok(Math.abs(result.gradientNorm / stored.gradientNorm - 1) < 1e-5);
          assert.equal(result.pairs, stored.targets.length);
          for (const [tensor, expected] of stored.gradient) {
            const { norm, element } = relativeErrors(engine.gradient.get(tensor), expected);
            assert.ok(norm < 1e-4 && element < 1e-4, `${tensor}: ${norm} by norm, ${element} by element`);
          }
          for (const [tensor, expected] of stored.after) {
            const gradient = stored.gradient.get(tensor) ?? [];
            const before = stored.before.get(tensor) ?? [];
            const after = engine.parameters.get(tensor);
            for (let i = 0; i < expected.length; i++) {
              // Adam's first step is lr · g / (|g| + 1e-8): where weight decay cancels the gradient to about 1e-8,
              // it magnifies the last bits of float32, of PyTorch's as of ours.
              if (Math.abs(gradient[i] + settings.weightDecay * before[i]) < 1e-7) continue;
              assert.ok(Math.abs(after[i] - expected[i]) < 1e-6, `${tensor}[${i}]: ${after[i]} ≠ ${expected[i]}`);
            }
          }
        });
      });
    }
  });
}
