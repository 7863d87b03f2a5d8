/**
 * A run on several machines that come and go: a coordinator, which is `naan label --cluster redis://…`, puts the shards of a
 * stage into a BullMQ queue, and workers compute them into segments in the work directory, which all of them see; `naan knn` puts
 * the ranks of a search there, which workers take (`jobs/knn-ranks.ts`). The journal in the work directory is the truth. Redis
 * holds what is to be done next, and is filled again when it was emptied.
 *
 * An *announcement* tells workers of the run. The coordinator raises its *epoch* each time that it starts; a queue belongs to
 * one epoch, workers leave for the newer one, and a coordinator that sees a newer one stops. Answers go to a list that the
 * coordinator pops: who computed a shard twice answers twice, and the first answer whose segments are there counts.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Stage } from '../engine/head.js';
import type { Shard } from '../engine/job.js';
import type { LeftByShard, Spread, SpreadStage } from '../engine/spread.js';
import { type ErrorCode, NaanError } from '../errors.js';
import { isObject, parseJson } from '../io/json.js';
import { featureRows, type RangeCheck } from '../memory/file-writes.js';
import { isWholeSegment, patienceMs } from '../memory/segments.js';
import type { ProgressEvent } from '../progress.js';
import { mayPass } from '../system-error.js';
import { isLeft, type Manifest, writeManifest } from './manifest.js';
import { type Cluster, keyPrefix, unlessStopped } from './redis.js';
import type { CoordinatorObserver, TaskResult } from './task-observer.js';

/** Everything that workers must know of a run to compute its shards. */
export interface Announcement {
  readonly naan: string;
  readonly job: 'label' | 'knn';
  /** Digest of the first entry of the journal: who sees another folder sees another run. */
  readonly run: string;
  readonly epoch: number;
  readonly workDir: string;
  /** Options of the command on which results depend, with absolute paths. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly identity: Manifest['identity'];
  /** Somebody wants the run to stop. */
  readonly cancelled?: boolean;
  /** The labels are written, or the coordinator was stopped. */
  readonly ended?: boolean;
}

/** Plain data of a job in the queue. */
export interface QueuedTask {
  readonly stage: string;
  readonly round: number;
  readonly shard: Shard;
  /** Lists of what the stages before it have left, in order. */
  readonly manifests: readonly string[];
}

/** What a task has left. */
export interface Computed {
  readonly left: readonly RangeCheck[];
  /** Bytes of all segments that it wrote, those included that the coordinator need not know of. */
  readonly bytes: number;
}

export type Answer =
  | (Computed & {
      readonly stage: string;
      readonly round: number;
      readonly shard: number;
      /** Seconds that the worker spent on it. */
      readonly seconds: number;
    })
  | { readonly failed: string; readonly code?: ErrorCode }
  /** The name of a worker that stops of its own accord. */
  | { readonly leaves: string };

/** What is handed out at once. */
export type Handout = Pick<SpreadStage, 'shards' | 'done' | 'record' | 'elsewhere'> & {
  readonly stage: Pick<Stage, 'name' | 'round'>;
  /** Hears now and then how far workers are with a shard that takes long. */
  onProgress?(shard: number, event: ProgressEvent): void;
};

interface QueueOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
  readonly observer?: CoordinatorObserver | undefined;
}

const attempts = 3;
const lookMs = 2000;
const noticeMs = 60_000;
const endedSeconds = 3600;

const runsKey = `${keyPrefix}:runs`;
const runKey = (run: string) => `${keyPrefix}:run:${run}`;
export const queueName = ({ run, epoch }: Announcement) => `${run}-${epoch}`;
export const answersKey = (announcement: Announcement) => `${keyPrefix}:answers:${queueName(announcement)}`;

/** The announcement of a run; undefined where there is none. */
export async function readAnnouncement({ client }: Cluster, run: string): Promise<Announcement | undefined> {
  const text = await client.get(runKey(run));
  const found = text === null ? undefined : parseJson(text);
  return isObject(found) ? (found as unknown as Announcement) : undefined;
}

/** Runs that want workers. */
export async function announcedRuns(cluster: Cluster): Promise<Announcement[]> {
  const runs = (await cluster.client.smembers(runsKey)).sort();
  const found = await Promise.all(runs.map((run) => readAnnouncement(cluster, run)));
  return found.filter((one) => one !== undefined && !one.ended && !one.cancelled) as Announcement[];
}

/** Asks the coordinator and the workers of a run to stop. Returns whether the run was announced. */
export async function cancelRun(cluster: Cluster, run: string): Promise<boolean> {
  const announcement = await readAnnouncement(cluster, run);
  if (!announcement || announcement.ended) return false;
  await end(cluster, { ...announcement, cancelled: true });
  return true;
}

/** The coordinator's half. */
export class QueueSpread implements Spread {
  private readonly manifests: string[] = [];
  private readonly queue: Queue<QueuedTask>;
  private readonly answers: Redis;
  private lookedAt = 0;
  private toldAt = 0;
  /** Names of connected workers; undefined where Redis does not say. */
  private workers: ReadonlySet<string> | undefined;
  /** Workers that have said that they leave, and those that were not there when looked for once. */
  private readonly leaving = new Set<string>();
  private missing: ReadonlySet<string> = new Set();

  private constructor(
    private readonly cluster: Cluster,
    private readonly announcement: Announcement,
    private readonly signal: AbortSignal | undefined,
    private readonly onNotice: (message: string) => void,
    private readonly observer: CoordinatorObserver | undefined,
  ) {
    const { Queue } = cluster.bullmq;
    this.queue = new Queue(queueName(announcement), { connection: cluster.connection, prefix: keyPrefix });
    this.queue.on('error', () => {}); // the first connection tells
    this.answers = cluster.duplicate();
  }

  /** Announces a run. `epochs`: the highest that the journal knows, and to note a higher one there. */
  static async start(
    cluster: Cluster,
    announcement: Omit<Announcement, 'epoch'>,
    epochs: { readonly last: number; note(epoch: number): Promise<void> },
    { signal, onNotice = () => {}, observer }: QueueOptions,
  ): Promise<QueueSpread> {
    const before = await unlessStopped(readAnnouncement(cluster, announcement.run), signal);
    const epoch = Math.max(epochs.last, before?.epoch ?? 0) + 1;
    await epochs.note(epoch);
    if (before) await unlessStopped(removeQueue(cluster, before), signal);
    const spread = new QueueSpread(cluster, { ...announcement, epoch }, signal, onNotice, observer);
    await unlessStopped(spread.announce(), signal);
    return spread;
  }

  async run(stage: SpreadStage): Promise<LeftByShard> {
    const left = await this.handOut(stage);
    await stage.flush();
    const { name, round } = stage.stage;
    const { workDir, identity, epoch } = this.announcement;
    this.manifests.push(await writeManifest(workDir, epoch, { identity, stage: name, round, left }));
    return left;
  }

  /** Resolves, when workers have computed all shards that are missing, with what these left. Throws the error of one that cannot be computed. */
  async handOut(stage: Handout): Promise<LeftByShard> {
    const { name, round } = stage.stage;
    const { workDir } = this.announcement;
    const left = new Map(stage.done);
    const missing = new Map(stage.shards.filter(({ index }) => !left.has(index)).map((shard) => [shard.index, shard]));
    const tries = new Map<number, number>();
    const add = async () => {
      const jobs = [...missing.values()].map((shard) => ({
        name,
        data: { stage: name, round, shard, manifests: this.manifests },
        opts: {
          jobId: `${name}-${round}-${shard.index}-${tries.get(shard.index) ?? 0}`,
          attempts,
          removeOnComplete: true,
          removeOnFail: true,
        },
      }));
      await this.ofRedis(this.queue.addBulk(jobs));
    };
    if (missing.size > 0) await add();
    while (missing.size > 0) {
      const answer = await this.next();
      if (answer === undefined) {
        if ((await this.look()) < missing.size) await add();
        if (stage.onProgress) await this.hearProgress(stage.onProgress);
        continue;
      }
      if (performance.now() - this.lookedAt > lookMs) await this.look();
      if ('leaves' in answer) {
        this.leaving.add(answer.leaves);
        continue;
      }
      if ('failed' in answer) {
        this.observer?.task({ stage: name, result: 'failed', seconds: 0, bytes: 0 });
        throw new NaanError(answer.code ?? 'SHARD_FAILED', answer.failed);
      }
      const { shard } = answer;
      const tell = (result: TaskResult) => {
        this.observer?.task({ stage: answer.stage, result, seconds: answer.seconds, bytes: answer.bytes });
      };
      if (answer.stage !== name || answer.round !== round || !missing.has(shard)) {
        tell('repeated');
        continue;
      }
      if (!(await this.areWhole(workDir, answer.left))) {
        tell('failed');
        this.onNotice(`stage '${name}', shard ${shard}: what a worker has left is not there: it is computed again`);
        tries.set(shard, (tries.get(shard) ?? 0) + 1);
        await add();
        continue;
      }
      tell('done');
      missing.delete(shard);
      stage.record(shard, answer.left);
      left.set(shard, answer.left);
      stage.elsewhere(shard);
    }
    return left;
  }

  /** No more shards will be asked for. */
  async close(): Promise<void> {
    const tidy = async () => {
      const current = await readAnnouncement(this.cluster, this.announcement.run);
      if (current?.epoch !== this.announcement.epoch) return;
      await end(this.cluster, { ...this.announcement, cancelled: current.cancelled ?? false, ended: true });
      await removeQueue(this.cluster, this.announcement);
    };
    await Promise.race([tidy().catch(() => undefined), wait(lookMs, undefined, { ref: false })]);
    this.answers.disconnect();
    await Promise.race([this.queue.close().catch(() => undefined), wait(lookMs, undefined, { ref: false })]);
    this.cluster.close();
  }

  private async announce(): Promise<void> {
    const { client } = this.cluster;
    const { run } = this.announcement;
    await client.multi().set(runKey(run), JSON.stringify(this.announcement)).sadd(runsKey, run).exec();
  }

  /** The next answer; undefined where none came for a while. Throws CANCELLED. */
  private async next(): Promise<Answer | undefined> {
    const popped = await this.ofRedis(this.answers.blpop(answersKey(this.announcement), 1));
    return popped ? answerOf(popped[1]) : undefined;
  }

  /**
   * Looks at how the run stands in Redis: how many jobs are waiting or being worked on. Throws CANCELLED, and LOCK_LOST when a
   * newer coordinator has announced the run.
   */
  private async look(): Promise<number> {
    const { run, epoch } = this.announcement;
    this.lookedAt = performance.now();
    const now = await this.ofRedis(readAnnouncement(this.cluster, run));
    if (now === undefined) {
      this.onNotice(`${this.cluster.name}: was emptied: its tasks are handed out anew`);
      await this.ofRedis(this.announce());
    } else if (now.epoch > epoch) {
      throw new NaanError(
        'LOCK_LOST',
        `another coordinator has started this run anew (epoch ${now.epoch}, here ${epoch})`,
      );
    } else if (now.cancelled) throw new NaanError('CANCELLED', 'cancelled by naan cancel: the same command goes on');
    const counts = await this.ofRedis(this.queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized'));
    await this.tellOfWorkers();
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const { active } = counts;
    this.observer?.queue({ waiting: all - active, active, workers: this.workers?.size });
    return all;
  }

  private async hearProgress(onProgress: NonNullable<Handout['onProgress']>): Promise<void> {
    for (const { data, progress } of await this.ofRedis(this.queue.getActive())) {
      if (isProgress(progress)) onProgress(data.shard.index, progress);
    }
  }

  /** A worker is lost when it is twice not there and has not said that it leaves: after an outage of Redis they all connect anew. */
  private async tellOfWorkers(): Promise<void> {
    const found = await this.ofRedis(this.queue.getWorkers().catch(() => undefined));
    // Where Redis lists no connections, each entry is without a name.
    const named = found?.every(({ rawname }) => rawname !== undefined);
    if (!found || !named) return;
    const now = new Set(found.map(({ rawname }) => rawname.slice(rawname.indexOf(':w:') + ':w:'.length)));
    const before = this.workers ?? new Set();
    const count = `${now.size} ${now.size === 1 ? 'worker' : 'workers'}`;
    if (now.size !== before.size) this.onNotice(`${count}, before ${before.size}`);
    else if (now.size === 0 && performance.now() - this.toldAt > noticeMs) {
      this.toldAt = performance.now();
      this.onNotice(`no worker is there: start naan worker --cluster ${this.cluster.name}`);
    }
    const lost = [...this.missing].filter((name) => !now.has(name) && !this.leaving.has(name));
    for (const name of lost) this.onNotice(`worker ${name} is lost: it was killed, or cannot reach Redis`);
    if (lost.length > 0) this.observer?.lost(lost.length);
    this.missing = new Set([...before].filter((name) => !now.has(name)));
    this.workers = now;
  }

  /** True when all segments of an answer are there. A name that was just made may not be seen here at once. */
  private async areWhole(folder: string, left: readonly RangeCheck[]): Promise<boolean> {
    for (const check of left) {
      if (check.file === featureRows) continue;
      const path = join(folder, check.file);
      for (let waited = 0; !hasBytes(path); waited += 100) {
        if (waited >= patienceMs) return false;
        await wait(100, undefined, { signal: this.signal });
      }
      if (!isWholeSegment(folder, check)) return false;
    }
    return true;
  }

  /** Waits for Redis, unless the run is to stop. */
  private async ofRedis<T>(asked: Promise<T>): Promise<T> {
    const { signal } = this;
    asked.then(
      () => this.observer?.contact(),
      () => undefined,
    );
    return unlessStopped(asked, signal);
  }
}

function answerOf(text: string): Answer | undefined {
  const found = parseJson(text);
  if (!isObject(found)) return undefined;
  if (typeof found.failed === 'string' || typeof found.leaves === 'string') return found as unknown as Answer;
  const { stage, round, shard, left, seconds, bytes } = found;
  if (typeof stage !== 'string' || !Number.isSafeInteger(round) || !Number.isSafeInteger(shard)) return undefined;
  if (typeof seconds !== 'number' || !(seconds >= 0)) return undefined;
  if (typeof bytes !== 'number' || !(bytes >= 0)) return undefined;
  return Array.isArray(left) && left.every(isLeft) ? (found as unknown as Answer) : undefined;
}

/** False for a file that is not there yet, or away. */
function hasBytes(path: string): boolean {
  try {
    return statSync(path).size > 0;
  } catch (error) {
    if (mayPass(error)) return false;
    throw error;
  }
}

function isProgress(found: unknown): found is ProgressEvent {
  if (!isObject(found)) return false;
  const { stage, done, total, unit } = found;
  return typeof stage === 'string' && typeof unit === 'string' && Number(done) >= 0 && Number(total) > 0;
}

/** Bytes of the segments among what a task has left. */
export function bytesOf(left: readonly RangeCheck[]): number {
  return left.reduce((sum, { file, length }) => (file === featureRows ? sum : sum + length), 0);
}

async function end({ client }: Cluster, announcement: Announcement): Promise<void> {
  const { run } = announcement;
  await client.multi().set(runKey(run), JSON.stringify(announcement), 'EX', endedSeconds).srem(runsKey, run).exec();
}

async function removeQueue(cluster: Cluster, announcement: Announcement): Promise<void> {
  const queue = new cluster.bullmq.Queue(queueName(announcement), {
    connection: cluster.connection,
    prefix: keyPrefix,
  });
  queue.on('error', () => {});
  await queue.obliterate({ force: true }).catch(() => undefined);
  await queue.close();
  await cluster.client.del(answersKey(announcement));
}
