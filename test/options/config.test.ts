import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolve } from '../../src/options/resolve.js';
import { temporaryFolder } from '../io/python.js';

const required = { features: 'F', knn: 'K', model: 'M', out: 'O' };

test('config/default.yaml says what holds without it', async () => {
  const { values: without } = await resolve('label', { flags: required, environment: {} });
  const flags = { ...required, config: 'config/default.yaml' };
  const { config, ...withFile } = (await resolve('label', { flags, environment: {} })).values;
  assert.equal(config, 'config/default.yaml');
  assert.deepEqual(withFile, without);
});

test('a preset goes by its name, and a run.json by the options that it records', async (t) => {
  const byName = await resolve('label', { flags: { ...required, config: 'naan-paper' }, environment: {} });
  assert.equal(byName.values.start, 'all');
  const record = join(temporaryFolder(t), 'run.json');
  writeFileSync(
    record,
    JSON.stringify({ naan: '1', options: { threshold: 0.9 }, config: { 'k-hops': [7, 3], threshold: 0.4 } }),
  );
  const { values } = await resolve('label', { flags: { ...required, config: record }, environment: {} });
  assert.deepEqual([values.kHops, values.threshold], [[7, 3], 0.4]);
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
