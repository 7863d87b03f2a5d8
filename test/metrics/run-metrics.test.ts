import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
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
  const metrics = new RunMetrics();
  const counters = Counters.allocate(workers, ['edges', 'project', 'embed']);
  metrics.start({ counters, threads: workers, shards: 4 });
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
  metrics.stageDone('project', 0.5, 0.9);

  const text = await scrape(server);
  for (const line of [
    'naan_edges_scored_total 111',
    'naan_nodes_total{stage="embed"} 7',
    'naan_unions_total 3',
    'naan_worker_busy_seconds_total{worker="0"} 0',
    'naan_worker_busy_seconds_total{worker="1"} 1.5',
    'naan_shards{state="queued"} 3',
    'naan_stage_seconds_count{stage="project"} 1',
    'naan_stage_seconds_sum{stage="project"} 0.5',
    'naan_stage_busy_ratio{stage="project"} 0.9',
    'naan_halo_rows_total 40',
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  }
  assert.match(text, /naan_build_info\{version="[^"]+",node="[^"]+",backend="native",simd="simd"\} 1\n/);
  assert.ok(Number(/^naan_resident_memory_bytes (\S+)/m.exec(text)?.[1]) > 1e6);

  worker.add(0, 'edgesScored', 1);
  assert.match(await scrape(server), /^naan_edges_scored_total 112$/m);
});

test('a scrape shows what devices have done', async () => {
  const metrics = new RunMetrics();
  const link = DeviceLink.allocate({ dim: 4, paddedDim: 4, heads: [0] }, { nodes: 1, rows: 1, width: 1, edges: 1 }, 1);
  const devices = [{ device: 3, of: (counter: DeviceCounter) => link.of(counter) }];
  metrics.start({ counters: Counters.allocate(1, ['edges', 'project', 'embed']), threads: 1, shards: 1, devices });
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
  const refused = serveMetrics(new RunMetrics().registry, port);
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
