/** The small graphs around new rows in which `assign` has the model score edges. */
import { allocateKnnGraph, type KnnGraph } from '../graph/knn-graph.js';
import type { MatrixLocation } from '../io/matrix.js';
import { dot } from '../kernels/scalar.js';
import { requireMemory } from '../memory/available.js';
import { SharedRows } from '../memory/shared-rows.js';

/** Small graphs side by side: those of new rows, each with a node for the new row first. */
export interface Local {
  readonly graph: KnnGraph;
  readonly features: MatrixLocation;
  /** Row of each node: of the set, or behind it a new one. */
  readonly rows: Int32Array;
  /** The first node of the graph of each new row, and the end of the last one [count + 1]. */
  readonly starts: Int32Array;
}

export class Neighbourhoods {
  /** The node of each row of the set in the graph that is being made, and which graph that is. */
  private readonly nodeOf: Int32Array;
  private readonly madeFor: Int32Array;
  private made = 0;
  /** Rows of the nodes made so far, and their lists [nodes × width], −1 where they end. */
  private readonly members: Int32Array;
  private readonly lists: Int32Array;
  private count = 0;

  constructor(
    private readonly rows: SharedRows,
    private readonly known: KnnGraph,
    private readonly width: number,
    /** New rows at once. */
    maxRows: number,
  ) {
    this.nodeOf = new Int32Array(known.nodeCount);
    this.madeFor = new Int32Array(known.nodeCount);
    const most = maxRows * Math.min(known.nodeCount + 1, 1 + (width - 1) * known.width);
    requireMemory(4 * most * (width + 1), `lists of ${width} for new rows and those around them`);
    this.members = new Int32Array(most);
    this.lists = new Int32Array(most * width);
  }

  /** `nearest` [count × k]: rows of the set nearest to each new row, which are rows `first` and on. */
  around(nearest: Int32Array, count: number, first: number): Local {
    const { width, rows, lists, nodeOf } = this;
    const k = nearest.length / count;
    const starts = new Int32Array(count + 1);
    this.count = 0;
    for (let i = 0; i < count; i++) {
      const own = nearest.subarray(i * k, (i + 1) * k);
      const start = this.count;
      this.made++;
      starts[i] = start;
      this.members[this.count++] = first + i;
      for (const row of own) this.add(row);
      for (const row of own) for (const next of this.listOf(row)) this.add(next);
      lists.fill(-1, start * width, this.count * width);
      lists[start * width] = start;
      for (let c = 0; c < k; c++) lists[start * width + 1 + c] = nodeOf[own[c]];
      const fresh = rows.row(first + i);
      for (let node = start + 1; node < this.count; node++) this.list(node, fresh, start);
    }
    starts[count] = this.count;
    const graph = allocateKnnGraph(this.count, width);
    graph.ids.set(lists.subarray(0, this.count * width));
    const members = this.members.slice(0, this.count);
    const x = SharedRows.allocate(members.length, rows.dim);
    x.eachRun(0, members.length, (view, from) => {
      const here = view.length / rows.dim;
      rows.gather(members.subarray(from, from + here), here, view);
    });
    return { graph, features: { kind: 'memory', name: 'new rows', rows: x.handle() }, rows: members, starts };
  }

  private add(row: number): void {
    if (this.madeFor[row] === this.made) return;
    this.madeFor[row] = this.made;
    this.nodeOf[row] = this.count;
    this.members[this.count++] = row;
  }

  /** Neighbours of a row of the set, itself left out. */
  private listOf(row: number): Int32Array {
    const { ids, width } = this.known;
    let end = 1;
    while (end < width && ids[row * width + end] >= 0) end++;
    return ids.subarray(row * width + 1, row * width + end);
  }

  /** Writes the list of a node as far as it lies in the graph, with the new row where it would stand. */
  private list(node: number, fresh: Float32Array, freshNode: number): void {
    const { rows, width, lists, members, madeFor, made, nodeOf } = this;
    const list = this.listOf(members[node]);
    const own = rows.row(members[node]);
    const cosine = dot(own, fresh);
    let place = 0;
    for (let end = list.length; place < end; ) {
      const middle = (place + end) >>> 1;
      if (dot(own, rows.row(list[middle])) >= cosine) place = middle + 1;
      else end = middle;
    }
    let at = node * width;
    lists[at++] = node;
    // The list has width − 1 places, also for neighbours that are not in the graph.
    for (let c = 0; c < Math.min(place, width - 1); c++) if (madeFor[list[c]] === made) lists[at++] = nodeOf[list[c]];
    if (place >= width - 1) return;
    lists[at++] = freshNode;
    const last = Math.min(list.length, width - 2);
    for (let c = place; c < last; c++) if (madeFor[list[c]] === made) lists[at++] = nodeOf[list[c]];
  }
}
