/** A real Redis for one test, by the file in config/. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Redis } from 'ioredis';
import { temporaryFolder } from '../cli/naan.js';

/** Why there can be none; false where there can. */
export const withoutRedis = without('redis-server', '--version');
/** Why there can be none with TLS. */
export const withoutSecureRedis = withoutRedis || without('openssl', 'version');

function without(program: string, saysVersion: string): string | false {
  try {
    execFileSync(program, [saysVersion]);
    return false;
  } catch {
    return `${program} is not installed (Debian package ${program})`;
  }
}

export interface TestRedis {
  readonly address: string;
  /** Connects when it is first used. */
  readonly client: Redis;
  /** As `kill -9` does. */
  kill(): Promise<void>;
  /** Starts a server that was killed again, with what it kept. */
  restart(): Promise<void>;
}

interface Certificates {
  /** Files (PEM). */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Started with more settings, such as `--requirepass secret`; `tls` serves TLS alone. Ends with the test. */
export async function redisServer(
  t: TestContext,
  settings: readonly string[] = [],
  tls?: Certificates,
): Promise<TestRedis> {
  const dir = temporaryFolder((clean) => t.after(clean));
  const port = await freePort();
  const listening = tls
    ? ['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'].concat([
        '--tls-cert-file',
        tls.certificate,
        '--tls-key-file',
        tls.key,
        '--tls-ca-cert-file',
        tls.ca,
      ])
    : ['--port', String(port)];
  const begin = async () => {
    const args = ['config/redis/naan.conf', ...listening, '--dir', dir, ...settings];
    const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    while (!said.includes('Ready to accept connections')) said += String((await once(started.stdout, 'data'))[0]);
    started.stdout.resume();
    return started;
  };
  let server = await begin();
  t.after(() => void server.kill('SIGKILL'));
  const password = settings[settings.indexOf('--requirepass') + 1];
  const client = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    ...(settings.includes('--requirepass') && { password }),
    ...(tls && { tls: { ca: readFileSync(tls.ca) } }),
  });
  client.on('error', () => {}); // it comes back
  t.after(() => client.disconnect());
  return {
    address: `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    client,
    async kill() {
      server.kill('SIGKILL');
      await once(server, 'exit');
    },
    async restart() {
      server = await begin();
    },
  };
}

/** A certificate for this machine, and the authority that signed it, made for one test. */
export function certificates(folder: string): Certificates {
  const [ca, caKey] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const [certificate, key] = [join(folder, 'server.crt'), join(folder, 'server.key')];
  const make = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'.split(' ');
  const request = (...args: string[]) => execFileSync('openssl', ['req', ...make, ...args], { stdio: 'pipe' });
  request('-subj', '/CN=a test', '-keyout', caKey, '-out', ca);
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  request(
    ...name,
    '-addext',
    'basicConstraints=critical,CA:FALSE',
    '-CA',
    ca,
    '-CAkey',
    caKey,
    '-keyout',
    key,
    '-out',
    certificate,
  );
  return { ca, certificate, key };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
