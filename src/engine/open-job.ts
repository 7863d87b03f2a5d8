/** Views of a job's shared memory, and the working memory that a thread needs for it. */
import { SharedDisjointSet } from '../cluster/shared-disjoint-set.js';
import { type CandidateEdges, EdgeBuilder } from '../graph/candidate-edges.js';
import { openRows, type RowReader } from '../io/matrix.js';
import { ColumnFiles } from './column-files.js';
import { Counters } from './counters.js';
import { Halo } from './halo.js';
import type { LabelJob } from './job.js';

export class OpenJob {
  readonly counters: Counters;
  readonly components: SharedDisjointSet;
  readonly halo: Halo;
  readonly reader: RowReader;
  readonly columns: ColumnFiles;
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
    this.columns = new ColumnFiles(job.workDir);
    this.ids = new Int32Array(job.batch);
  }

  close(): void {
    this.reader.close();
    this.columns.close();
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
