/**
 * One worker's half of the end of an approximate search whose rows are not in memory: the cosines of all candidates, with the rows
 * read front to back. Rows are cut into windows by number, two windows are in memory at a time, and each pair of windows comes
 * once: then the cosines are computed of rows of the one with candidates in the other. Of w windows, (w + 1) / 2 times
 * all rows are read. A cosine takes the place of the similarity of sketches in a list, so that the lists need no more memory.
 * n rows, d columns, k neighbours, L candidates.
 */
import type { KnnGraph } from '../graph/knn-graph.js';
import { type Kernels, listedIds, listedSimilarities } from '../kernels/kernels.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';
import { load, type Range, store } from './blocks.js';
import { CandidateCosines, sortByCosine } from './refine.js';
import type { UnitRows } from './unit-rows.js';

/** Some rows in memory: row `range.start` + i is row i of the store. */
export interface Window {
  readonly range: Range;
  readonly rows: SharedRowsHandle;
}

export type WindowTask =
  /** Candidates, which are positions, become rows without a cosine. */
  | { readonly kind: 'name'; readonly block: Range }
  /** Read part of a window, by numbers of rows. */
  | { readonly kind: 'load'; readonly window: Window; readonly part: Range }
  /** The cosines of the rows at a block's positions that are in one window with their candidates in the other. */
  | { readonly kind: 'cosines'; readonly block: Range; readonly a: Window; readonly b: Window }
  /** Write the lists of a block. Returns rows that had fewer than k. */
  | { readonly kind: 'finish'; readonly block: Range };

export type WindowCosines = (task: WindowTask) => Int32Array | undefined;

interface WindowJob {
  readonly rows: UnitRows;
  /** Candidate lists by position [n × 2L]. */
  readonly lists: SharedRows;
  readonly order: Int32Array;
  readonly graph: KnnGraph;
  readonly kernels: Kernels;
  /** Room for the lists of a block, where the kernels see it. */
  readonly local: Float32Array;
}

export function createWindowCosines({ rows, lists, order, graph, kernels, local }: WindowJob): WindowCosines {
  const { rowCount, dim } = rows;
  const candidates = lists.dim / 2;
  const k = graph.width - 1;
  const words = new Int32Array(local.buffer, local.byteOffset, local.length);
  let windows: readonly { readonly range: Range; readonly rows: SharedRows }[] = [];
  let cosines: CandidateCosines | undefined;
  let places = new Int32Array(0);

  function name(block: Range): void {
    load(lists, block, local);
    // In the order of sketches they are nearly in the order of cosines.
    kernels.sortLists(block.count, candidates, local);
    for (let at = 0; at < 2 * block.count * candidates; at += 2) {
      if (words[at + 1] !== 0) words[at] = ~order[~words[at]];
    }
    store(local, lists, block);
  }

  function read({ range, rows: handle }: Window, part: Range): void {
    SharedRows.from(handle).eachRun(part.start - range.start, part.count, (view, first) => {
      rows.read(range.start + first, view.length / dim, view);
    });
  }

  function gather(ids: Int32Array, count: number, out: Float32Array): void {
    for (let i = 0; i < count; i++) {
      const window = windows.find(({ range }) => within(range, ids[i]))!;
      out.set(window.rows.row(ids[i] - window.range.start), i * dim);
    }
  }

  function compute(block: Range, a: Window, b: Window): void {
    windows = [a, b].map(({ range, rows: handle }) => ({ range, rows: SharedRows.from(handle) }));
    cosines ??= new CandidateCosines({ rowCount, dim, gather }, candidates);
    const { rowsAtOnce, candidates: chosen } = cosines;
    if (places.length === 0) places = new Int32Array(chosen.length);
    load(lists, block, local);
    const ids = new Int32Array(rowsAtOnce);
    let taken = 0;
    const flush = () => {
      if (taken === 0) return;
      cosines!.run(ids.subarray(0, taken));
      for (let i = 0; i < taken; i++) {
        const found = cosines!.of(i);
        const start = i * candidates;
        for (let c = 0; c < candidates && chosen[start + c] >= 0; c++) words[places[start + c]] = orderedBits(found[c]);
      }
      taken = 0;
    };
    for (let i = 0; i < block.count; i++) {
      const row = order[block.start + i];
      const other = within(a.range, row) ? b.range : within(b.range, row) ? a.range : undefined;
      if (other === undefined) continue;
      const start = taken * candidates;
      let count = 0;
      for (let at = 2 * i * candidates; at < 2 * (i + 1) * candidates; at += 2) {
        if (words[at + 1] === 0 || !within(other, ~words[at])) continue;
        chosen[start + count] = ~words[at];
        places[start + count++] = at + 1;
      }
      if (count === 0) continue;
      chosen.fill(-1, start + count, start + candidates);
      ids[taken++] = row;
      if (taken === rowsAtOnce) flush();
    }
    flush();
    store(local, lists, block);
  }

  function finish(block: Range): Int32Array {
    load(lists, block, local);
    const listed = new Int32Array(block.count * candidates);
    listedIds(block.count, candidates, local, listed);
    const found = new Float32Array(block.count * candidates);
    listedSimilarities(block.count, candidates, local, found);
    const short: number[] = [];
    for (let i = 0; i < block.count; i++) {
      const row = order[block.start + i];
      const ids = listed.subarray(i * candidates, (i + 1) * candidates);
      if (sortByCosine(ids, found.subarray(i * candidates, (i + 1) * candidates)) < k) short.push(row);
      graph.ids[row * graph.width] = row;
      graph.ids.set(ids.subarray(0, k), row * graph.width + 1);
    }
    return Int32Array.from(short);
  }

  return (task) => {
    if (task.kind === 'name') name(task.block);
    else if (task.kind === 'load') read(task.window, task.part);
    else if (task.kind === 'cosines') compute(task.block, task.a, task.b);
    else return finish(task.block);
    return undefined;
  };
}

function within({ start, count }: Range, id: number): boolean {
  return id >= start && id < start + count;
}

const bits = new Int32Array(1);
const float = new Float32Array(bits.buffer);

/** The bits of a float32 as lists hold them: whole numbers in the order of the floats, never 0. */
function orderedBits(value: number): number {
  float[0] = value + 0;
  return bits[0] < 0 ? ~bits[0] : bits[0] ^ 0x80000000;
}
