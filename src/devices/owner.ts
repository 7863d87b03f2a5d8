/**
 * The thread that owns a device: takes the batches that workers submit, moves their inputs into the back-end's memory,
 * computes, and moves the results back.
 *
 * A batch that fails, or gives what is no number, is halved and tried again, down to a least size, and later batches keep to the size that worked; a
 * part takes along only the rows that it reads, so it needs less of the device. When the least size fails as well, the
 * device is given up and its workers go on without it.
 */
import { performance } from 'node:perf_hooks';
import type { Backend, TileArray, TileMemory } from '../backends/backend.js';
import { linesOf, type TileLayout } from '../backends/stages.js';
import { Halo } from '../memory/halo.js';
import type { DeviceLink, Request } from './link.js';

/** A batch is halved at most this often. */
const halvings = 5;

export class DeviceOwner {
  private readonly part: TilePart;
  /** Nodes or edges computed at once. */
  private readonly most: Record<'nodes' | 'edges', number>;

  constructor(
    private readonly backend: Backend,
    private readonly link: DeviceLink,
  ) {
    const { layout } = link.handle;
    this.part = new TilePart(backend.tile, layout);
    this.most = { nodes: layout.capacity.nodes, edges: layout.capacity.edges };
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
    const { backend, part, link, most } = this;
    const { capacity, stages } = link.handle.layout;
    const { unit } = stages[stage];
    const least = Math.ceil(capacity[unit] / 2 ** halvings);
    for (let start = 0; start < count; ) {
      const end = Math.min(count, start + most[unit]);
      const { rows, bytes } = part.read(stage, tile, start, end);
      try {
        await backend.run(stage, end - start);
        part.checkFinite(stage, end - start);
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

/** Lines [start, end) of a tile as a tile of their own, which holds only the rows that they read. */
class TilePart {
  /** Rows that each group of named arrays uses, numbered by first use. */
  private readonly used: readonly Halo[];

  constructor(
    private readonly local: TileMemory,
    private readonly layout: TileLayout,
  ) {
    const { capacity, stages } = layout;
    const most = Math.max(capacity.rows, capacity.nodes);
    const groups = Math.max(...Object.values(stages).map(({ named }) => named?.groups.length ?? 0));
    this.used = Array.from({ length: groups }, () => new Halo(most, most));
  }

  /** Moves the inputs of a stage. Returns rows and bytes moved. */
  read(stage: string, tile: TileMemory, start: number, end: number): { rows: number; bytes: number } {
    const { local, layout } = this;
    const { own, named } = layout.stages[stage];
    const count = end - start;
    let bytes = 0;
    for (const { name, columns } of linesOf(own)) {
      bytes += move(tile[name], local[name], columns, start, 0, count);
    }
    if (!named) return { rows: count, bytes };
    const { columns } = named;
    const used = this.used.slice(0, named.groups.length);
    for (const halo of used) halo.clear();
    const [from, to] = [tile[named.by], local[named.by]];
    for (let i = 0; i < count * columns; i++) {
      const line = from[start * columns + i];
      to[i] = line < 0 ? -1 : used[Math.min(i % columns, used.length - 1)].slot(line);
    }
    let rows = 0;
    for (const [group, lines] of named.groups.entries()) {
      rows += used[group].count;
      for (const { name, columns } of linesOf(lines)) {
        bytes += gather(used[group], tile[name], local[name], columns);
      }
    }
    return { rows, bytes: bytes + 4 * count * columns };
  }

  /** Throws when a result is NaN or infinite. */
  checkFinite(stage: string, count: number): void {
    for (const { name, columns } of linesOf(this.layout.stages[stage].out)) {
      const values = this.local[name];
      let sum = 0;
      // 0 but for what is not finite, which gives NaN.
      for (let i = 0; i < count * columns; i++) sum += values[i] * 0;
      if (sum !== 0) throw new Error(`stage '${stage}' gives values that are not finite`);
    }
  }

  /** Moves the results of a stage. Returns bytes moved. */
  write(stage: string, tile: TileMemory, start: number, end: number): number {
    const { local, layout } = this;
    let bytes = 0;
    for (const { name, columns } of linesOf(layout.stages[stage].out)) {
      bytes += move(local[name], tile[name], columns, 0, start, end - start);
    }
    return bytes;
  }
}

/** The rows in use [count × columns]; those that lie side by side are moved together. Returns their bytes. */
function gather({ ids, count }: Halo, from: TileArray, to: TileArray, columns: number): number {
  for (let i = 0; i < count; ) {
    let run = 1;
    while (i + run < count && ids[i + run] === ids[i] + run) run++;
    move(from, to, columns, ids[i], i, run);
    i += run;
  }
  return 4 * count * columns;
}

/** Rows of `columns` numbers from one place to another; returns their bytes. */
function move(from: TileArray, to: TileArray, columns: number, source: number, target: number, rows: number) {
  to.set(from.subarray(source * columns, (source + rows) * columns), target * columns);
  return 4 * rows * columns;
}
