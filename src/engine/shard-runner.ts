/**
 * One worker's half of the engine: takes a (stage, shard) task, walks the shard in tiles, gathers what each tile reads
 * into the back-end's local memory, and writes owned rows back.
 *
 * A tile is written only after all of it is computed, and is then marked finished; a task that is run again goes on
 * with the next tile. That is what makes stages that replace their input (embed, split) safe to retry.
 */
import { performance } from 'node:perf_hooks';
import type { Backend, TileCapacity } from '../backends/backend.js';
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { NaanError } from '../errors.js';
import { type CandidateEdges, EdgeBuilder, sortEdges } from '../graph/candidate-edges.js';
import { openRows, type RowReader } from '../io/matrix.js';

import { SharedRows } from '../memory/shared-rows.js';
import type { FactoredModel } from '../model/factored.js';
import { Counters, type Stage } from './counters.js';
import { Halo } from './halo.js';
import { type LabelJob, type ShardStage, type ShardTask, shardStages } from './job.js';
import { normaliseRows } from './normalise.js';

/** What a task reports: how many rows it had to normalise, and what computed it. */
export interface ShardResult {
  readonly backend: string;
  readonly simd: string;
  readonly normalisedRows: number;
}

/** Local memory for tiles of `batch` nodes: the widest stage decides. */
export function tileCapacity(batch: number, k1: number, k2: number): TileCapacity {
  const width = Math.max(k1, k2) + 1;
  return { nodes: batch, width, rows: batch * width, edges: batch * width };
}

export class ShardRunner {
  private open: OpenJob | undefined;
  private normalisedRows = 0;

  constructor(
    private readonly backend: Backend,
    private readonly model: FactoredModel,
    private readonly worker: number,
  ) {}

  async run({ stage, shard, job }: ShardTask): Promise<ShardResult> {
    const open = this.openJob(job);
    const slot = shardStages.indexOf(stage) * job.shardCount + shard.index;
    this.normalisedRows = 0;
    const { batch } = job;
    for (let start = shard.start + job.finished[slot]; start < shard.end; start += batch) {
      if (Atomics.load(job.cancel, 0) !== 0) throw new NaanError('CANCELLED', 'cancelled');
      const began = performance.now();
      const end = Math.min(start + batch, shard.end);
      await this.tile(stage, open, start, end);
      job.finished[slot] = end - shard.start;
      const counted = counterOf(stage);
      if (counted) open.counters.add(this.worker, counted, end - start);
      open.counters.add(this.worker, 'busySeconds', (performance.now() - began) / 1000);
    }
    const { name, simd = 'none' } = this.backend;
    return { normalisedRows: this.normalisedRows, backend: name, simd };
  }

  private async tile(stage: ShardStage, open: OpenJob, start: number, end: number): Promise<void> {
    switch (stage) {
      case 'countEdges':
        return open.edgeBuilder().count(start, end);
      case 'listEdges':
        return open.edgeBuilder().list(start, end, open.edges().targets);
      case 'sortEdges':
        return sortEdges(open.edges(), start, end);
      case 'project':
        return this.project(open, start, end);
      case 'aggregate':
        return this.aggregate(open, start, end);
      case 'embed':
        return this.embed(open, start, end);
      case 'split':
        return this.split(open, start, end);
      case 'score':
        return this.score(open, start, end);
    }
  }

  /** Here [start, end) are rows of the file: it is read in its own order, and rows are put at their positions. */
  private async project(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, reader, a } = open;
    const { backend } = this;
    const { tile } = backend;
    const count = end - start;
    const heads = this.model.heads.length;
    reader.read(start, count, tile.x);
    this.normalisedRows += normaliseRows(tile.x, start, count, reader.dim, job.features.name);
    await backend.project(count);
    const at = open.own(start, end, job.positions);
    a.scatter(tile.h, at, count);
    for (let i = 0; i < count; i++) {
      for (let m = 0; m < heads; m++) {
        job.s[at[i] * heads + m] = tile.s[i * heads + m];
        job.t[at[i] * heads + m] = tile.t[i * heads + m];
      }
    }
  }

  private async aggregate(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, halo, a, b } = open;
    const { backend } = this;
    const { tile } = backend;
    const count = end - start;
    const heads = this.model.heads.length;
    const width = tile.lists.length / job.batch;
    halo.clear();
    for (let i = 0; i < count; i++) {
      const row = (start + i) * job.width;
      for (let c = 0; c < width; c++) {
        const node = c <= job.k2 ? job.neighbours[row + c] : -1;
        tile.lists[i * width + c] = node < 0 ? -1 : halo.slot(node);
      }
    }
    a.gather(halo.ids, halo.count, tile.rows);
    open.counters.add(this.worker, 'rowsGathered', halo.count);
    gatherScalars(job.t, halo, heads, tile.rowT, 0);
    tile.s.set(job.s.subarray(start * heads, end * heads));
    await backend.aggregate(count);
    b.scatter(tile.h, open.own(start, end), count);
    job.tz.set(tile.t.subarray(0, count * heads), start * heads);
  }

  /** Local rows 0..count-1 are the nodes' own h, the rest the z of their neighbours. */
  private async embed(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, halo, a, b } = open;
    const { backend, model } = this;
    const { tile } = backend;
    const count = end - start;
    const heads = model.heads.length;
    const width = tile.lists.length / job.batch;
    halo.clear();
    for (let i = 0; i < count; i++) {
      const row = (start + i) * job.width;
      tile.lists[i * width] = i;
      for (let c = 1; c < width; c++) {
        const node = c <= job.k1 ? job.neighbours[row + c] : -1;
        tile.lists[i * width + c] = node < 0 ? -1 : count + halo.slot(node);
      }
    }
    const self = open.own(start, end);
    a.gather(self, count, tile.rows);
    b.gather(halo.ids, halo.count, tile.rows.subarray(count * a.dim));
    open.counters.add(this.worker, 'rowsGathered', halo.count);
    tile.s.set(job.s.subarray(start * heads, end * heads));
    tile.rowT.set(job.t.subarray(start * heads, end * heads));
    gatherScalars(job.tz, halo, heads, tile.rowT, count);
    await backend.embed(count);
    a.scatter(tile.centres, self, count, model.paddedDim);
  }

  private async split(open: OpenJob, start: number, end: number): Promise<void> {
    const { a, b } = open;
    const { backend, model } = this;
    const { tile } = backend;
    const count = end - start;
    const self = open.own(start, end);
    a.gather(self, count, tile.centres, model.paddedDim);
    await backend.split(count);
    a.scatter(tile.left, self, count, model.paddedDim);
    b.scatter(tile.right, self, count, model.paddedDim);
  }

  /** Edges of the tile's nodes in chunks that local memory holds; a node with very many spans several. */
  private async score(open: OpenJob, start: number, end: number): Promise<void> {
    const { backend, model } = this;
    const { tile } = backend;
    const { job, halo, a, b } = open;
    const { offsets, targets, scores } = open.edges();
    const columns = model.paddedDim;
    const most = tile.scores.length;
    a.gather(open.own(start, end), end - start, tile.left, columns);
    const last = offsets[end];
    for (let first = offsets[start], node = start; first < last; ) {
      const until = Math.min(last, first + most);
      halo.clear();
      for (let e = first; e < until; e++) {
        while (e >= offsets[node + 1]) node++;
        tile.pairs[2 * (e - first)] = node - start;
        tile.pairs[2 * (e - first) + 1] = halo.slot(targets[e]);
      }
      b.gather(halo.ids, halo.count, tile.rows, columns);
      open.counters.add(this.worker, 'rowsGathered', halo.count);
      await backend.score(until - first);
      scores.set(tile.scores.subarray(0, until - first), first);
      first = until;
    }
    const joined = open.components.uniteEdges({ offsets, targets }, start, end, scores, job.uniteFrom);
    open.counters.add(this.worker, 'edgesScored', last - offsets[start]);
    open.counters.add(this.worker, 'unions', joined);
  }

  /** A version of a job is opened once; its tasks each carry a copy. */
  private openJob(job: LabelJob): OpenJob {
    if (this.open?.job.version !== job.version) {
      this.open?.reader.close();
      this.open = new OpenJob(job, this.backend.tile.rowT.length / this.model.heads.length);
    }
    return this.open;
  }
}

/** Views of a job's shared memory, and the working memory that a thread needs for it. */
class OpenJob {
  readonly a: SharedRows;
  readonly b: SharedRows;
  readonly counters: Counters;
  readonly components: SharedDisjointSet;
  readonly halo: Halo;
  readonly reader: RowReader;
  private readonly ids: Int32Array;
  private builder: EdgeBuilder | undefined;

  constructor(
    readonly job: LabelJob,
    localRows: number,
  ) {
    this.a = SharedRows.from(job.a);
    this.b = SharedRows.from(job.b);
    this.counters = new Counters(job.counters);
    this.components = SharedDisjointSet.from(job.components);
    this.halo = new Halo(job.nodeCount, localRows);
    this.reader = openRows(job.features);
    this.ids = new Int32Array(job.batch);
  }

  edgeBuilder(): EdgeBuilder {
    const { job } = this;
    const graph = { nodeCount: job.nodeCount, width: job.width, ids: job.neighbours };
    this.builder ??= new EdgeBuilder(graph, job.sampleHops, job.offsets, job.order);
    return this.builder;
  }

  edges(): CandidateEdges & { scores: Float32Array } {
    const { nodeCount, offsets, targets, scores } = this.job;
    if (!targets || !scores) throw new Error('the edges of this job are not counted yet');
    return { nodeCount, offsets, targets, scores };
  }

  /** The numbers start .. end-1, or where `map` puts them; valid until the next call. */
  own(start: number, end: number, map?: Int32Array): Int32Array {
    for (let i = start; i < end; i++) this.ids[i - start] = map ? map[i] : i;
    return this.ids;
  }
}

/** values [n × heads] of the halo's nodes → out, from row `firstRow`. */
function gatherScalars(values: Float32Array, halo: Halo, heads: number, out: Float32Array, firstRow: number): void {
  for (let i = 0; i < halo.count; i++) {
    for (let m = 0; m < heads; m++) out[(firstRow + i) * heads + m] = values[halo.ids[i] * heads + m];
  }
}

/** Edges are scored, and counted, by tile; the other stages count nodes. */
function counterOf(stage: ShardStage): Stage | undefined {
  if (stage === 'countEdges' || stage === 'listEdges') return undefined;
  return stage === 'sortEdges' ? 'edges' : stage;
}
