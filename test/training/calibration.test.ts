import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partitionEdges, partitions } from '../../src/cluster/partition.js';
import { partitionDefaults } from '../../src/defaults.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { edgesFromPairs } from '../../src/graph/candidate-edges.js';
import { RandomStream } from '../../src/graph/random.js';
import { calibrate, choose, cutEverywhere } from '../../src/training/calibration.js';
import { startTrainingThreads } from '../../src/training/pairwise/threads.js';

/** Groups of five, pairs inside of high scores and pairs between groups of lower ones, but for a few. */
function scoredGroups(groups: number) {
  const random = new RandomStream(5, 1, 0);
  const truth = Int32Array.from({ length: 5 * groups }, (_, node) => Math.floor(node / 5));
  const pairs: number[] = [];
  const scores: number[] = [];
  for (let a = 0; a < truth.length; a++) {
    for (let b = a + 1; b < Math.min(a + 8, truth.length); b++) {
      pairs.push(a, b);
      const wrong = random.uniform() < 0.02 ? 0.95 : 0.6 * random.uniform();
      scores.push(truth[a] === truth[b] ? 0.4 + 0.6 * random.uniform() : wrong);
    }
  }
  const { edges, place } = edgesFromPairs(truth.length, pairs);
  const placed = new Float32Array(scores.length);
  for (let e = 0; e < placed.length; e++) placed[place[e]] = scores[e];
  return { edges: { ...edges, scores: placed }, truth };
}

test('calibration finds for every partition a threshold near the best, and the best partition', async () => {
  const { edges, truth } = scoredGroups(60);
  const { partition, partitions: found, absentPairs } = await calibrate(edges, truth);
  const f = (name: (typeof partitions)[number], threshold: number) => {
    const labels = partitionEdges(edges, edges.scores, name, { ...partitionDefaults, threshold, absentPairs });
    return evaluate(labels, truth).all.bcubed.f;
  };
  for (const name of partitions) {
    const { threshold, bcubed } = found[name];
    assert.ok(Math.abs(f(name, threshold) - bcubed.f) < 1e-12, `${name}: the F that is told is that at its threshold`);
    const best = Math.max(...Array.from({ length: 99 }, (_, i) => f(name, (i + 1) / 100)));
    assert.ok(bcubed.f > best - 0.03, `${name}: ${bcubed.f} at ${threshold}, the best is ${best}`);
    assert.ok(bcubed.f <= found[partition].bcubed.f + 1e-3);
  }
  assert.notEqual(partition, 'threshold', 'components run through single wrong edges');
  assert.equal(
    absentPairs,
    'room',
    'these small groups, and they alone, would be a little better with absent pairs counted fully',
  );
});

test('what calibration tells is what labels at its threshold have, and resamples say how sure it is', async () => {
  const { edges, truth } = scoredGroups(60);
  const { partition, partitions: found, absentPairs } = await calibrate(edges, truth);
  for (const name of partitions) {
    const { threshold, pairwise, deviation } = found[name];
    const labels = partitionEdges(edges, edges.scores, name, { ...partitionDefaults, threshold, absentPairs });
    const { f } = evaluate(labels, truth).all.pairwise;
    assert.ok(Math.abs(f - pairwise.f) < 1e-12, `${name}: ${f}`);
    assert.ok(deviation.bcubed > 0 && deviation.bcubed < 0.1, `${name}: ${deviation.bcubed}`);
  }
  const more = await calibrate(...(Object.values(scoredGroups(600)) as [typeof edges, typeof truth]));
  const [few, many] = [found[partition], more.partitions[partition]];
  assert.ok(many.deviation.bcubed < few.deviation.bcubed / 2, 'ten times as many identities tell three times as much');
});

test('a choice from resamples of the identities loses little', async () => {
  const { edges, truth } = scoredGroups(300);
  const cuts = await cutEverywhere(edges, truth);
  const whole = choose(cuts);
  const { identityCount } = cuts.agreement;
  for (let r = 0; r < 20; r++) {
    const random = new RandomStream(9, 1, r);
    const {
      partition,
      partitions: found,
      absentPairs,
    } = choose(
      cuts,
      Int32Array.from({ length: identityCount }, () => random.below(identityCount)),
    );
    const labels = partitionEdges(edges, edges.scores, partition, {
      ...partitionDefaults,
      threshold: found[partition].threshold,
      absentPairs,
    });
    const f = evaluate(labels, truth).all.bcubed.f;
    assert.ok(f > whole.partitions[whole.partition].bcubed.f - 0.01, `${r}: ${partition}, ${f}`);
  }
});

test('calibration on threads is the same, and ends after an abort', async () => {
  const { edges, truth } = scoredGroups(60);
  const executor = startTrainingThreads(2);
  try {
    assert.deepEqual(await calibrate(edges, truth, { executor }), await calibrate(edges, truth));
    for (const options of [{ executor }, {}]) {
      const signal = AbortSignal.abort();
      await assert.rejects(calibrate(edges, truth, { ...options, signal }), { code: 'CANCELLED' });
    }
  } finally {
    await executor.close();
  }
});
