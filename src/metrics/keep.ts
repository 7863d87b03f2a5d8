/**
 * Metrics for whoever does not ask: a file for the textfile collector of Prometheus' node_exporter, and a Pushgateway. Both get
 * them when the run begins, every few seconds, and at its end, so that how it ended outlasts it.
 */
import { hostname } from 'node:os';
import type { Registry } from 'prom-client';
import { oneLine } from '../io/messages.js';
import { writeText } from '../io/output-file.js';
import { startsAs } from '../io/outputs.js';

const intervalMs = 5000;
const pushTimeoutMs = 3000;

/** A file that an earlier run has kept its metrics in. */
export const isOurMetrics = startsAs(/^# HELP naan_/);

export interface KeepOptions {
  readonly file?: string | undefined;
  /** Address of a Pushgateway, or of a group there (…/metrics/job/naan/instance/a). */
  readonly push?: string | undefined;
  /** Called once for each way of keeping metrics that fails; the run goes on. */
  readonly onFailure: (message: string) => void;
}

export class KeptMetrics {
  private readonly failed = new Set<string>();
  private readonly timer: NodeJS.Timeout;
  private writing: Promise<void> | undefined;

  constructor(
    private readonly registry: Registry,
    private readonly options: KeepOptions,
  ) {
    this.timer = setInterval(() => this.update(), intervalMs).unref();
    this.update();
  }

  /** Writes once more, what stands at the end. */
  async end(): Promise<void> {
    clearInterval(this.timer);
    await this.writing;
    await this.write();
  }

  private update(): void {
    this.writing ??= this.write().finally(() => {
      this.writing = undefined;
    });
  }

  private async write(): Promise<void> {
    const { file, push } = this.options;
    const text = await this.registry.metrics();
    await Promise.all([
      file !== undefined && this.attempt('metrics-file', () => writeText(file, text)),
      push !== undefined && this.attempt('metrics-push', () => send(push, text)),
    ]);
  }

  private async attempt(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.failed.has(name)) return;
      this.failed.add(name);
      this.options.onFailure(`${name}: ${(error as Error).message}: the run goes on, and it is tried again`);
    }
  }
}

/** Replaces the group. */
async function send(address: string, body: string): Promise<void> {
  const url = groupOf(address);
  const signal = AbortSignal.timeout(pushTimeoutMs);
  // Metrics go where the user said, and nowhere that an answer says.
  const request = {
    method: 'PUT',
    body,
    signal,
    redirect: 'manual',
    headers: { 'content-type': 'text/plain' },
  } as const;
  const response = await fetch(url, request).catch((error: Error) => {
    const cause = error.cause instanceof Error ? error.cause : error;
    throw new Error(`${url}: cannot be reached: ${(cause as NodeJS.ErrnoException).code ?? cause.message}`);
  });
  const reader = response.body?.getReader();
  const start = response.ok ? undefined : await reader?.read();
  await reader?.cancel();
  const [said] = Buffer.from(start?.value ?? [])
    .toString()
    .trim()
    .split('\n');
  if (!response.ok) throw new Error(`${url}: answers ${response.status} ${oneLine(said)}`.trimEnd());
}

function groupOf(address: string): string {
  if (/\/metrics\/job\b/.test(address)) return address;
  return `${address.replace(/\/+$/, '')}/metrics/job/naan/instance/${encodeURIComponent(hostname())}`;
}
