/** A Redis that lets in one user by TLS: a run is shared, and who may not come in is told why in one line. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { label } from '../../src/jobs/label.js';
import { work } from '../../src/jobs/worker.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { certificates, redisServer, withoutSecureRedis } from './redis-server.js';
import { alone, smallRun, smallSet } from './small-set.js';

test("a user of an ACL shares a run by TLS, with an authority of one's own", {
  skip: withoutSecureRedis,
}, async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const expected = await alone(set, 'pairwise');
  const tls = certificates(folder);
  const users = join(folder, 'users.acl');
  writeFileSync(
    users,
    'user default off\n' +
      // As config/redis/naan.conf has it.
      'user naan on >secret ~naan:* &* +@all -@dangerous +info +client|list +client|setname\n' +
      'user admin on >secret ~* &* +@all\n' +
      'user other on >secret ~other:* &* +@all\n',
  );
  const { address, client } = await redisServer(t, ['--aclfile', users], tls);
  const cluster = address.replace('//', '//naan@');
  const clusterPasswordFile = join(folder, 'password');
  writeFileSync(clusterPasswordFile, 'secret\n');
  const environment = { NAAN_CLUSTER_PASSWORD: 'secret' };
  const worker = start(['worker', '--cluster', cluster, '--threads', '1', '--runs', '1'], {
    environment: { ...environment, NODE_EXTRA_CA_CERTS: tls.ca },
  });
  const known = { clusterCa: tls.ca, clusterPasswordFile };
  const { labels, edges } = await label({
    ...smallRun(set, 'pairwise'),
    workDir: join(folder, 'work'),
    cluster,
    ...known,
  });
  assert.deepEqual({ labels, edges }, expected);
  const ended = await worker.ended;
  assert.equal(ended.code, 0, ended.stderr);
  const admin = client.duplicate({ username: 'admin', password: 'secret' });
  t.after(() => admin.disconnect());
  assert.deepEqual(await admin.acl('LOG'), [], 'the user may all that naan does');

  const unknown = await naan(['worker', '--cluster', cluster], { environment });
  assert.equal(unknown.code, 1, unknown.stderr);
  assert.match(unknown.stderr, /cannot be used: self-signed certificate.*: give --cluster-ca/);
  for (const [user, message] of [
    ['nobody', /refuses this user or password/],
    ['other', /refuses this user or password/],
  ] as const) {
    await assert.rejects(work({ ...known, cluster: address.replace('//', `//${user}@`) }), {
      code: 'BAD_USAGE',
      message,
    });
  }
  await assert.rejects(work({ ...known, clusterCa: undefined, cluster: cluster.replace('rediss', 'redis') }), {
    message: /cannot be used/,
  });
});

test('a port that answers without TLS, or not at all, is told as what it may be', async (t) => {
  const open = new Set<Socket>();
  const listening = async (answer?: string) => {
    const server = createServer((socket) => {
      open.add(socket.on('error', () => {}));
      if (answer !== undefined) socket.write(answer);
    });
    t.after(() => void server.close());
    await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
    return (server.address() as AddressInfo).port;
  };
  const [mute, plain, other] = await Promise.all([
    listening(),
    listening("-ERR Protocol error: expected '$'\r\n"),
    listening('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ]);
  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  await Promise.all(
    [
      [`rediss://127.0.0.1:${mute}`, /: is it a port without TLS, redis:\/\/, or/],
      [`rediss://127.0.0.1:${plain}`, /: is it a port without TLS, redis:\/\/, or/],
      [`redis://127.0.0.1:${mute}`, /: no answer within 10 s: is it a port with TLS, rediss:\/\/, or/],
      [`redis://127.0.0.1:${other}`, /: is it a port with TLS, rediss:\/\/, or/],
    ].map(async ([cluster, advice]) => {
      const error = { code: 'BACKEND_UNAVAILABLE', message: advice };
      await assert.rejects(work({ cluster: String(cluster), onNotice }), error);
    }),
  );
  const slow = `redis://127.0.0.1:${mute}: has not answered yet: it is waited for, up to 10 s`;
  assert.ok(notices.includes(slow), notices.join('\n'));
  for (const socket of open) socket.destroy();
});

test('a worker that is stopped while a port is mute ends at once', async (t) => {
  const stop = new AbortController();
  const server = createServer((socket) => {
    t.after(() => void socket.destroy());
    stop.abort();
  });
  t.after(() => void server.close());
  await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  assert.equal((await work({ cluster: `redis://127.0.0.1:${port}`, signal: stop.signal })).runs, 0);
});
