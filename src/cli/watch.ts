/** Whoever watches a run without a terminal: Prometheus, by asking or by a file or a Pushgateway, and a file of its progress. */

import { writeJson } from '../io/output-file.js';
import { checkOutputs, isOurJson } from '../io/outputs.js';
import type { RunMetrics } from '../metrics/run-metrics.js';
import { flagName } from '../options/names.js';
import type { Option, Options } from '../options/option.js';
import { type ProgressEvent, StageTimes } from '../progress.js';
import { version } from '../version.js';
import type { Ending, StderrLog } from './log.js';
import { paceOf, percentOf } from './progress.js';

export interface WatchOptions {
  readonly metricsPort?: number | undefined;
  readonly metricsHost?: string | undefined;
  readonly metricsFile?: string | undefined;
  readonly metricsPush?: string | undefined;
  readonly progressFile?: string | undefined;
  readonly overwrite?: boolean | undefined;
}

export interface Watch {
  /** Undefined when nobody watches by metrics. */
  readonly metrics: RunMetrics | undefined;
  progress(event: ProgressEvent): void;
  end(ending: Ending): Promise<void>;
}

/**
 * Starts what was asked for. `values` and `options`: all of the command, whose other files must not be replaced. Throws BAD_USAGE
 * for a port that is taken, and for a file that is not ours to write.
 */
export async function startWatch(
  command: string,
  values: WatchOptions & Readonly<Record<string, unknown>>,
  options: Options,
  log: StderrLog,
): Promise<Watch> {
  const { metricsPort, metricsHost, metricsFile, metricsPush, progressFile } = values;
  if (metricsHost !== undefined && metricsPort === undefined) {
    log.warn('metrics-host: not used, as there is no --metrics-port');
  }
  if (progressFile !== undefined) await checkFile('progressFile', progressFile, isOurJson, values, options);
  const ended: ((ending: Ending) => Promise<void>)[] = [];
  let metrics: RunMetrics | undefined;
  if (metricsPort !== undefined || metricsFile !== undefined || metricsPush !== undefined) {
    // Loaded when asked for, so that a run that nobody watches starts sooner.
    const [{ RunMetrics }, { KeptMetrics, isOurMetrics }] = await Promise.all([
      import('../metrics/run-metrics.js'),
      import('../metrics/keep.js'),
    ]);
    const started = new RunMetrics(command);
    metrics = started;
    if (metricsFile !== undefined) {
      await checkFile('metricsFile', metricsFile, isOurMetrics, values, options);
      if (!metricsFile.endsWith('.prom')) {
        log.warn(`metrics-file: ${metricsFile}: node_exporter reads only files whose name ends in .prom`);
      }
    }
    if (metricsPort !== undefined) {
      const { serveMetrics, isLoopback } = await import('../metrics/server.js');
      const server = await serveMetrics(started.registry, metricsPort, metricsHost);
      if (metricsHost !== undefined && !isLoopback(metricsHost)) {
        log.warn(`metrics-host: whoever reaches ${metricsHost} can read the metrics; there is no password`);
      }
      log.tell(`metrics at ${server.url}`);
      ended.push(async () => server.close());
    }
    const kept =
      metricsFile !== undefined || metricsPush !== undefined
        ? new KeptMetrics(started.registry, { file: metricsFile, push: metricsPush, onFailure: log.warn })
        : undefined;
    ended.unshift(async ({ exitCode, error }) => {
      // A worker works until it is stopped: that is no failure.
      started.end(exitCode === 0 || (command === 'worker' && error === undefined));
      await kept?.end();
    });
  }
  const kept = progressFile === undefined ? undefined : new ProgressFile(progressFile, command, log);
  if (kept) ended.push((ending) => kept.end(ending));
  return {
    metrics,
    progress(event) {
      metrics?.progress(event);
      kept?.update(event);
    },
    async end(ending) {
      for (const end of ended) await end(ending);
    },
  };
}

/** A file that is written while the command runs must not be one that it reads or writes otherwise. */
async function checkFile(
  name: string,
  path: string,
  isOurs: (path: string) => boolean | Promise<boolean>,
  values: WatchOptions & Readonly<Record<string, unknown>>,
  options: Options,
): Promise<void> {
  const others = Object.entries<Option>(options).filter(([other, { unit }]) => other !== name && /^files?$/.test(unit));
  const files = Object.fromEntries(others.map(([other]) => [flagName(other).slice(2), values[other]]));
  const file = { name: flagName(name).slice(2), path, isOurs, otherwise: 'naan did not write it' };
  await checkOutputs([file], files, values.overwrite);
}

const intervalMs = 1000;

/** The state of the run, as JSON that is whole at any moment: `state` is running, done, failed or interrupted. */
class ProgressFile {
  private readonly started = new Date().toISOString();
  private readonly stages = new StageTimes();
  private stageStart = 0;
  private latest: ProgressEvent | undefined;
  private written = Number.NEGATIVE_INFINITY;
  private writing: Promise<void> | undefined;
  private told = false;

  constructor(
    private readonly path: string,
    private readonly command: string,
    private readonly log: StderrLog,
  ) {
    this.write('running');
  }

  update(event: ProgressEvent): void {
    const now = performance.now();
    if (this.stages.update(event)) this.stageStart = now;
    this.latest = event;
    if (this.writing || now - this.written < intervalMs) return;
    this.write('running');
  }

  async end({ exitCode, error }: Ending): Promise<void> {
    this.stages.end();
    await this.writing;
    this.latest = undefined;
    const state = exitCode === 0 ? 'done' : exitCode > 128 ? 'interrupted' : 'failed';
    this.write(state, { exitCode, ...(error && { error }) });
    await this.writing;
  }

  private write(state: string, more: object = {}): void {
    this.written = performance.now();
    const { latest } = this;
    const pace = latest && paceOf(latest, (this.written - this.stageStart) / 1000);
    const position = latest && {
      stage: latest.stage,
      done: latest.done,
      total: latest.total,
      unit: latest.unit,
      percent: percentOf(latest),
      ...(pace && { secondsLeft: Math.round(pace.secondsLeft) }),
    };
    const content = {
      naan: version,
      command: this.command,
      pid: process.pid,
      state,
      started: this.started,
      updated: new Date().toISOString(),
      ...position,
      stageSeconds: this.stages.seconds(),
      ...more,
    };
    this.writing = writeJson(this.path, content)
      .catch((error: Error) => {
        if (!this.told) this.log.warn(`progress-file: ${error.message}: the run goes on, and it is tried again`);
        this.told = true;
      })
      .finally(() => {
        this.writing = undefined;
      });
  }
}
