import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolve } from '../../src/options/resolve.js';

const required = { features: 'F', knn: 'K', model: 'M', out: 'O' };

test('config/default.yaml says what holds without it', async () => {
  const { values: without } = await resolve('label', { flags: required, environment: {} });
  const flags = { ...required, config: 'config/default.yaml' };
  const { config, ...withFile } = (await resolve('label', { flags, environment: {} })).values;
  assert.equal(config, 'config/default.yaml');
  assert.deepEqual(withFile, without);
});

test('config/naan-paper.yaml is the published labelling', async () => {
  const flags = { ...required, config: 'config/naan-paper.yaml' };
  const { values } = await resolve('label', { flags, environment: {} });
  const { kHops, sampleHops, partition, threshold, step, maxSize, maxIterations, start, leftovers } = values;
  assert.deepEqual(
    { kHops, sampleHops, partition, threshold, step, maxSize, maxIterations, start, leftovers },
    {
      kHops: [20, 10],
      sampleHops: 20,
      partition: 'propagation',
      threshold: 0.8,
      step: 0.6,
      maxSize: 600,
      maxIterations: 1000,
      start: 'all',
      leftovers: 'merge',
    },
  );
});
