/** A worker's half of a run whose shards are handed out by a queue: takes tasks until the run has ended. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { readWork, runOf } from '../engine/work-dir.js';
import { asNaanError, NaanError } from '../errors.js';
import { patienceMs } from '../memory/segments.js';
import type { ProgressEvent, ProgressListener } from '../progress.js';
import { mayPass } from '../system-error.js';
import {
  type Announcement,
  type Answer,
  answersKey,
  type Computed,
  type QueuedTask,
  queueName,
  readAnnouncement,
} from './queue.js';
import { type Cluster, keyPrefix, unlessStopped } from './redis.js';
import type { TaskObserver } from './task-observer.js';

export interface QueueTiming {
  /** A worker that is silent for so long has lost its task to another. */
  readonly lockMs: number;
  /** The time between two looks for such workers. */
  readonly stalledMs: number;
}

const usualTiming: QueueTiming = { lockMs: 60_000, stalledMs: 30_000 };
/** A task goes to another worker so often before it is given up: workers may die without its fault. */
const mostStalled = 100;
/** The time between two looks at what another machine is to make. */
export const lookMs = 500;
/** A worker that is to stop waits so long for a Redis that is away; what it had begun then goes to others when its locks expire. */
const partingMs = 5000;
/** Redis takes no name with a blank. Containers on the network of one host may have its name, and each a process of the same number. */
const name = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;

export interface ServeOptions {
  /** Where the journal of the run lies. */
  readonly folder: string;
  /** Tasks that are computed at once. */
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
  readonly observer?: TaskObserver | undefined;
  readonly timing?: QueueTiming | undefined;
  /** Called once, when the run is over for this worker, before tasks that were begun are waited for. */
  onOver?(): void;
  /** Computes a task; undefined where nobody needs it any more. */
  compute(task: QueuedTask, onProgress: ProgressListener): Promise<Computed | undefined>;
}

/**
 * Resolves when the run has ended, was cancelled or was started anew by another coordinator, or after an abort, when tasks that were
 * begun have been handed back. Throws the error of a task that this worker cannot compute.
 */
export async function serveRun(cluster: Cluster, announcement: Announcement, options: ServeOptions): Promise<void> {
  const { threads, signal, onNotice, observer, compute, timing = usualTiming } = options;
  const { Worker, WaitingError, UnrecoverableError } = cluster.bullmq;
  const answers = answersKey(announcement);
  const ofRedis = <T>(asked: Promise<T>) => unlessStopped(asked, signal, partingMs);
  const begun = new Set<Promise<unknown>>();
  let failure: NaanError | undefined;
  const worker = new Worker<QueuedTask>(
    queueName(announcement),
    async (job, token) => {
      const began = performance.now();
      const onProgress = latestOnly((event) => job.updateProgress({ ...event }));
      const secondsSoFar = () => (performance.now() - began) / 1000;
      try {
        const computing = outlasting(announcement, options, () => compute(job.data, onProgress));
        begun.add(computing);
        const computed = await computing.finally(() => begun.delete(computing));
        if (computed === undefined) return;
        const { stage, round, shard } = job.data;
        const seconds = secondsSoFar();
        const answer: Answer = { stage, round, shard: shard.index, seconds, ...computed };
        await ofRedis(cluster.client.rpush(answers, JSON.stringify(answer)));
        observer?.task({ stage, result: 'done', seconds, bytes: computed.bytes });
      } catch (error) {
        if (signal?.aborted) {
          await ofRedis(job.moveToWait(token)).catch(() => undefined);
          throw new WaitingError();
        }
        observer?.task({ stage: job.data.stage, result: 'failed', seconds: secondsSoFar(), bytes: 0 });
        const known = asNaanError(error);
        const message = error instanceof Error ? error.message : String(error);
        const isLast = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
        onNotice?.(`${job.id} failed: ${message}`);
        if (!known || known.code === 'SHARD_FAILED') {
          if (isLast)
            await ofRedis(cluster.client.rpush(answers, JSON.stringify({ failed: message } satisfies Answer)));
          throw error;
        }
        // Such an error comes on any machine: a damaged file, a full disk.
        failure ??= known;
        const failed = `${hostname()}: ${message}`;
        await ofRedis(cluster.client.rpush(answers, JSON.stringify({ failed, code: known.code } satisfies Answer)));
        throw new UnrecoverableError(message);
      }
    },
    {
      connection: cluster.connection,
      prefix: keyPrefix,
      name,
      concurrency: threads,
      lockDuration: timing.lockMs,
      stalledInterval: timing.stalledMs,
      maxStalledCount: mostStalled,
    },
  );
  // A connection that is lost comes back; a lock that is lost means that another worker computes the same bytes.
  worker.on('error', () => {});
  try {
    while (failure === undefined && !signal?.aborted) {
      await wait(lookMs, undefined, { signal }).catch(() => undefined);
      const now = await Promise.race([
        readAnnouncement(cluster, announcement.run).catch(() => undefined),
        wait(lookMs, undefined, { ref: false }),
      ]);
      if (now) observer?.contact();
      // One that is missing will be there again: the server was emptied.
      if (now && (now.ended || now.cancelled || now.epoch !== announcement.epoch)) break;
    }
  } finally {
    options.onOver?.();
    const leaves = JSON.stringify({ leaves: name } satisfies Answer);
    const told = await ofRedis(cluster.client.rpush(answers, leaves)).catch(() => undefined);
    if (told === undefined) await Promise.allSettled(begun);
    await worker.close(told === undefined);
  }
  if (failure) throw failure;
}

/**
 * Computes a task and, where that fails by what it reads or writes, once more when the folder of the run is seen: storage that
 * machines share may have been away.
 */
async function outlasting<T>(
  announcement: Announcement,
  { folder, signal, onNotice }: ServeOptions,
  compute: () => Promise<T>,
): Promise<T> {
  try {
    return await compute();
  } catch (error) {
    const known = asNaanError(error);
    if (signal?.aborted || !known || !['NOT_WRITABLE', 'BAD_INPUT', 'SHARD_FAILED'].includes(known.code)) throw error;
    onNotice?.(`${known.message}: it is tried again`);
    await checkFolder(announcement, folder, signal);
    return compute();
  }
}

/** Tells one event at a time, and then the last of those that came meanwhile: while Redis is away not all wait for it. */
function latestOnly(tell: (event: ProgressEvent) => Promise<unknown>): ProgressListener {
  let telling = false;
  let latest: ProgressEvent | undefined;
  const tellAll = async () => {
    telling = true;
    for (let event = latest; event; event = latest) {
      latest = undefined;
      await tell(event).catch(() => undefined);
    }
    telling = false;
  };
  return (event) => {
    latest = event;
    if (!telling) void tellAll();
  };
}

/**
 * Waits until this machine sees the folder with the journal of a run. Throws BAD_USAGE when it sees another run there, or none
 * after a while.
 */
export async function checkFolder(
  { run }: Announcement,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const look = () => {
    try {
      return readWork(folder);
    } catch (error) {
      if (error instanceof NaanError && mayPass(error.cause)) return undefined;
      throw error;
    }
  };
  let found = look();
  for (let waited = 0; !found && waited < patienceMs; waited += lookMs) {
    await wait(lookMs, undefined, { signal });
    found = look();
  }
  if (found && runOf(found.header) === run) return;
  const got = found ? 'another run' : 'no run';
  throw new NaanError('BAD_USAGE', `${folder}: holds ${got} here: all machines must see the folder of the coordinator`);
}
