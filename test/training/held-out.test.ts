import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partitionDefaults, partitionEdges, partitions } from '../../src/cluster/partition.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { edgesFromPairs } from '../../src/graph/candidate-edges.js';
import { RandomStream } from '../../src/graph/random.js';
import { calibrate, steadiest } from '../../src/training/held-out.js';

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
  const { partition, partitions: found } = await calibrate(edges, truth);
  const f = (name: (typeof partitions)[number], threshold: number) => {
    const labels = partitionEdges(edges, edges.scores, name, { ...partitionDefaults, threshold });
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
});

test('of many thresholds that are as good the middle one is taken', () => {
  const at = (fs: number[]) =>
    steadiest(fs.map((f, i) => ({ threshold: i, bcubed: { precision: f, recall: f, f } }))).threshold;
  assert.equal(at([0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.2]), 4);
  assert.equal(at([0.3, 0.95, 0.3, 0.3, 0.9, 0.9, 0.9, 0.3]), 5, 'a single peak is chance');
  assert.equal(at([0.5]), 0);
});
