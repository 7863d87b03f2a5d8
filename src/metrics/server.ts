import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { boundConnections, idleLimits } from '../connections.js';
import { NaanError } from '../errors.js';

export interface MetricsServer {
  readonly url: string;
  close(): void;
}

const loopback = '127.0.0.1';

/** Whether only processes of this machine reach what is served there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Serves the registry at http://HOST:PORT/metrics, on the loopback device unless told otherwise; port 0 takes any free one. The
 * server alone does not keep the process alive, and nothing that happens to it ends the run. Throws BAD_USAGE when the port is
 * taken or not allowed, or the host is no address of this machine.
 */
export async function serveMetrics(registry: Registry, port: number, host = loopback): Promise<MetricsServer> {
  const server = createServer(idleLimits, async (request, response) => {
    const path = request.url?.split('?')[0];
    if (path !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found. Metrics are at /metrics.\n');
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else {
      await answer(registry, request, response);
    }
  });
  server.listen(port, host).unref();
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new NaanError('BAD_USAGE', `metrics cannot be served on ${inUrl(host)}:${port}: ${reason(cause)}`, { cause });
  }
  boundConnections(server);
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${inUrl(host)}:${taken}/metrics`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(registry: Registry, { method }: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const body = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType, 'content-length': Buffer.byteLength(body) });
    response.end(method === 'HEAD' ? undefined : body);
  } catch (error) {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`Metrics cannot be read: ${error}\n`);
  }
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'the port is in use, expected a free one (0 takes any)';
  if (code === 'EACCES') return 'the port is not allowed, expected one above 1023 (0 takes any)';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'the host is no address of this machine';
  return message;
}
