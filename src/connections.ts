/** Whoever connects to a server of naan and says nothing gives way soon: the process needs its file descriptors itself. */
import type { Server } from 'node:http';

const patienceMs = 5000;
const mostConnections = 64;

/** Limits of idle connections, for `createServer`. */
export const idleLimits = {
  headersTimeout: patienceMs,
  requestTimeout: patienceMs,
  keepAliveTimeout: patienceMs,
  connectionsCheckingInterval: 1000,
};

/** Once the server listens: nothing that happens to it ends the process, such as no file descriptor for one more connection. */
export function boundConnections(server: Server): void {
  server.maxConnections = mostConnections;
  server.on('error', () => {});
}
