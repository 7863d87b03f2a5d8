/** The stages of the `pairwise` head: cosines along the kNN lists, then rounds of scores over the graph alone. */

import type { HeadStage, PairwiseMemory } from '../../engine/job.js';
import type { OpenJob } from '../../engine/open-job.js';
import type { HeadStages } from '../../engine/shard-runner.js';
import { normaliseRows } from '../../io/normalise.js';
import { Arena } from '../../kernels/arena.js';
import { type Kernels, loadKernels, type SimdLevel } from '../../kernels/kernels.js';
import { openStore, type RowStore } from '../../memory/row-store.js';
import type { PairwiseModel } from '../../model/model.js';
import type { PairwiseJob } from './job.js';
import { PairwiseScorer } from './scorer.js';
import { summariseLists } from './structural-features.js';

export interface PairwiseOptions {
  readonly batch: number;
  /** Plain loops for everything. */
  readonly plain: boolean;
  readonly simd: SimdLevel | undefined;
}

export class PairwiseStages implements HeadStages {
  readonly localRows: number;
  private opened: OpenedJob | undefined;

  constructor(
    private readonly model: PairwiseModel,
    private readonly options: PairwiseOptions,
    private readonly worker: number,
  ) {
    this.localRows = options.batch * (model.config.k + 1);
  }

  get description(): { backend: string; simd: string } {
    const simd = this.opened?.tile?.kernels.simd ?? 'none';
    return { backend: this.options.plain ? 'reference' : 'native', simd: simd === 'scalar' ? 'none' : simd };
  }

  async run(stage: HeadStage, round: number, open: OpenJob, start: number, end: number): Promise<void> {
    if (this.opened?.open !== open) this.opened = new OpenedJob(open);
    const { opened } = this;
    switch (stage) {
      case 'load':
        return this.load(opened, start, end);
      case 'similarities':
        return this.similarities(opened, start, end);
      case 'summarise':
        return this.summarise(opened, round, start, end);
      case 'score':
        return this.score(opened, round, start, end);
      default:
        throw new Error(`head 'pairwise' has no stage '${stage}'`);
    }
  }

  async restore(stage: HeadStage, round: number, open: OpenJob, start: number, end: number): Promise<void> {
    if (this.opened?.open !== open) this.opened = new OpenedJob(open);
    const { opened } = this;
    if (stage === 'similarities') {
      const { similarities, width } = opened.scoring().lists;
      open.columns.recall(stage, start * width, similarities.subarray(start * width, end * width));
      this.summariseLists(opened, start, end);
    } else if (stage === 'score') {
      const { offsets } = open.job;
      const scores = opened.scoresOf(round).subarray(offsets[start], offsets[end]);
      open.columns.recall(`scores${round}`, offsets[start], scores);
    }
  }

  close(): void {
    this.opened?.close();
    this.opened = undefined;
  }

  /** Here [start, end) are rows of the file: it is read in its own order, and rows are put at their positions. */
  private load({ open, rows }: OpenedJob, start: number, end: number): void {
    const { job, reader, counters } = open;
    const { dim } = reader;
    const count = end - start;
    const x = new Float32Array(count * dim);
    reader.read(start, count, x);
    open.readFeatures(start, x);
    counters.add(this.worker, 'rowsNormalised', normaliseRows(x, start, count, dim, job.features.name));
    rows.scatter(x, open.own(start, end, job.positions), count, dim);
  }

  /** A list's own row is its first, so the lists of a tile and their rows are all that the kernel needs. */
  private similarities(opened: OpenedJob, start: number, end: number): void {
    const { open, rows } = opened;
    const { job, halo } = open;
    const scoring = opened.scoring();
    const width = this.model.config.k + 1;
    opened.tile ??= this.makeTile(rows.dim);
    const { kernels, lists, local, out } = opened.tile;
    const count = end - start;
    halo.clear();
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < width; c++) {
        const node = job.neighbours[(start + i) * job.width + c];
        lists[i * width + c] = node < 0 ? -1 : halo.slot(node);
      }
    }
    rows.gather(halo.ids, halo.count, local);
    open.counters.add(this.worker, 'rowsGathered', halo.count);
    kernels.listDots({ count, width, dim: rows.dim, lists, rows: local, out });
    const { similarities } = scoring.lists;
    for (let i = 0; i < count; i++) similarities.set(out.subarray(i * width, (i + 1) * width), (start + i) * job.width);
    open.columns.keep('similarities', start * job.width, similarities.subarray(start * job.width, end * job.width));
    this.summariseLists(opened, start, end);
  }

  private summariseLists(opened: OpenedJob, start: number, end: number): void {
    const { lists, listSummaries } = opened.scoring();
    summariseLists(lists, this.model.config.k, start, end, listSummaries);
  }

  private async summarise(opened: OpenedJob, round: number, start: number, end: number): Promise<void> {
    (await this.scorer(opened)).summariseScores(opened.scoresOf(round - 1), start, end);
  }

  private async score(opened: OpenedJob, round: number, start: number, end: number): Promise<void> {
    const { offsets } = opened.open.job;
    const [previous, scores] = [opened.scoresOf(round - 1), opened.scoresOf(round)];
    await (await this.scorer(opened)).score(round, offsets[start], offsets[end], previous, scores);
    opened.open.columns.keep(`scores${round}`, offsets[start], scores.subarray(offsets[start], offsets[end]));
  }

  private scorer(opened: OpenedJob): Promise<PairwiseScorer> {
    opened.scorer ??= PairwiseScorer.create(this.model, opened.scoring(), this.options.plain);
    return opened.scorer;
  }

  private makeTile(dim: number) {
    const { batch, plain, simd } = this.options;
    const width = this.model.config.k + 1;
    const arena = new Arena(4 * batch * width * (2 + dim));
    const kernels = loadKernels(arena, plain ? 'scalar' : simd);
    return {
      kernels,
      lists: arena.int32(batch * width),
      local: arena.float32(batch * width * dim),
      out: arena.float32(batch * width),
    };
  }
}

class OpenedJob {
  private readonly memory: PairwiseMemory;
  readonly rows: RowStore;
  private job: PairwiseJob | undefined;
  tile:
    | {
        readonly kernels: Kernels;
        readonly lists: Int32Array;
        readonly local: Float32Array;
        readonly out: Float32Array;
      }
    | undefined;
  scorer: Promise<PairwiseScorer> | undefined;

  constructor(readonly open: OpenJob) {
    const { head } = open.job;
    if (head.kind !== 'pairwise') throw new Error(`the job is for head '${head.kind}'`);
    this.memory = head;
    this.rows = openStore(head.rows, open.writes);
  }

  scoring(): PairwiseJob {
    const { scoring } = this.memory;
    if (!scoring) throw new Error('the edges of this job are not counted yet');
    this.job ??= { ...scoring, structure: openStore(scoring.structure, this.open.writes) };
    return this.job;
  }

  close(): void {
    this.rows.close();
    this.job?.structure.close();
  }

  /** Where a round's scores lie: those of the last in `scores`, the others by turns. */
  scoresOf(round: number): Float32Array {
    const { earlier } = this.memory;
    const { scores } = this.open.edges();
    if (!earlier) throw new Error('the edges of this job are not counted yet');
    return (this.open.job.rounds - 1 - round) % 2 === 0 ? scores : earlier;
  }
}
