import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatHead } from '../../src/heads/concat/head.js';
import { explainStages, greatestCause, sumOfCauses } from '../../src/tuning/bottleneck.js';

const config = {
  head: 'concat',
  dim: 512,
  heads: 1,
  alpha: 0.2,
  k1: 20,
  k2: 10,
  sampleHops: 20,
  provenance: {},
} as const;
const limits = { threads: 2, gemmGflops: 200, randomRowGBps: 8, streamGBps: 16 };
const runOf = (valueBytes: number) => ({
  nodes: 100_000,
  rowBytes: valueBytes * 512,
  costs: concatHead.costs(config, { paddedDim: 512, valueBytes }),
});
const run = runOf(4);

test('the time of a stage is shared out by what the machine was measured to do', () => {
  const shared = { busySeconds: 1.8, rowsGathered: 200_000 };
  const { aggregate, order } = explainStages(
    { aggregate: { seconds: 1, shared }, order: { seconds: 0.25 } },
    run,
    limits,
  );
  const close = (got: number, expected: number) => assert(Math.abs(got - expected) < 1e-9, `${got}, not ${expected}`);
  close(aggregate.gemm, (100_000 * 2 * 512 * 512) / 200e9);
  close(aggregate.randomRows, (200_000 * 2048) / 8e9);
  close(aggregate.stream, (100_000 * 2048) / 16e9);
  close(aggregate.idle, 0.1);
  close(sumOfCauses({ aggregate }).other, 1 - 0.1 - aggregate.gemm - aggregate.randomRows - aggregate.stream);
  assert.deepEqual(order.oneThread, 0.25);
  assert.equal(greatestCause(sumOfCauses({ aggregate, order })), 'other');
});

test('a stage faster than the limits measured after it is nothing but its limits', () => {
  const shared = { busySeconds: 0.2, rowsGathered: 0 };
  const { split } = explainStages({ split: { seconds: 0.1, shared } }, run, limits);
  assert(Math.abs(split.gemm + split.stream - 0.1) < 1e-12);
  assert(Math.abs(split.other) < 1e-12);
  assert.equal(greatestCause(split), 'gemm');
});

test('rows of half the size cost half to move', () => {
  const work = { score: { seconds: 9, shared: { busySeconds: 18, rowsGathered: 100_000 } } };
  const whole = explainStages(work, run, limits).score;
  const half = explainStages(work, runOf(2), limits).score;
  assert.equal(half.randomRows, whole.randomRows / 2);
});
