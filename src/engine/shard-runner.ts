/**
 * One worker's half of the engine: takes a (stage, shard) task and walks the shard in tiles. Stages that make the candidate
 * edges are the same for every head; the others are the head's own.
 *
 * A tile is written only after all of it is computed, and is then marked finished; a task that is run again goes on
 * with the next tile. That is what makes stages that replace their input (embed, split) safe to retry.
 */
import { performance } from 'node:perf_hooks';
import { sortEdges } from '../graph/candidate-edges.js';
import { countReverse, listReverse } from '../graph/reverse-edges.js';
import type { HeadWorker, Stage } from './head.js';
import { checkCancelled, type EdgeStage, edgeStages, type LabelJob, shardOf } from './job.js';
import { featuresAgree, rangeAgrees, sumRows } from './kept-shards.js';
import { messageVersion, type ShardResult, type ShardTask, type Verdict } from './messages.js';
import { OpenJob } from './open-job.js';

export class ShardRunner {
  private open: OpenJob | undefined;
  private readonly last: Stage;

  constructor(
    private readonly head: HeadWorker,
    private readonly stages: readonly Stage[],
    private readonly worker: number,
  ) {
    this.last = stages[stages.length - 1];
  }

  async run(task: ShardTask, job: LabelJob): Promise<ShardResult> {
    const { shard } = task;
    checkVersion(task);
    const open = this.openJob(job);
    const { batch, finished } = job;
    // No stage writes over what it reads in files: a shard that failed starts again, so that its checksums are whole.
    if (open.writes) finished[shard.index] = 0;
    const edges = edgeStages.find((name) => name === task.stage);
    const stage = edges === undefined ? this.stageOf(task) : undefined;
    if (stage) open.begin(stage, shard);
    for (let start = shard.start + finished[shard.index], end = start; start < shard.end; start = end) {
      checkCancelled(job);
      const began = performance.now();
      end = task.segments ? shard.end : start + tileSize(shard.end - start, batch);
      if (edges) this.edgeTile(edges, open, start, end);
      else if (stage) await this.tile(stage, open, start, end, task);
      finished[shard.index] = end - shard.start;
      open.counters.add(this.worker, 'busySeconds', (performance.now() - began) / 1000);
    }
    const { description } = this.head;
    const checks = stage && open.left();
    return checks ? { ...description, checks } : description;
  }

  /** Whether files still hold what an earlier process left in them for the shard. Rows are summed for their own shards. */
  verify(task: ShardTask, job: LabelJob): Verdict {
    const began = performance.now();
    checkVersion(task);
    const { verify } = task;
    const { start, end } = task.shard;
    const open = this.openJob(job);
    const { work, order, nodeCount, finished } = job;
    if (!verify || !work) throw new Error('there is nothing to verify');
    const { ranges, rows, features } = verify;
    const { ofFeatures } = this.stageOf(task);
    const numberOf = (row: number) => (order && ofFeatures ? order[row] : row);
    const writerOf = (row: number) => shardOf(numberOf(row), nodeCount, finished.length);
    const verdict = {
      sums: rows.map((written) => sumRows(work.path, written, start, end, writerOf)),
      ranges: ranges.every((check) => rangeAgrees(work.path, check)),
      features: !features || featuresAgree(open.reader, features),
    };
    open.counters.add(this.worker, 'busySeconds', (performance.now() - began) / 1000);
    return verdict;
  }

  private stageOf({ stage, round }: ShardTask): Stage {
    const found = this.stages.find((one) => one.name === stage && one.round === round);
    if (!found) throw new Error(`the head of the model has no stage '${stage}', round ${round}`);
    return found;
  }

  private edgeTile(stage: EdgeStage, open: OpenJob, start: number, end: number): void {
    switch (stage) {
      case 'countEdges':
        open.edgeBuilder().count(start, end);
        break;
      case 'listEdges':
        open.edgeBuilder().list(start, end, open.edges().targets);
        break;
      case 'sortEdges':
        sortEdges(open.edges(), start, end);
        open.counters.add(this.worker, 'edges', end - start);
        break;
      case 'countReverse':
        countReverse(open.edges(), start, end, open.reverse().offsets);
        break;
      case 'listReverse':
        listReverse(open.edges(), start, end, open.reverse());
        break;
    }
  }

  private async tile(
    stage: Stage,
    open: OpenJob,
    start: number,
    end: number,
    { restore, segments }: ShardTask,
  ): Promise<void> {
    if (segments) {
      open.restoreSegments(start, end, segments);
    } else if (restore) {
      open.restoreColumns(start, end);
    } else {
      await this.head.run(stage, open, start, end);
      open.keepColumns(start, end);
    }
    if (stage.name === 'score') this.scored(stage, open, start, end);
    else if (stage.part === stage.name) open.counters.add(this.worker, stage.part, end - start);
  }

  private scored(stage: Stage, open: OpenJob, start: number, end: number): void {
    const edges = open.edges();
    open.counters.add(this.worker, 'edgesScored', edges.offsets[end] - edges.offsets[start]);
    if (stage !== this.last) return;
    const joined = open.components.uniteEdges(edges, start, end, open.column('scores'), open.job.uniteFrom);
    open.counters.add(this.worker, 'unions', joined);
  }

  /** A version of a job is opened once, though a copy of it comes with each task. */
  private openJob(job: LabelJob): OpenJob {
    if (this.open?.job.version !== job.version) {
      this.head.close();
      this.open?.close();
      this.open = new OpenJob(job, this.head.localRows);
    }
    return this.open;
  }
}

function checkVersion({ version }: ShardTask): void {
  if (version !== messageVersion) throw new Error(`a task of message version ${version}, expected ${messageVersion}`);
}

/** The size of tiles of which as few as possible, nearly equal, hold the rest: a small last one would cost more than its part. */
function tileSize(rest: number, batch: number): number {
  return Math.ceil(rest / Math.ceil(rest / batch));
}
