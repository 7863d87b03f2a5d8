import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConcatConfig } from '../../src/model/concat.js';
import { checkModel } from '../../src/model/model.js';
import { Parameters, parameterCount } from '../../src/training/concat/parameters.js';

const config: ConcatConfig = {
  head: 'concat',
  dim: 20,
  heads: 2,
  alpha: 0.2,
  k1: 3,
  k2: 2,
  sampleHops: 3,
  provenance: {},
};

function initialised(seed: number): Parameters {
  const parameters = new Parameters(config, new Float32Array(parameterCount(config)));
  parameters.initialise(seed);
  return parameters;
}

describe('parameters', () => {
  it('become a model and come back from it, which stays as it was', () => {
    const parameters = initialised(1);
    const model = parameters.toModel(config);
    checkModel(model, 'test');
    const other = new Parameters(config, new Float32Array(parameterCount(config)));
    other.copyFrom(model);
    assert.deepEqual(other.data, parameters.data);
    const before = model.tensors.get('classifier.2.bias')?.data.slice();
    parameters.data.fill(9);
    assert.deepEqual(model.tensors.get('classifier.2.bias')?.data, before);
  });

  it('are initialised within the bounds of each tensor, and by the seed', () => {
    const parameters = initialised(3);
    const bounds: [string, number][] = [
      ['attention.attn_1.w.weight', Math.sqrt(6 / 40)],
      ['attention.attn_1.w.bias', 1 / Math.sqrt(20)],
      ['attention.attn_0.a.weight', Math.sqrt(6 / 41)],
      ['attention.attn_0.bias', 0],
      ['classifier.0.weight', Math.sqrt(6 / 60)],
      ['classifier.0.bias', 1 / Math.sqrt(40)],
      ['classifier.2.weight', Math.sqrt(6 / 22)],
    ];
    for (const [name, bound] of bounds) {
      const largest = parameters.get(name).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assert.ok(largest <= bound && largest >= 0.8 * bound, `${name}: ${largest} of ${bound}`);
    }
    assert.ok(parameters.get('classifier.1.weight').every((slope) => slope === 0.25));
    assert.deepEqual(initialised(3).data, parameters.data);
    assert.notDeepEqual(initialised(4).data, parameters.data);
    assert.throws(() => parameters.get('classifier.3.bias'), /no parameter 'classifier.3.bias'/);
  });
});
