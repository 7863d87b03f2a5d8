/**
 * A search for neighbours whose ranks (`knn/shares.ts`) are taken by workers that come and go. The coordinator, which is
 * `naan knn --cluster redis://…`, is rank 0; the others are tasks in a queue, a rank each. Who takes a rank goes on with what its
 * folder holds, so that another worker can follow one that died. Ranks wait for one another, so there must be a worker for each.
 */
import { resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { WorkDir } from '../engine/work-dir.js';
import { runOf } from '../engine/work-dir.js';
import { identityOfInput } from '../io/digest.js';
import { findFeatures } from '../io/features.js';
import { readOwner } from '../io/folder-lock.js';
import type { FeatureLocation } from '../io/matrix.js';
import { type FindKnnOptions, type FoundKnn, findKnn } from '../knn/find.js';
import { cellStages } from '../knn/ivf.js';
import type { KnnWork } from '../knn/kept-lists.js';
import { ownArithmetic } from '../machines/arithmetic.js';
import { checkAgrees } from '../machines/manifest.js';
import { type Announcement, QueueSpread } from '../machines/queue.js';
import { checkFolder, lookMs, serveRun } from '../machines/queue-worker.js';
import { folderOfRank } from '../machines/ranks.js';
import { Cluster, type ClusterAddress } from '../machines/redis.js';
import type { CoordinatorObserver } from '../machines/task-observer.js';
import type { ProgressEvent, ProgressListener } from '../progress.js';
import { version } from '../version.js';
import type { WorkerOptions } from './worker.js';

export interface HiredRanks extends ClusterAddress {
  /** Processes that share the search, this one counted. */
  readonly ranks: number;
  /** As the feature file was told to be read. */
  readonly dim?: number | undefined;
  readonly observer?: CoordinatorObserver | undefined;
}

/** What workers are told of a search. */
interface SearchTask extends Pick<FindKnnOptions, 'k' | 'minRecall' | 'duplicates' | 'badRows'> {
  readonly features: string;
  readonly dim?: number | undefined;
  readonly ranks: number;
}

/** Workers have done their part when the graph is written, and say so soon. */
const answerMs = 10_000;

/**
 * `findKnn` with workers for the ranks behind the first. Throws as it does, as `Cluster.open`, the error of a rank that cannot be
 * computed, CANCELLED after `naan cancel`, and LOCK_LOST when another coordinator has started the search anew.
 */
export async function findKnnByWorkers(
  source: FeatureLocation,
  options: FindKnnOptions & { readonly work: KnnWork },
  { ranks, dim, observer, ...address }: HiredRanks,
): Promise<FoundKnn> {
  const cluster = await Cluster.open({ ...address, signal: options.signal });
  const { work, onNotice, k, minRecall, duplicates, badRows } = options;
  const onProgress = progressOfRanks(ranks, options.onProgress);
  const task: SearchTask = { features: resolve(work.features), dim, k, minRecall, duplicates, badRows, ranks };
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  let spread: QueueSpread | undefined;
  let answered: Promise<unknown> | undefined;
  let failure: unknown;
  const onOpen = async (own: WorkDir) => {
    const { header } = own;
    const announcement = {
      naan: version,
      job: 'knn' as const,
      run: runOf(header),
      workDir: resolve(work.path),
      options: { ...task },
      identity: header.identity,
    };
    const epochs = { last: own.epoch, note: (epoch: number) => own.noteEpoch(epoch) };
    spread = await QueueSpread.start(cluster, announcement, epochs, { signal, onNotice, observer });
    const shards = Array.from({ length: ranks - 1 }, (_, i) => ({ index: i + 1, start: i + 1, end: i + 2 }));
    answered = spread
      .handOut({ stage: { name: 'rank', round: 0 }, shards, done: new Map(), record() {}, elsewhere() {}, onProgress })
      .catch((error: unknown) => {
        failure = error;
        stop.abort();
      });
  };
  try {
    const share = { rank: 0, ranks, onOpen };
    const own = (event: ProgressEvent) => onProgress(0, event);
    const found = await findKnn(source, { ...options, signal, onProgress: own, work: { ...work, share } });
    await Promise.race([answered, wait(answerMs, undefined, { ref: false })]);
    return found;
  } catch (error) {
    throw failure !== undefined && !options.signal?.aborted ? failure : error;
  } finally {
    stop.abort();
    if (spread) await spread.close();
    else cluster.close();
  }
}

/**
 * Makes one progress of that of all ranks, by rank. They wait for one another, so all are in the stage of the hindmost: whoever is beyond it has
 * done its part, and who has not been heard of has done nothing.
 */
export function progressOfRanks(ranks: number, onProgress: ProgressListener = () => {}) {
  const events = new Map<number, ProgressEvent>();
  return (rank: number, event: ProgressEvent): void => {
    if (!cellStages.includes(event.stage)) {
      onProgress(event); // an exact search, which rank 0 makes
      return;
    }
    events.set(rank, event);
    const stageOf = (of: number) => Math.max(0, cellStages.indexOf(events.get(of)?.stage ?? ''));
    const all = Array.from({ length: ranks }, (_, of) => of);
    const stage = Math.min(...all.map(stageOf));
    let [done, from] = [0, 0];
    for (const of of all) {
      const there = stageOf(of) === stage ? events.get(of) : undefined;
      done += there ? there.done / there.total : Number(stageOf(of) > stage);
      from += there?.from ? there.from / there.total : 0;
    }
    const { total, unit } = event;
    const rows = (parts: number) => Math.floor((parts / ranks) * total);
    onProgress({ stage: cellStages[stage], done: rows(done), total, unit, ...(from > 0 && { from: rows(from) }) });
  };
}

/** Takes ranks of a search that was announced, one after the other. Resolves and throws as `serveRun`, and as a worker of `label`. */
export async function takeRanks(
  cluster: Cluster,
  announcement: Announcement,
  { threads, memory, signal, onNotice, timing, observer }: WorkerOptions,
): Promise<void> {
  const { run, epoch, workDir, identity } = announcement;
  const { features, dim, ranks, ...search } = announcement.options as unknown as SearchTask;
  await checkFolder(announcement, folderOfRank(workDir, 0), signal);
  const own = { features: await identityOfInput(features), arithmetic: await ownArithmetic('pairwise', signal) };
  checkAgrees('the coordinator', { ...identity, ...own }, announcement);
  const location = await findFeatures(features, { dim });
  const over = new AbortController();
  const stopped = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const take = async (rank: number, onProgress: ProgressListener) => {
    // Another worker that was taken for dead may still be at it.
    while ((await readOwner(folderOfRank(workDir, rank)))?.state === 'working') {
      await wait(lookMs, undefined, { signal: stopped });
    }
    onNotice?.(`takes rank ${rank} of ${ranks}`);
    let bytes = 0;
    const onWritten = (more: number) => {
      bytes += more;
    };
    const work = { path: workDir, features, share: { rank, ranks, onWritten } };
    await findKnn(location, { ...search, threads, memory, signal: stopped, onNotice, onProgress, work });
    return { left: [], bytes };
  };
  onNotice?.(`works for run ${run} (epoch ${epoch}) in ${workDir}`);
  await serveRun(cluster, announcement, {
    folder: folderOfRank(workDir, 0),
    threads: 1,
    signal,
    onNotice,
    observer,
    timing,
    onOver: () => over.abort(),
    async compute({ shard: { index } }, onProgress) {
      try {
        return await take(index, onProgress);
      } catch (error) {
        if (over.signal.aborted && !signal?.aborted) return undefined;
        throw error;
      }
    },
  });
  if (!signal?.aborted) onNotice?.(`run ${run} (epoch ${epoch}) is over`);
}
