import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { pairwiseLayout } from '../../src/backends/stages.js';
import { type DeviceCounter, DeviceLink } from '../../src/devices/link.js';
import { Counters } from '../../src/execution/counters.js';
import { addDeviceMetrics } from '../../src/metrics/devices.js';
import { RunMetrics } from '../../src/metrics/run-metrics.js';
import { type MetricsServer, serveMetrics } from '../../src/metrics/server.js';

const servers: MetricsServer[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function serve(metrics: RunMetrics): Promise<MetricsServer> {
  const server = await serveMetrics(metrics.registry, 0);
  servers.push(server);
  return server;
}

function started(workers: number): { metrics: RunMetrics; counters: Counters } {
  const metrics = new RunMetrics('label');
  const counters = Counters.allocate(workers, ['edges', 'project', 'embed']);
  metrics.start({ head: 'concat', counters, threads: workers, shards: 4 });
  metrics.backend({ backend: 'native', simd: 'simd' });
  return { metrics, counters };
}

const scrape = async (server: MetricsServer) => (await fetch(server.url)).text();

test('a scrape shows what workers have counted so far', async () => {
  const { metrics, counters } = started(2);
  const server = await serve(metrics);
  const worker = new Counters(counters.handle());
  worker.add(0, 'edgesScored', 100);
  worker.add(1, 'edgesScored', 11);
  worker.add(1, 'embed', 7);
  worker.add(1, 'unions', 3);
  worker.add(1, 'rowsGathered', 40);
  worker.add(1, 'busySeconds', 1.5);
  metrics.shards({ queued: 3, running: 1, done: 0, retried: 0 });
  metrics.progress({ stage: 'project', done: 1, total: 165, unit: 'nodes' });
  metrics.stageDone('project', 0.5, 0.9);
  metrics.progress({ stage: 'embed', done: 7, total: 165, unit: 'nodes' });

  const text = await scrape(server);
  for (const line of [
    'naan_edges_scored_total 111',
    'naan_nodes_total{stage="embed"} 7',
    'naan_unions_total 3',
    'naan_worker_busy_seconds_total{worker="0"} 0',
    'naan_worker_busy_seconds_total{worker="1"} 1.5',
    'naan_shards{state="queued"} 3',
    'naan_stage_seconds{stage="project"} 0.5',
    'naan_progress_done{stage="embed",unit="nodes"} 7',
    'naan_progress_expected{stage="embed",unit="nodes"} 165',
    'naan_run_end_time_seconds 0',
    'naan_stage_busy_ratio{stage="project"} 0.9',
    'naan_halo_rows_total 40',
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  }
  assert.match(
    text,
    /naan_build_info\{version="[^"]+",node="[^"]+",command="label",head="concat",backend="native",simd="simd"\} 1\n/,
  );
  assert.ok(Number(/^naan_resident_memory_bytes (\S+)/m.exec(text)?.[1]) > 1e6);

  assert.ok(Number(/^naan_cpu_seconds_total\{mode="user"\} (\S+)/m.exec(text)?.[1]) > 0);
  assert.doesNotMatch(text, /naan_run_success|naan_training/, 'only what there is');
  worker.add(0, 'edgesScored', 1);
  assert.match(await scrape(server), /^naan_edges_scored_total 112$/m);
});

test('a scrape shows what devices have done', async () => {
  const metrics = new RunMetrics('label');
  const link = DeviceLink.allocate(pairwiseLayout({ rounds: [] }, { nodes: 1, rows: 1, width: 1, edges: 1 }), 1);
  const devices = [{ device: 3, of: (counter: DeviceCounter) => link.of(counter) }];
  metrics.start({
    head: 'concat',
    counters: Counters.allocate(1, ['edges', 'project', 'embed']),
    threads: 1,
    shards: 1,
    devices,
  });
  const owner = new DeviceLink(link.handle);
  owner.count('batches', 2);
  owner.count('rows', 70);
  owner.count('bytes', 4096);
  owner.count('busySeconds', 0.25);
  owner.count('retries', 1);
  owner.countFallback();
  const text = await scrape(await serve(metrics));
  for (const line of [
    'naan_device_batches_total{device="3"} 2',
    'naan_device_rows_total{device="3"} 70',
    'naan_device_bytes_total{device="3"} 4096',
    'naan_device_busy_seconds_total{device="3"} 0.25',
    'naan_device_retries_total{device="3"} 1',
    'naan_device_fallbacks_total{device="3"} 1',
    'naan_device_queue{device="3"} 0',
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  }
});

test('devices that find the graph and those that score are counted together', async () => {
  const metrics = new RunMetrics('label');
  const [knn, scores] = [5, 7].map((batches) => [{ device: 0, of: () => batches }]);
  metrics.devices(knn);
  const counters = Counters.allocate(1, ['edges', 'project', 'embed']);
  metrics.start({ head: 'concat', counters, threads: 1, shards: 1, devices: scores });
  const text = await scrape(await serve(metrics));
  assert.ok(text.includes('naan_device_batches_total{device="0"} 12\n'), text);
});

test('a run that has ended says when, and whether all went well', async () => {
  const metrics = new RunMetrics('knn');
  const server = await serve(metrics);
  metrics.end(false);
  const text = await scrape(server);
  assert.match(text, /^naan_run_success 0$/m);
  const [began, ended] = ['start', 'end'].map((name) =>
    Number(new RegExp(`^naan_run_${name}_time_seconds (\\S+)`, 'm').exec(text)?.[1]),
  );
  assert.ok(began > 1.7e9 && ended >= began, text);
});

test('training is told by round and fold, with what identities held out say', async () => {
  const metrics = new RunMetrics('train');
  metrics.trains('pairwise');
  const step = { steps: 10, pairs: 1000, learningRate: 0.01, gradientNorm: 2 };
  metrics.steps({ ...step, round: 2, fold: '3', loss: 0.25 });
  metrics.steps({ ...step, round: 2, loss: 0.125 });
  const bcubed = { precision: 0.9, recall: 0.8, f: 0.85 };
  const heldOut = { loss: 0.3, auc: 0.99, accuracy: 0.95, partition: 'threshold', threshold: 0.9, bcubed } as const;
  metrics.report({ unit: 'round', index: 2, count: 3, learningRate: 0, loss: 0.1, accuracy: 0.9, heldOut });
  const text = await scrape(await serve(metrics));
  for (const line of [
    'naan_training_loss{round="2",fold="3"} 0.25',
    'naan_training_loss{round="2",fold="model"} 0.125',
    'naan_training_steps_total 20',
    'naan_training_round 2',
    'naan_training_held_out{round="2",measure="auc"} 0.99',
    'naan_training_held_out{round="2",measure="bcubed_f"} 0.85',
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  }
  assert.match(text, /^naan_build_info\{.*command="train",head="pairwise"/m);
});

test('two runs in one process do not share metrics', async () => {
  const first = started(1);
  first.counters.add(0, 'unions', 5);
  const second = started(1);
  assert.match(await scrape(await serve(second.metrics)), /^naan_unions_total 0$/m);
});

test('only GET and HEAD of /metrics are answered', async () => {
  const server = await serve(started(1).metrics);
  const origin = new URL(server.url).origin;
  assert.equal((await fetch(`${origin}/`)).status, 404);
  assert.equal((await fetch(`${origin}/metrics/x`)).status, 404);
  assert.equal((await fetch(server.url, { method: 'POST' })).status, 405);
  const head = await fetch(server.url, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.match(head.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  assert.equal(await head.text(), '');
});

test('a port in use is bad usage', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const refused = serveMetrics(new RunMetrics('label').registry, port);
  await assert.rejects(refused, {
    code: 'BAD_USAGE',
    message: `metrics cannot be served on 127.0.0.1:${port}: the port is in use, expected a free one (0 takes any)`,
  });
  other.close();
});

test('promtool finds nothing wrong', async (t) => {
  if (spawnSync('promtool', ['--version']).error)
    return t.skip('promtool (Debian package prometheus) is not installed');
  const { metrics } = started(2);
  addDeviceMetrics(metrics.registry, [{ device: 0, of: () => 1 }]);
  metrics.shards({ queued: 3, running: 1, done: 0, retried: 0 });
  metrics.stageDone('project', 0.5, 0.9);
  const checked = spawnSync('promtool', ['check', 'metrics'], {
    input: await scrape(await serve(metrics)),
    encoding: 'utf8',
  });
  assert.equal(checked.stdout + checked.stderr, '');
  assert.equal(checked.status, 0);
});
