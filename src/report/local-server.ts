/**
 * A page for one person on this machine: 127.0.0.1 alone, behind a random token in the address. A request that names another
 * host is refused, so a page of a stranger cannot reach it by a name of its own (DNS rebinding), and so is a change that
 * another page asks for.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { boundConnections, idleLimits } from '../connections.js';
import { NaanError } from '../errors.js';
import { parseJson } from '../io/json.js';

export interface Answer {
  readonly status?: number;
  readonly type: string;
  readonly body: string | Buffer;
}

/** `path`: behind the token. `body`: JSON of a POST. */
export type Handler = (request: {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}) => Promise<Answer | undefined>;

export interface LocalServer {
  /** The address of the page, with its token. */
  readonly url: string;
  close(): void;
}

const mostBytes = 2 ** 24;
const headers = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Port 0 takes any free one. Throws BAD_USAGE when the port is taken or not allowed. */
export async function serveLocally(port: number, handle: Handler): Promise<LocalServer> {
  const token = randomBytes(24).toString('base64url');
  const server = createServer({ ...idleLimits, requestTimeout: 30_000 }, async (request, response) => {
    try {
      send(response, (await answer(request, token, handle)) ?? notFound);
    } catch (error) {
      const status = error instanceof NaanError ? 409 : 500;
      send(response, { status, type: 'text/plain', body: error instanceof Error ? error.message : String(error) });
    }
  });
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'it is in use' : (cause as Error).message;
    throw new NaanError('BAD_USAGE', `port ${port}: ${reason}, expected a free one (0 takes any)`, { cause });
  }
  boundConnections(server);
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${taken}/${token}/`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const notFound: Answer = { status: 404, type: 'text/plain', body: 'Not found.\n' };
const refused: Answer = { status: 403, type: 'text/plain', body: 'Refused.\n' };

async function answer(request: IncomingMessage, token: string, handle: Handler): Promise<Answer | undefined> {
  const { method } = request;
  const host = `127.0.0.1:${request.socket.localPort}`;
  if (request.headers.host !== host) return refused;
  const url = new URL(request.url ?? '/', `http://${host}`);
  const [, given = '', ...rest] = url.pathname.split('/');
  const [expected, got] = [Buffer.from(token), Buffer.from(given)];
  if (expected.length !== got.length || !timingSafeEqual(expected, got)) return refused;
  if (method !== 'GET' && method !== 'POST') return { ...refused, status: 405 };
  let body: unknown;
  if (method === 'POST') {
    const { origin, 'content-type': type } = request.headers;
    if (origin !== `http://${host}` || type !== 'application/json') return refused;
    body = parseJson(await read(request));
  }
  return handle({ method, path: rest.join('/'), query: url.searchParams, body });
}

async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > mostBytes) throw new NaanError('BAD_INPUT', `a request has more than ${mostBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function send(response: ServerResponse, { status = 200, type, body }: Answer): void {
  response.writeHead(status, { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
