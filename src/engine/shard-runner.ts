/**
 * One worker's half of the engine: takes a (stage, shard) task and walks the shard in tiles. Stages that make the candidate
 * edges are the same for every head; the others are the head's own.
 *
 * A tile is written only after all of it is computed, and is then marked finished; a task that is run again goes on
 * with the next tile. That is what makes stages that replace their input (embed, split) safe to retry.
 */
import { performance } from 'node:perf_hooks';
import type { Stage } from '../execution/counters.js';
import { sortEdges } from '../graph/candidate-edges.js';
import { countReverse, listReverse, type ReverseEdges } from '../graph/reverse-edges.js';
import type { FileCheck } from '../memory/file-writes.js';
import {
  checkCancelled,
  type HeadStage,
  type LabelJob,
  readsFeatures,
  type ShardStage,
  type ShardTask,
  shardOf,
} from './job.js';
import { addRows, featuresAgree, rangeAgrees } from './kept-shards.js';
import { OpenJob } from './open-job.js';

/** The stages of one head, on one thread. */
export interface HeadStages {
  /** What computes. */
  readonly description: { readonly backend: string; readonly simd: string };
  /** Most rows that a tile gathers. */
  readonly localRows: number;
  run(stage: HeadStage, round: number, open: OpenJob, start: number, end: number): Promise<void>;
  /** Brings back what `run` of these nodes leaves in memory, from the files of an earlier process. */
  restore(stage: HeadStage, round: number, open: OpenJob, start: number, end: number): Promise<void>;
  close(): void;
}

/** What a task reports. */
export interface ShardResult {
  /** What computed it. */
  readonly backend: string;
  readonly simd: string;
  /** Checksums of what it wrote to files and, named `features`, of the rows that it read. */
  readonly checks?: readonly FileCheck[];
}

/** What a task of verification reports. */
export interface Verdict {
  /** Whether the ranges agree. */
  readonly ranges: boolean;
  readonly features: boolean;
}

export class ShardRunner {
  private open: OpenJob | undefined;

  constructor(
    private readonly head: HeadStages,
    private readonly worker: number,
  ) {}

  async run({ stage, round, shard, job, restore = false }: ShardTask): Promise<ShardResult> {
    const open = this.openJob(job);
    const { batch, finished } = job;
    // In files no stage writes over what it reads: a shard that failed begins anew, so that its checksums are whole.
    if (open.writes) finished[shard.index] = 0;
    open.writes?.begin(readsFeatures(stage));
    const counted = counterOf(stage);
    for (let start = shard.start + finished[shard.index], end = start; start < shard.end; start = end) {
      checkCancelled(job);
      const began = performance.now();
      end = start + tileSize(shard.end - start, batch);
      await this.tile(stage, round, open, start, end, restore);
      finished[shard.index] = end - shard.start;
      if (counted) open.counters.add(this.worker, counted, end - start);
      open.counters.add(this.worker, 'busySeconds', (performance.now() - began) / 1000);
    }
    const { description } = this.head;
    return open.writes ? { ...description, checks: open.writes.taken() } : description;
  }

  /** Whether files still hold what an earlier process left in them for the shard. Rows are summed for their own shards. */
  verify({ stage, shard: { start, end }, job, verify }: ShardTask): Verdict {
    const open = this.openJob(job);
    const { work, order, nodeCount, finished } = job;
    if (!verify || !work) throw new Error('there is nothing to verify');
    const { ranges, rows, features } = verify;
    const numberOf = (row: number) => (order && readsFeatures(stage) ? order[row] : row);
    for (const sums of rows) {
      addRows(work.path, sums, start, end, (row) => shardOf(numberOf(row), nodeCount, finished.length));
    }
    return {
      ranges: ranges.every((check) => rangeAgrees(work.path, check)),
      features: !features || featuresAgree(open.reader, features),
    };
  }

  private async tile(
    stage: ShardStage,
    round: number,
    open: OpenJob,
    start: number,
    end: number,
    restore: boolean,
  ): Promise<void> {
    const { head } = this;
    const work = (stage: HeadStage) => (restore ? head.restore : head.run).call(head, stage, round, open, start, end);
    switch (stage) {
      case 'countEdges':
        return open.edgeBuilder().count(start, end);
      case 'listEdges':
        return open.edgeBuilder().list(start, end, open.edges().targets);
      case 'sortEdges':
        return sortEdges(open.edges(), start, end);
      case 'countReverse':
        return countReverse(open.edges(), start, end, reverseOf(open).offsets);
      case 'listReverse':
        return listReverse(open.edges(), start, end, reverseOf(open));
      case 'score':
        await work(stage);
        return this.scored(open, round, start, end);
      default:
        return work(stage);
    }
  }

  private scored(open: OpenJob, round: number, start: number, end: number): void {
    const { scores, ...edges } = open.edges();
    open.counters.add(this.worker, 'edgesScored', edges.offsets[end] - edges.offsets[start]);
    if (round < open.job.rounds - 1) return;
    const joined = open.components.uniteEdges(edges, start, end, scores, open.job.uniteFrom);
    open.counters.add(this.worker, 'unions', joined);
  }

  /** A version of a job is opened once; its tasks each carry a copy. */
  private openJob(job: LabelJob): OpenJob {
    if (this.open?.job.version !== job.version) {
      this.head.close();
      this.open?.close();
      this.open = new OpenJob(job, this.head.localRows);
    }
    return this.open;
  }
}

/** As few tiles as hold the rest, of nearly the same size: a small one at the end would cost more than its part. */
function tileSize(rest: number, batch: number): number {
  return Math.ceil(rest / Math.ceil(rest / batch));
}

function reverseOf({ job: { head } }: OpenJob): ReverseEdges {
  if (head.kind !== 'pairwise' || !head.scoring) throw new Error(`head '${head.kind}' has no reverse edges yet`);
  return head.scoring.reverse;
}

/** The stage whose nodes a shard stage counts, if any. */
function counterOf(stage: ShardStage): Stage | undefined {
  switch (stage) {
    case 'countEdges':
    case 'listEdges':
    case 'countReverse':
    case 'listReverse':
    case 'summarise':
    case 'score':
      return undefined;
    case 'sortEdges':
      return 'edges';
    default:
      return stage;
  }
}
