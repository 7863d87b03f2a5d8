/** Views of a job's shared memory, and the working memory that a thread needs for it. */
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { Counters } from '../execution/counters.js';
import { type CandidateEdges, EdgeBuilder } from '../graph/candidate-edges.js';
import type { ReverseEdges } from '../graph/reverse-edges.js';
import { awaitLease } from '../io/lease.js';
import { openRows, type RowReader } from '../io/matrix.js';
import { type FileCheck, FileWrites, featureRows, type RangeCheck } from '../memory/file-writes.js';
import { Halo } from '../memory/halo.js';
import { openOutgoing, openStore, type RowStore } from '../memory/row-store.js';
import { arrayOf, checkSegment, readSegment, TaskSegments } from '../memory/segments.js';
import { ColumnFiles, columnFile } from './column-files.js';
import type { Stage } from './head.js';
import { checkCancelled, type LabelJob, type Shard } from './job.js';
import { type Column, rowsFile } from './storage.js';

export class OpenJob {
  readonly counters: Counters;
  readonly components: SharedDisjointSet;
  readonly halo: Halo;
  readonly reader: RowReader;
  /** Checksums of the bytes written to the files of a work directory. */
  readonly writes: FileWrites | undefined;
  private readonly columnFiles: ColumnFiles | undefined;
  /** Segments that are left for other machines. */
  private readonly segments: TaskSegments | undefined;
  private readonly outgoing = new Map<string, RowStore>();
  private readonly stores = new Map<string, RowStore>();
  private readonly ids: Int32Array;
  private stage: Stage | undefined;
  private builder: EdgeBuilder | undefined;

  /** `localRows`: most rows that a tile gathers. */
  constructor(
    readonly job: LabelJob,
    localRows: number,
  ) {
    this.counters = new Counters(job.counters);
    this.components = SharedDisjointSet.from(job.components);
    this.halo = new Halo(job.nodeCount, localRows);
    this.reader = openRows(job.features);
    const { work } = job;
    this.writes = work && new FileWrites(() => work.lease && awaitLease(work.lease, () => checkCancelled(job)));
    if (work?.segments) this.segments = new TaskSegments(work.path);
    else if (work) this.columnFiles = new ColumnFiles(work.path, this.writes);
    this.ids = new Int32Array(job.batch);
  }

  close(): void {
    this.reader.close();
    this.columnFiles?.close();
    this.segments?.abandon();
    for (const store of this.stores.values()) store.close();
    this.stores.clear();
  }

  /** Counts everything written from now on to this stage. */
  begin(stage: Stage, { index }: Shard): void {
    this.stage = stage;
    this.writes?.begin(stage.ofFeatures);
    this.segments?.begin(`${stage.name}-${stage.round}-${index}`);
  }

  /** Checksums of what the stage has left in files. */
  left(): FileCheck[] | undefined {
    return this.writes && [...this.writes.taken(), ...(this.segments?.taken() ?? [])];
  }

  /** Rows of the storage, to be read. */
  rows(name: string): RowStore {
    if (this.segments && this.stage?.rows.includes(name)) return this.outgoingRows(name, this.segments);
    let store = this.stores.get(name);
    if (store === undefined) {
      const handle = this.job.storage.rows[name];
      if (handle === undefined) throw new Error(`there are no rows '${name}' yet`);
      store = openStore(handle, this.writes);
      this.stores.set(name, store);
    }
    return store;
  }

  private outgoingRows(name: string, segments: TaskSegments): RowStore {
    let store = this.outgoing.get(name);
    if (store === undefined) {
      store = openOutgoing(this.job.storage.rows[name], segments, rowsFile(name));
      this.outgoing.set(name, store);
    }
    return store;
  }

  /** Rows that the stage leaves, to be written. */
  outputRows(name: string): RowStore {
    if (!this.stage?.rows.includes(name)) throw new Error(`stage '${this.stage?.name}' does not leave rows '${name}'`);
    return this.rows(name);
  }

  /** Values of a column, to be read. */
  column(name: string): Float32Array {
    return this.columnNamed(name).values;
  }

  /**
   * Values of a column that the stage leaves, to be written: each shard its own part. They are kept for a later process
   * once a tile is done.
   */
  output(name: string): Float32Array {
    if (!this.stage?.columns.includes(name)) {
      throw new Error(`stage '${this.stage?.name}' does not leave a column '${name}'`);
    }
    return this.column(name);
  }

  scratch(name: string): Float64Array {
    const values = this.job.storage.scratch[name];
    if (values === undefined) throw new Error(`there is no scratch memory '${name}' yet`);
    return values;
  }

  /** Keeps in files what the stage has left in columns for the nodes or the rows start .. end−1. */
  keepColumns(start: number, end: number): void {
    const { columnFiles, segments, stage } = this;
    if (!(columnFiles || segments) || !stage) return;
    for (const name of stage.columns) {
      const column = this.columnNamed(name);
      const { from, values } = this.part(column, start, end);
      if (stage.ofFeatures) this.gather(column, start, end, values);
      columnFiles?.keep(name, from, values);
      segments?.append(columnFile(name), bytesOf(values));
    }
  }

  /** Brings back what `keepColumns` has kept. */
  restoreColumns(start: number, end: number): void {
    const { columnFiles, stage } = this;
    if (!columnFiles || !stage) throw new Error('nothing was kept');
    for (const name of stage.columns) {
      const column = this.columnNamed(name);
      const { from, values } = this.part(column, start, end);
      columnFiles.recall(name, from, values);
      if (stage.ofFeatures) this.scatter(column, start, end, values);
    }
  }

  /** Brings back what a task has left for all of its shard, here or on another machine. Throws BAD_INPUT. */
  restoreSegments(start: number, end: number, left: readonly RangeCheck[]): void {
    const { stage, job } = this;
    if (!stage || !job.work) throw new Error('nothing was left');
    for (const name of stage.columns) {
      const column = this.columnNamed(name);
      const { values } = this.part(column, start, end);
      const segment = left.find(({ file }) => arrayOf(file) === columnFile(name));
      if (segment) readSegment(job.work.path, segment, bytesOf(values));
      else if (values.length > 0) throw new Error(`no segment of column '${name}' was named`);
      if (stage.ofFeatures) this.scatter(column, start, end, values);
    }
    // Rows are read in place, here and there: that they are whole is seen once, before.
    for (const name of stage.rows) {
      const segment = left.find(({ file }) => arrayOf(file) === rowsFile(name));
      if (segment) checkSegment(job.work.path, segment);
    }
  }

  private columnNamed(name: string): Column {
    const column = this.job.storage.columns[name];
    if (column === undefined) throw new Error(`there is no column '${name}' yet`);
    return column;
  }

  /**
   * Values of the nodes start .. end−1 or of their edges, and the number of the first of them. Rows of features are kept in
   * the order of their file, and lie elsewhere in memory.
   */
  private part({ per, width, values }: Column, start: number, end: number) {
    const { offsets } = this.job;
    const [from, to] = per === 'node' ? [start * width, end * width] : [offsets[start] * width, offsets[end] * width];
    const apart = this.stage?.ofFeatures && this.job.positions;
    return { from, values: apart ? new Float32Array(to - from) : values.subarray(from, to) };
  }

  private gather({ width, values }: Column, start: number, end: number, out: Float32Array): void {
    const { positions } = this.job;
    if (!positions) return;
    for (let row = start, at = 0; row < end; row++) {
      for (let c = 0; c < width; c++, at++) out[at] = values[positions[row] * width + c];
    }
  }

  private scatter({ width, values }: Column, start: number, end: number, kept: Float32Array): void {
    const { positions } = this.job;
    if (!positions) return;
    for (let row = start, at = 0; row < end; row++) {
      for (let c = 0; c < width; c++, at++) values[positions[row] * width + c] = kept[at];
    }
  }

  /** Rows from `start` on were read, to be used as they are: a later run knows them again. */
  readFeatures(start: number, rows: Float32Array): void {
    this.writes?.range(featureRows, start * this.reader.dim * 4, bytesOf(rows));
  }

  edgeBuilder(): EdgeBuilder {
    const { job } = this;
    const graph = { nodeCount: job.nodeCount, width: job.width, ids: job.neighbours };
    this.builder ??= new EdgeBuilder(graph, job.sampleHops, job.offsets, job.order);
    return this.builder;
  }

  edges(): CandidateEdges {
    const { nodeCount, offsets, targets } = this.job;
    if (!targets) throw new Error('the edges of this job are not counted yet');
    return { nodeCount, offsets, targets };
  }

  reverse(): ReverseEdges {
    const { reverse } = this.job;
    if (!reverse) throw new Error('the job has no reverse edges');
    return reverse;
  }

  /** The numbers start .. end-1, or where `map` puts them; valid until the next call. */
  own(start: number, end: number, map?: Int32Array): Int32Array {
    for (let i = start; i < end; i++) this.ids[i - start] = map ? map[i] : i;
    return this.ids;
  }
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
