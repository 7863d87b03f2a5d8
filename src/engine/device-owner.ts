/**
 * The thread that owns a device: takes the batches that workers submit, moves their inputs into the back-end's memory,
 * computes, and moves the results back.
 *
 * A batch that fails is halved and tried again, down to a least size, and later batches keep to the size that worked; a
 * part takes along only the rows that it reads, so it needs less of the device. When the least size fails as well, the
 * device is given up and its workers go on without it.
 */
import { performance } from 'node:perf_hooks';
import type { Backend, TileCapacity, TileMemory } from '../backends/backend.js';
import type { FactoredModel } from '../model/factored.js';
import type { DeviceLink, Request, TileStage } from './device-link.js';

/** A batch is halved at most this often. */
const halvings = 5;

export class DeviceOwner {
  private readonly part: TilePart;
  /** Nodes or edges computed at once. */
  private readonly most: Record<'nodes' | 'edges', number>;

  constructor(
    private readonly backend: Backend,
    private readonly link: DeviceLink,
    model: FactoredModel,
    private readonly capacity: TileCapacity,
  ) {
    this.part = new TilePart(backend.tile, model, capacity);
    this.most = { nodes: capacity.nodes, edges: capacity.edges };
  }

  /** Serves until the link is closed. Rejects with what the device failed with when it has to be given up. */
  async serve(): Promise<void> {
    const { link } = this;
    for (let first = 0, request = link.next(first); request; request = link.next(first)) {
      const began = performance.now();
      await this.compute(request);
      link.count('busySeconds', (performance.now() - began) / 1000);
      link.answer(request.slot, true);
      first = request.slot + 1;
    }
  }

  private async compute({ stage, count, tile }: Request): Promise<void> {
    const { backend, part, link, most, capacity } = this;
    const unit = stage === 'score' ? 'edges' : 'nodes';
    const least = Math.ceil(capacity[unit] / 2 ** halvings);
    for (let start = 0; start < count; ) {
      const end = Math.min(count, start + most[unit]);
      const { rows, bytes } = part.read(stage, tile, start, end);
      try {
        await backend[stage](end - start);
      } catch (error) {
        if (end - start <= least) throw error;
        link.count('retries', 1);
        most[unit] = Math.ceil((end - start) / 2);
        continue;
      }
      link.count('batches', 1);
      link.count('rows', rows);
      link.count('bytes', bytes + part.write(stage, tile, start, end));
      start = end;
    }
  }
}

/** Entries [start, end) of a tile as a tile of their own, which holds only the rows that they read. */
class TilePart {
  private readonly rows: RowPart;
  private readonly left: RowPart;
  private readonly heads: number;

  constructor(
    private readonly local: TileMemory,
    private readonly model: FactoredModel,
    private readonly capacity: TileCapacity,
  ) {
    this.heads = model.heads.length;
    this.rows = new RowPart(capacity.rows);
    this.left = new RowPart(capacity.nodes);
  }

  /** Inputs of a stage. Returns rows and bytes moved. */
  read(stage: TileStage, tile: TileMemory, start: number, end: number): { rows: number; bytes: number } {
    const { local, heads: M, model } = this;
    const { paddedDim: p } = model;
    const count = end - start;
    if (stage === 'project') return { rows: count, bytes: move(tile.x, local.x, model.dim, start, 0, count) };
    if (stage === 'split') return { rows: count, bytes: move(tile.centres, local.centres, p, start, 0, count) };
    const { rows, left } = this;
    rows.clear();
    if (stage === 'score') {
      left.clear();
      for (let e = 0; e < count; e++) {
        local.pairs[2 * e] = left.slot(tile.pairs[2 * (start + e)]);
        local.pairs[2 * e + 1] = rows.slot(tile.pairs[2 * (start + e) + 1]);
      }
      const bytes = left.gather(tile.left, local.left, p) + rows.gather(tile.rows, local.rows, p);
      return { rows: left.count + rows.count, bytes: bytes + 8 * count };
    }
    const { width } = this.capacity;
    for (let i = 0; i < count * width; i++) {
      const row = tile.lists[start * width + i];
      local.lists[i] = row < 0 ? -1 : rows.slot(row);
    }
    const moved = rows.gather(tile.rows, local.rows, M * p) + rows.gather(tile.rowT, local.rowT, M);
    return { rows: rows.count, bytes: moved + move(tile.s, local.s, M, start, 0, count) + 4 * count * width };
  }

  /** Results of a stage. Returns bytes moved. */
  write(stage: TileStage, tile: TileMemory, start: number, end: number): number {
    const { local, heads: M, model } = this;
    const p = model.paddedDim;
    const back = (name: 'h' | 's' | 't' | 'centres' | 'left' | 'right' | 'scores', columns: number) =>
      move(local[name], tile[name], columns, 0, start, end - start);
    switch (stage) {
      case 'project':
        return back('h', M * p) + back('s', M) + back('t', M);
      case 'aggregate':
        return back('h', M * p) + back('t', M);
      case 'embed':
        return back('centres', p);
      case 'split':
        return back('left', p) + back('right', p);
      case 'score':
        return back('scores', 1);
    }
  }
}

/** Rows numbered by first use. */
class RowPart {
  count = 0;
  private readonly used: Int32Array;
  private readonly slotOf: Int32Array;

  constructor(rows: number) {
    this.used = new Int32Array(rows);
    this.slotOf = new Int32Array(rows);
  }

  clear(): void {
    this.count = 0;
  }

  slot(row: number): number {
    const slot = this.slotOf[row];
    if (slot < this.count && this.used[slot] === row) return slot;
    this.used[this.count] = row;
    this.slotOf[row] = this.count;
    return this.count++;
  }

  /** The rows in use [count × columns]; those that lie side by side are moved together. */
  gather(from: Float32Array, to: Float32Array, columns: number): number {
    const { used, count } = this;
    for (let i = 0; i < count; ) {
      let run = 1;
      while (i + run < count && used[i + run] === used[i] + run) run++;
      move(from, to, columns, used[i], i, run);
      i += run;
    }
    return 4 * count * columns;
  }
}

/** Rows of `columns` floats from one place to another; returns their bytes. */
function move(from: Float32Array, to: Float32Array, columns: number, source: number, target: number, rows: number) {
  to.set(from.subarray(source * columns, (source + rows) * columns), target * columns);
  return 4 * rows * columns;
}
