import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { Gauge, Registry } from 'prom-client';
import { serveMetrics } from '../../src/metrics/server.js';

test('connections that say nothing are few, and give way to whoever asks', async (t) => {
  const registry = new Registry();
  new Gauge({ name: 'naan_test', help: 'One.', registers: [registry] }).set(1);
  const server = await serveMetrics(registry, 0);
  t.after(() => server.close());
  const port = Number(new URL(server.url).port);
  const idle: Socket[] = [];
  const closed: Promise<unknown>[] = [];
  for (let i = 0; i < 100; i++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    idle.push(socket);
    closed.push(once(socket.resume(), 'close'));
  }
  t.after(() => {
    for (const socket of idle) socket.destroy();
  });
  let open = idle.length;
  for (const end of closed) void end.then(() => open--);
  // More than 64 are not kept: the first of them to be closed is closed at once.
  await Promise.race(closed);
  await Promise.all(closed);
  assert.equal(open, 0, 'the others after a few seconds');
  assert.match(await (await fetch(server.url)).text(), /^naan_test 1$/m);
});

test('a metric that fails is an answer, not the end of the run', async (t) => {
  const registry = new Registry();
  const collect = () => {
    throw new Error('no reading');
  };
  new Gauge({ name: 'naan_test', help: 'None.', registers: [registry], collect });
  const server = await serveMetrics(registry, 0);
  t.after(() => server.close());
  const response = await fetch(server.url);
  assert.equal(response.status, 500);
  assert.match(await response.text(), /no reading/);
});
