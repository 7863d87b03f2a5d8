/**
 * The stages of the `concat` head: what a tile gathers into the back-end's local memory before each, and what it writes
 * back after.
 */
import type { ConcatBackend } from '../../backends/backend.js';
import type { HeadWorker, Hops, Stage } from '../../engine/head.js';
import type { OpenJob } from '../../engine/open-job.js';
import { normaliseRows } from '../../io/normalise.js';
import type { Halo } from '../../memory/halo.js';
import type { FactoredModel } from '../../model/factored.js';

export class ConcatStages implements HeadWorker {
  readonly localRows: number;

  constructor(
    private readonly backend: ConcatBackend,
    private readonly model: FactoredModel,
    private readonly hops: Pick<Hops, 'k1' | 'k2'>,
    private readonly worker: number,
  ) {
    this.localRows = backend.tile.rowT.length / model.heads.length;
  }

  get description(): { backend: string; simd: string } {
    const { name, provider } = this.backend;
    return { backend: provider ? `${name} (${provider})` : name, simd: this.backend.simd ?? 'none' };
  }

  async run({ name }: Stage, open: OpenJob, start: number, end: number): Promise<void> {
    switch (name) {
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
      default:
        throw new Error(`head 'concat' has no stage '${name}'`);
    }
  }

  /** Here [start, end) are rows of the file: it is read in its own order, and rows are put at their positions. */
  private async project(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, reader } = open;
    const { backend } = this;
    const { tile } = backend;
    const count = end - start;
    const heads = this.model.heads.length;
    reader.read(start, count, tile.x);
    open.readFeatures(start, tile.x.subarray(0, count * reader.dim));
    open.counters.add(
      this.worker,
      'rowsNormalised',
      normaliseRows(tile.x, start, count, reader.dim, job.features.name),
    );
    await backend.run('project', count);
    const at = open.own(start, end, job.positions);
    open.outputRows('a').scatter(tile.h, at, count);
    scatterScalars(tile.s, at, count, heads, open.output('s'));
    scatterScalars(tile.t, at, count, heads, open.output('t'));
  }

  private async aggregate(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, halo } = open;
    const { backend, hops } = this;
    const { tile } = backend;
    const count = end - start;
    const heads = this.model.heads.length;
    const width = tile.lists.length / job.batch;
    halo.clear();
    for (let i = 0; i < count; i++) {
      const row = (start + i) * job.width;
      for (let c = 0; c < width; c++) {
        const node = c <= hops.k2 ? job.neighbours[row + c] : -1;
        tile.lists[i * width + c] = node < 0 ? -1 : halo.slot(node);
      }
    }
    open.rows('a').gather(halo.ids, halo.count, tile.rows);
    open.counters.add(this.worker, 'rowsGathered', halo.count);
    gatherScalars(open.column('t'), halo, heads, tile.rowT, 0);
    tile.s.set(open.column('s').subarray(start * heads, end * heads));
    await backend.run('aggregate', count);
    open.outputRows('b').scatter(tile.h, open.own(start, end), count);
    open.output('tz').set(tile.t.subarray(0, count * heads), start * heads);
  }

  /** Local rows 0..count-1 are the nodes' own h, the rest the z of their neighbours. */
  private async embed(open: OpenJob, start: number, end: number): Promise<void> {
    const { job, halo } = open;
    const { backend, model, hops } = this;
    const a = open.rows('a');
    const { tile } = backend;
    const count = end - start;
    const heads = model.heads.length;
    const width = tile.lists.length / job.batch;
    halo.clear();
    for (let i = 0; i < count; i++) {
      const row = (start + i) * job.width;
      tile.lists[i * width] = i;
      for (let rank = 1; rank < width; rank++) {
        const node = rank <= hops.k1 ? job.neighbours[row + rank] : -1;
        tile.lists[i * width + rank] = node < 0 ? -1 : count + halo.slot(node);
      }
    }
    const self = open.own(start, end);
    a.gather(self, count, tile.rows);
    open.rows('b').gather(halo.ids, halo.count, tile.rows.subarray(count * a.dim));
    open.counters.add(this.worker, 'rowsGathered', halo.count);
    tile.s.set(open.column('s').subarray(start * heads, end * heads));
    tile.rowT.set(open.column('t').subarray(start * heads, end * heads));
    gatherScalars(open.column('tz'), halo, heads, tile.rowT, count);
    await backend.run('embed', count);
    open.outputRows('c').scatter(tile.centres, self, count, model.paddedDim);
  }

  private async split(open: OpenJob, start: number, end: number): Promise<void> {
    const { backend, model } = this;
    const { tile } = backend;
    const count = end - start;
    const self = open.own(start, end);
    open.rows('c').gather(self, count, tile.centres, model.paddedDim);
    await backend.run('split', count);
    open.outputRows('a').scatter(tile.left, self, count, model.paddedDim);
    open.outputRows('b').scatter(tile.right, self, count, model.paddedDim);
  }

  /** Edges of the tile's nodes in chunks that local memory holds; a node with very many spans several. */
  private async score(open: OpenJob, start: number, end: number): Promise<void> {
    const { backend, model } = this;
    const { tile } = backend;
    const { halo } = open;
    const b = open.rows('b');
    const { offsets, targets } = open.edges();
    const scores = open.output('scores');
    const columns = model.paddedDim;
    const most = tile.scores.length;
    open.rows('a').gather(open.own(start, end), end - start, tile.left, columns);
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
      await backend.run('score', until - first);
      scores.set(tile.scores.subarray(0, until - first), first);
      first = until;
    }
  }

  close(): void {}
}

/** values [count × heads] → rows ids[0..count) of out [n × heads]. */
function scatterScalars(values: Float32Array, ids: Int32Array, count: number, heads: number, out: Float32Array): void {
  for (let i = 0; i < count; i++) {
    for (let m = 0; m < heads; m++) out[ids[i] * heads + m] = values[i * heads + m];
  }
}

/** values [n × heads] of the halo's nodes → out, from row `firstRow`. */
function gatherScalars(values: Float32Array, halo: Halo, heads: number, out: Float32Array, firstRow: number): void {
  for (let i = 0; i < halo.count; i++) {
    for (let m = 0; m < heads; m++) out[(firstRow + i) * heads + m] = values[halo.ids[i] * heads + m];
  }
}
