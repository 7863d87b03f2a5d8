/**
 * Connections to the Redis (or Valkey) that hands out tasks, by the optional packages bullmq and ioredis. Redis holds hints
 * alone: it may be emptied at any time, and the run goes on from its work directory.
 */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { NaanError } from '../errors.js';
import { systemReason } from '../system-error.js';

export interface ClusterAddress {
  /** `redis://user@host:port/database`, or `rediss://` for TLS. */
  readonly cluster: string;
  readonly clusterPassword?: string | undefined;
  /** File whose first line is the password. */
  readonly clusterPasswordFile?: string | undefined;
  /** File of certificates (PEM) by which the server is known. */
  readonly clusterCa?: string | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
  /** Ends the wait for the first answer. */
  readonly signal?: AbortSignal | undefined;
}

/** Names of all keys begin with it. */
export const keyPrefix = 'naan';
const longestWaitMs = 5000;
/** The first answer of a server is waited for so long, and that it is not there yet is told before. */
const firstAnswerMs = 10_000;
const slowAnswerMs = 2000;

export class Cluster {
  private constructor(
    readonly bullmq: typeof import('bullmq'),
    /** For commands that answer at once. */
    readonly client: Redis,
    /** For connections of their own. */
    readonly connection: ConnectionOptions,
    readonly name: string,
  ) {}

  /**
   * Connects. Throws BACKEND_UNAVAILABLE where the packages are missing or nothing answers, CANCELLED, BAD_USAGE for an address that
   * cannot be used, a password that is refused, and a server that may drop keys when its memory is full.
   */
  static async open(address: ClusterAddress): Promise<Cluster> {
    const { options, name } = parse(address);
    const [bullmq, { Redis }] = await loadPackages();
    let opened = false;
    // Once it has answered, a server that is away is waited for.
    const retryStrategy = (times: number) => (opened ? Math.min(times * 200, longestWaitMs) : null);
    const connection = { ...options, retryStrategy, maxRetriesPerRequest: null };
    const client = new Redis({ ...connection, lazyConnect: true });
    let reason: Error | undefined;
    let away = false;
    client.on('error', (error: Error) => {
      reason = error;
    });
    const greet = async () => {
      await client.connect();
      await client.exists(`${keyPrefix}:runs`); // a user who may not read it is told at once
      await checkPolicy(client, name, address.onNotice);
    };
    try {
      await unlessStopped(answered(greet(), name, address.onNotice), address.signal);
    } catch (error) {
      client.disconnect();
      throw refused(name, reason ?? error, error);
    }
    opened = true;
    client.on('close', () => {
      if (!away && client.status !== 'end') address.onNotice?.(`${name}: does not answer: it is waited for`);
      away = true;
    });
    client.on('ready', () => {
      if (away) address.onNotice?.(`${name}: answers again`);
      away = false;
    });
    return new Cluster(bullmq, client, connection, name);
  }

  /** Another connection, for commands that wait for an answer. */
  duplicate(): Redis {
    const other = this.client.duplicate();
    other.on('error', () => {}); // the first connection tells
    return other;
  }

  close(): void {
    this.client.disconnect();
  }
}

/** The first answer of a server: what listens there may be none, and never say a word. */
async function answered(asked: Promise<void>, name: string, onNotice?: (message: string) => void): Promise<void> {
  const seconds = firstAnswerMs / 1000;
  const slow = setTimeout(() => {
    onNotice?.(`${name}: has not answered yet: it is waited for, up to ${seconds} s`);
  }, slowAnswerMs);
  let end: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, fail) => {
    const error = Object.assign(new Error(`no answer within ${seconds} s`), { code: 'ETIMEDOUT' });
    end = setTimeout(() => fail(error), firstAnswerMs);
  });
  try {
    await Promise.race([asked, silence]);
  } finally {
    clearTimeout(slow);
    clearTimeout(end);
  }
}

/** What was asked of a server, which may be away. Throws CANCELLED where it has not answered `graceMs` after an abort. */
export async function unlessStopped<T>(asked: Promise<T>, signal: AbortSignal | undefined, graceMs = 0): Promise<T> {
  if (!signal) return asked;
  let stop = () => {};
  let timer: NodeJS.Timeout | undefined;
  const stopped = new Promise<never>((_, fail) => {
    stop = () => {
      timer = setTimeout(() => fail(new NaanError('CANCELLED', 'cancelled')), graceMs);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([asked, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
    clearTimeout(timer);
  }
}

function parse({ cluster, clusterPassword, clusterPasswordFile, clusterCa }: ClusterAddress) {
  let url: URL;
  try {
    url = new URL(cluster);
  } catch (cause) {
    throw new NaanError('BAD_USAGE', 'cluster: got no address, expected one such as redis://host:6379/0', { cause });
  }
  if (url.password !== '') {
    throw new NaanError(
      'BAD_USAGE',
      'cluster: the address holds a password, which others can see: put it into NAAN_CLUSTER_PASSWORD or --cluster-password-file',
    );
  }
  const password = clusterPasswordFile === undefined ? clusterPassword : readText(clusterPasswordFile).split('\n')[0];
  const secure = url.protocol === 'rediss:';
  if (clusterCa !== undefined && !secure) {
    throw new NaanError('BAD_USAGE', 'cluster-ca: is for an address that begins with rediss://');
  }
  const database = /^\/?(\d*)$/.exec(url.pathname);
  if (!database) throw new NaanError('BAD_USAGE', `cluster: got the database ${url.pathname}, expected a number`);
  const options = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(database[1]),
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(password !== undefined && password !== '' && { password }),
    ...(secure && { tls: clusterCa === undefined ? {} : { ca: readText(clusterCa) } }),
  };
  return { options, name: `${url.protocol}//${url.host}` };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new NaanError('BAD_INPUT', `${path}: cannot be read: ${systemReason(cause) ?? String(cause)}`, { cause });
  }
}

function loadPackages() {
  return Promise.all([import('bullmq'), import('ioredis')]).catch((cause: unknown) => {
    const message =
      'cluster: redis:// needs the optional packages bullmq and ioredis: npm install --ignore-scripts bullmq@6.7.0 ioredis@6.0.0';
    throw new NaanError('BACKEND_UNAVAILABLE', message, { cause });
  });
}

/** Keys that a full server drops would be tasks that nobody computes. */
async function checkPolicy(client: Redis, name: string, onNotice?: (message: string) => void): Promise<void> {
  let memory: string;
  try {
    memory = await client.info('memory');
  } catch {
    onNotice?.(`${name}: does not say what it does when its memory is full: maxmemory-policy must be noeviction`);
    return;
  }
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  if (policy === undefined || policy === 'noeviction') return;
  throw new NaanError(
    'BAD_USAGE',
    `${name}: drops keys when its memory is full (maxmemory-policy ${policy}): set noeviction, as in config/redis/naan.conf`,
  );
}

function refused(name: string, reason: unknown, cause: unknown): unknown {
  if (cause instanceof NaanError) return cause;
  const message = reason instanceof Error ? reason.message : String(reason);
  if (/WRONGPASS|NOAUTH|NOPERM/.test(message)) {
    const advice = 'put the password into NAAN_CLUSTER_PASSWORD or --cluster-password-file';
    return new NaanError('BAD_USAGE', `${name}: refuses this user or password: ${advice}`, { cause });
  }
  const { code } = reason as NodeJS.ErrnoException; // of several addresses that were tried there is no message
  const why = systemReason(reason) ?? (message.replace(/\s+/g, ' ') || code);
  let advice = '';
  if (/SELF_SIGNED|ISSUER_CERT|LEAF_SIGNATURE/.test(code ?? '')) {
    advice = ': give --cluster-ca, the certificates (PEM) of who signed that of the server';
  } else if (/ETIMEDOUT|WRONG_VERSION_NUMBER|ECONNRESET|RESP type|is closed/.test(`${code} ${message}`)) {
    advice = name.startsWith('rediss:')
      ? ': is it a port without TLS, redis://, or is something in between that lets nothing through?'
      : ': is it a port with TLS, rediss://, or of something else than a Redis?';
  }
  return new NaanError('BACKEND_UNAVAILABLE', `${name}: cannot be used: ${why}${advice}`, { cause });
}
