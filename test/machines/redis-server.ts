/** A real Redis for one test, by the file in config/. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { TestContext } from 'node:test';
import { Redis } from 'ioredis';
import { temporaryFolder } from '../cli/naan.js';

/** Why there can be none; false where there can. */
export const withoutRedis = (() => {
  try {
    execFileSync('redis-server', ['--version']);
    return false;
  } catch {
    return 'redis-server is not installed (Debian package redis-server)';
  }
})();

export interface TestRedis {
  readonly address: string;
  readonly client: Redis;
}

/** Started with more settings, such as `--requirepass secret`; ends with the test. */
export async function redisServer(t: TestContext, settings: readonly string[] = []): Promise<TestRedis> {
  const dir = temporaryFolder((clean) => t.after(clean));
  const port = await freePort();
  const args = ['config/redis/naan.conf', '--port', String(port), '--dir', dir, ...settings];
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => void server.kill('SIGKILL'));
  let said = '';
  while (!said.includes('Ready to accept connections')) said += String((await once(server.stdout, 'data'))[0]);
  server.stdout.resume();
  const password = settings[settings.indexOf('--requirepass') + 1];
  const client = new Redis({ port, ...(settings.includes('--requirepass') && { password }) });
  t.after(() => client.disconnect());
  return { address: `redis://127.0.0.1:${port}`, client };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
