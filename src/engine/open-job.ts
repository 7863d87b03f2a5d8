/** Views of a job's shared memory, and the working memory that a thread needs for it. */
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { Counters } from '../execution/counters.js';
import { type CandidateEdges, EdgeBuilder } from '../graph/candidate-edges.js';
import { openRows, type RowReader } from '../io/matrix.js';
import { ColumnFiles } from '../memory/column-files.js';
import { FileWrites } from '../memory/file-writes.js';
import { Halo } from '../memory/halo.js';
import { checkCancelled, type LabelJob } from './job.js';
import { awaitLease } from './lease.js';

/** Stands for the features among files that a shard's checksums are of. */
export const featureRows = 'features';

export class OpenJob {
  readonly counters: Counters;
  readonly components: SharedDisjointSet;
  readonly halo: Halo;
  readonly reader: RowReader;
  readonly columns: ColumnFiles;
  /** What is written to the files of a work directory. */
  readonly writes: FileWrites | undefined;
  private readonly ids: Int32Array;
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
    this.writes = work && new FileWrites(() => awaitLease(work.lease, () => checkCancelled(job)));
    this.columns = new ColumnFiles(work?.path, this.writes);
    this.ids = new Int32Array(job.batch);
  }

  close(): void {
    this.reader.close();
    this.columns.close();
  }

  /** Rows from `start` on were read, to be used as they are: a later run knows them again. */
  readFeatures(start: number, rows: Float32Array): void {
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
    this.writes?.range(featureRows, start * this.reader.dim * 4, bytes);
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
