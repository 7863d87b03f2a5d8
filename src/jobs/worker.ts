/** A worker of runs that are shared by a queue: computes shards for whoever announces a run, until it is stopped. */

import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isKept, type Stage } from '../engine/head.js';
import { ScoringRun } from '../engine/scoring-run.js';
import type { LeftByShard } from '../engine/spread.js';
import { featuresOf } from '../engine/usable-rows.js';
import { NaanError } from '../errors.js';
import { inflate } from '../io/locate-matrix.js';
import { ownArithmetic } from '../machines/arithmetic.js';
import { checkAgrees, listsShards, readManifest } from '../machines/manifest.js';
import { type Announcement, announcedRuns, bytesOf, type Computed, type QueuedTask } from '../machines/queue.js';
import { checkFolder, lookMs, type QueueTiming, serveRun } from '../machines/queue-worker.js';
import { Cluster, type ClusterAddress, unlessStopped } from '../machines/redis.js';
import type { TaskObserver } from '../machines/task-observer.js';
import type { RangeCheck } from '../memory/file-writes.js';
import { patienceMs } from '../memory/segments.js';
import { takeRanks } from './knn-ranks.js';
import { identityOf, prepare, settled } from './label.js';
import { type LabelOptions, planLabel } from './label-plan.js';

export interface WorkerOptions extends ClusterAddress {
  readonly threads?: number | undefined;
  /** Bytes that the process may take; default: most of what is free. */
  readonly memory?: number | undefined;
  /** Runs after which it ends; default: it works until it is stopped. */
  readonly runs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: QueueTiming | undefined;
  readonly observer?: TaskObserver | undefined;
}

export interface WorkerSummary {
  readonly runs: number;
  /** Shards of `label` and ranks of `knn` that were computed. */
  readonly tasks: number;
}

/**
 * Works for one announced run after the other. Resolves when it was stopped, and tasks that were begun have been handed back, or
 * after `runs`. Throws as `Cluster.open`, and BAD_USAGE when this machine differs from the coordinator of a run: in its version, its
 * arithmetic, its inputs or the work directory that it sees.
 */
export async function work(options: WorkerOptions): Promise<WorkerSummary> {
  const { signal, onNotice, observer, runs = Number.POSITIVE_INFINITY } = options;
  const summary = { runs: 0, tasks: 0 };
  let cluster: Cluster | undefined;
  try {
    cluster = await Cluster.open(options);
    onNotice?.(`waits for runs at ${cluster.name}`);
    while (summary.runs < runs && !signal?.aborted) {
      const [announcement] = await unlessStopped(announcedRuns(cluster), signal);
      observer?.contact();
      if (announcement === undefined) {
        await wait(lookMs, undefined, { signal }).catch(() => undefined);
        continue;
      }
      await workFor(cluster, announcement, {
        ...options,
        observer: {
          task(ending) {
            if (ending.result === 'done') summary.tasks++;
            observer?.task(ending);
          },
          contact: () => observer?.contact(),
        },
      });
      summary.runs++;
    }
    return summary;
  } catch (error) {
    if (signal?.aborted) return summary;
    throw error;
  } finally {
    cluster?.close();
  }
}

function workFor(cluster: Cluster, announcement: Announcement, options: WorkerOptions): Promise<void> {
  return announcement.job === 'knn'
    ? takeRanks(cluster, announcement, options)
    : takeShards(cluster, announcement, options);
}

async function takeShards(
  cluster: Cluster,
  announcement: Announcement,
  { threads, memory, signal, onNotice, timing, observer }: WorkerOptions,
): Promise<void> {
  const { run: name, epoch, workDir, options: given } = announcement;
  await checkFolder(announcement, workDir, signal);
  const asked = { ...given, threads, memory, signal, onNotice, workDir, graphCheck: 'skip' } as LabelOptions;
  const planned = await planLabel(asked);
  const features = await inflate(planned.features, planned.memory.parts.features);
  const plan = settled(planned, features);
  const { options, model, head, hops } = plan;
  const { knn = '', shards } = options;
  const { precision } = plan.memory;
  const identity = {
    ...(await identityOf(plan, knn)),
    precision,
    shards,
    arithmetic: await ownArithmetic(model.config.head, signal),
  };
  checkAgrees('the coordinator', identity, announcement);
  const run = new ScoringRun({
    ...options,
    backend: 'native',
    model,
    head,
    hops,
    precision,
    shared: { path: workDir },
  });
  try {
    const { layout, map } = await prepare(run, plan, features, knn, undefined, async (_, todo) => todo());
    await run.open({ features: featuresOf(features, map), layout, uniteFrom: Number.POSITIVE_INFINITY });
    const follower = new StageFollower(run, workDir, signal);
    onNotice?.(`works for run ${name} (epoch ${epoch}) in ${workDir}`);
    await serveRun(cluster, announcement, {
      folder: workDir,
      threads: run.threads,
      signal,
      onNotice,
      observer,
      timing,
      compute: (task) => follower.compute(task),
    });
    if (!signal?.aborted) onNotice?.(`run ${name} (epoch ${epoch}) is over`);
  } finally {
    await run.close();
  }
}

/** Computes tasks of the stages of a run in their order: brings in before what the stages before have left. */
class StageFollower {
  private readonly stages: readonly Stage[];
  /** Shards of each stage that were computed here. */
  private readonly here = new Map<Stage, Set<number>>();
  /** Stages whose results are here. */
  private followed = 0;
  private following: Promise<void> = Promise.resolve();
  private running = 0;
  private onIdle: (() => void) | undefined;

  constructor(
    private readonly run: ScoringRun,
    private readonly folder: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.stages = run.stages;
  }

  /** Undefined when the stage of the task is over. */
  async compute(task: QueuedTask): Promise<Computed | undefined> {
    const number = this.stages.findIndex(({ name, round }) => name === task.stage && round === task.round);
    if (number < 0) throw new NaanError('BAD_USAGE', `the model has no stage '${task.stage}', round ${task.round}`);
    const followed = this.following.then(() => this.follow(number, task.manifests));
    this.following = followed.catch(() => undefined);
    await followed;
    if (this.followed > number) return undefined;
    const stage = this.stages[number];
    const here = this.here.get(stage) ?? new Set();
    this.here.set(stage, here);
    this.running++;
    try {
      const found: RangeCheck[] = [];
      await this.run.compute(stage, [task.shard], (_, left) => void found.push(...left));
      here.add(task.shard.index);
      return { left: found, bytes: bytesOf(found) };
    } finally {
      this.running--;
      if (this.running === 0) this.onIdle?.();
    }
  }

  /** A shard of an earlier stage that still runs would write over what is brought in: it is waited for. */
  private async follow(until: number, manifests: readonly string[]): Promise<void> {
    if (this.followed >= until) return;
    if (this.running > 0) {
      await new Promise<void>((idle) => {
        this.onIdle = idle;
      });
    }
    for (; this.followed < until; this.followed++) {
      const stage = this.stages[this.followed];
      if (!isKept(stage)) await this.run.runStage(stage);
      else {
        const kept = this.stages.slice(0, this.followed).filter(isKept).length;
        const left = await this.leftBy(stage, manifests[kept]);
        await this.run.adopt(stage, left, this.here.get(stage) ?? new Set());
      }
    }
  }

  /** The segments of all shards of a stage, by the list of that name; waits for it. */
  private async leftBy(stage: Stage, name: string): Promise<LeftByShard> {
    const path = join(this.folder, name);
    for (let waited = 0; ; waited += lookMs) {
      const manifest = await readManifest(path);
      if (manifest) {
        const shards = Array.from({ length: this.run.shardCount }, (_, index) => index);
        if (listsShards(manifest.left, stage, shards)) return manifest.left;
        throw new NaanError('BAD_INPUT', `${path}: lists other segments than those of stage '${stage.name}'`);
      }
      if (waited >= patienceMs) {
        throw new NaanError('BAD_INPUT', `${path}: is not there: do all machines see the same folder?`);
      }
      await wait(lookMs, undefined, { signal: this.signal });
    }
  }
}
