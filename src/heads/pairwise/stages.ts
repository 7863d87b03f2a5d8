/** The stages of the `pairwise` head: cosines along the kNN lists, then rounds of scores over the graph alone. */

import type { PairwiseBackend } from '../../backends/backend.js';
import type { HeadWorker, Stage } from '../../engine/head.js';
import type { OpenJob } from '../../engine/open-job.js';
import { normaliseRows } from '../../io/normalise.js';
import { Arena } from '../../kernels/arena.js';
import { type Kernels, loadKernels, type SimdLevel } from '../../kernels/kernels.js';
import type { PairwiseModel } from '../../model/model.js';
import { besideMiddle } from './chance.js';
import { type PairwiseJob, scoresOf } from './job.js';
import type { NeighbourLists } from './neighbour-lists.js';
import { summariseScores } from './score-features.js';
import { PairwiseScorer } from './scorer.js';
import { summariseLists } from './structural-features.js';
import { Whitener, whiteningOf } from './whitening.js';

export interface PairwiseOptions {
  readonly batch: number;
  readonly simd: SimdLevel | undefined;
}

interface Tile {
  readonly kernels: Kernels;
  readonly lists: Int32Array;
  readonly local: Float32Array;
  readonly out: Float32Array;
}

export class PairwiseStages implements HeadWorker {
  readonly localRows: number;
  private tile: Tile | undefined;
  private scorer: PairwiseScorer | undefined;
  private readonly whitener: Promise<Whitener> | undefined;

  /** Kernels are in plain loops where the back-end is. */
  constructor(
    private readonly backend: PairwiseBackend,
    private readonly model: PairwiseModel,
    private readonly options: PairwiseOptions,
    private readonly worker: number,
  ) {
    this.localRows = options.batch * (model.config.k + 1);
    const whitening = whiteningOf(model);
    this.whitener = whitening && Whitener.create(whitening, backend.name === 'reference');
  }

  get description(): { backend: string; simd: string } {
    const { name, provider } = this.backend;
    const simd = this.tile?.kernels.simd ?? 'none';
    return { backend: provider ? `${name} (${provider})` : name, simd: simd === 'scalar' ? 'none' : simd };
  }

  run({ name, round }: Stage, open: OpenJob, start: number, end: number): void | Promise<void> {
    switch (name) {
      case 'load':
        return this.load(open, start, end);
      case 'similarities':
        return this.similarities(open, start, end);
      case 'summarise':
        return this.summarise(round, open, start, end);
      case 'score':
        return this.score(round, open, start, end);
      default:
        throw new Error(`head 'pairwise' has no stage '${name}'`);
    }
  }

  close(): void {
    this.scorer = undefined;
  }

  /** Here [start, end) are rows of the file: it is read in its own order, and rows are put at their positions. */
  private async load(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, reader, counters } = open;
    const { dim } = reader;
    const count = end - start;
    const x = new Float32Array(count * dim);
    reader.read(start, count, x);
    open.readFeatures(start, x);
    counters.add(this.worker, 'rowsNormalised', normaliseRows(x, start, count, dim, job.features.name));
    const whitener = await this.whitener;
    await whitener?.run(x, count);
    open.outputRows('x').scatter(x, open.own(start, end, job.positions), count, dim);
  }

  /** A list's own row is its first, so the lists of a tile and their rows are all that the kernel needs. */
  private similarities(open: OpenJob, start: number, end: number): void {
    const { job, halo } = open;
    const rows = open.rows('x');
    const width = this.model.config.k + 1;
    this.tile ??= this.makeTile(rows.dim);
    const { kernels, lists, local, out } = this.tile;
    const nodes: number[] = [];
    for (let node = start; node < end; node++) if (job.only?.nodes[node] !== 0) nodes.push(node);
    const count = nodes.length;
    halo.clear();
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < width; c++) {
        const node = job.neighbours[nodes[i] * job.width + c];
        lists[i * width + c] = node < 0 ? -1 : halo.slot(node);
      }
    }
    rows.gather(halo.ids, halo.count, local);
    open.counters.add(this.worker, 'rowsGathered', halo.count);
    kernels.listDots({ count, width, dim: rows.dim, lists, rows: local, out });
    const { middle } = this.model.config;
    if (middle !== undefined) besideMiddle(out, middle, 0, count * width);
    const similarities = open.output('similarities');
    const summaries = open.output('listSummaries');
    for (let i = 0; i < count; i++) similarities.set(out.subarray(i * width, (i + 1) * width), nodes[i] * job.width);
    for (const node of nodes) summariseLists(listsOf(open), this.model.config.k, node, node + 1, summaries);
  }

  private summarise(round: number, open: OpenJob, start: number, end: number): void {
    const before = open.column(scoresOf(round - 1, this.model.config.rounds));
    const summaries = open.scratch('scoreSummaries');
    const only = open.job.only?.nodes;
    if (!only) summariseScores(open.edges(), open.reverse(), before, start, end, summaries);
    else
      for (let node = start; node < end; node++)
        if (only[node] === 1) summariseScores(open.edges(), open.reverse(), before, node, node + 1, summaries);
  }

  private async score(round: number, open: OpenJob, start: number, end: number): Promise<void> {
    const { rounds } = this.model.config;
    const { offsets } = open.job;
    this.scorer ??= new PairwiseScorer(this.model, pairwiseJobOf(open), this.backend);
    const scores = open.output(scoresOf(round, rounds));
    const before = round === 0 ? scores : open.column(scoresOf(round - 1, rounds));
    await this.scorer.score(round, offsets[start], offsets[end], before, scores, open.job.only?.edges);
  }

  private makeTile(dim: number): Tile {
    const { batch, simd } = this.options;
    const width = this.model.config.k + 1;
    const arena = new Arena(4 * batch * width * (2 + dim));
    const kernels = loadKernels(arena, this.backend.name === 'reference' ? 'scalar' : simd);
    return {
      kernels,
      lists: arena.int32(batch * width),
      local: arena.float32(batch * width * dim),
      out: arena.float32(batch * width),
    };
  }
}

function listsOf(open: OpenJob): NeighbourLists {
  const { nodeCount, width, neighbours } = open.job;
  return { nodeCount, width, ids: neighbours, similarities: open.column('similarities') };
}

function pairwiseJobOf(open: OpenJob): PairwiseJob {
  return {
    lists: listsOf(open),
    edges: open.edges(),
    reverse: open.reverse(),
    sampleHops: open.job.sampleHops,
    listSummaries: open.column('listSummaries'),
    scoreSummaries: open.scratch('scoreSummaries'),
    structure: open.rows('structure'),
  };
}
