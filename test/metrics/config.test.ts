import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Counters } from '../../src/execution/counters.js';
import { RunMetrics } from '../../src/metrics/run-metrics.js';

test('alerts and dashboard use only metrics that exist, and the dashboard all of them', async () => {
  const metrics = new RunMetrics('label');
  metrics.start({
    head: 'pairwise',
    counters: Counters.allocate(1, ['edges', 'project', 'embed']),
    threads: 1,
    shards: 1,
    devices: [{ device: 0, of: () => 0 }],
  });
  metrics.backend({ backend: 'native', simd: 'simd' });
  metrics.shards({ queued: 0, running: 0, done: 1, retried: 0 });
  metrics.steps({ round: 1, steps: 1, pairs: 1, loss: 1, learningRate: 1, gradientNorm: 1 });
  metrics.end(true);
  const ending = { stage: 'embed', result: 'done', seconds: 1, bytes: 1 } as const;
  const [worker, coordinator] = [new RunMetrics('worker'), new RunMetrics('label')];
  worker.works().task(ending);
  coordinator.coordinates().task(ending);
  const all = await Promise.all([metrics, worker, coordinator].map(({ registry }) => registry.getMetricsAsJSON()));
  const exist = new Set(all.flat().map(({ name }) => name));
  for (const path of ['config/prometheus/alerts.yml', 'config/grafana/naan-run.json']) {
    const used = new Set(
      readFileSync(path, 'utf8')
        .match(/\bnaan_[a-z_]+/g)
        ?.map((name) => name.replace(/_(sum|count|bucket)$/, '')),
    );
    assert.deepEqual(
      [...used].filter((name) => !exist.has(name)),
      [],
      path,
    );
    if (path.endsWith('.json'))
      assert.deepEqual(
        [...exist].filter((name) => !used.has(name)),
        [],
      );
  }
});

test('promtool accepts the configuration, and the alerts fire when they should', (t) => {
  if (spawnSync('promtool', ['--version']).error)
    return t.skip('promtool (Debian package prometheus) is not installed');
  for (const args of [
    ['check', 'config', 'config/prometheus/prometheus.yml'],
    ['test', 'rules', 'config/prometheus/alerts.test.yml'],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  }
});
