/** The end of an approximate search: of the candidates of a row, those k that have the greatest cosine, in order. */
import type { KnnGraph } from '../graph/knn-graph.js';
import { Arena } from '../kernels/arena.js';
import { loadKernels } from '../kernels/kernels.js';
import * as scalar from '../kernels/scalar.js';
import { Halo } from '../memory/halo.js';
import type { UnitRows } from './unit-rows.js';

const localBytes = 2 ** 24;
const maxRows = 64;

/** Bytes that a thread allocates to refine lists of n rows. */
export function refinerBytes(rowCount: number, dim: number, candidates: number): number {
  const rowBytes = 4 * dim * (candidates + 1);
  return Math.max(rowBytes, Math.min(maxRows * rowBytes, localBytes)) + 4 * rowCount;
}

/** Cosines of rows and their candidates, on one thread. n rows, d columns, L candidates. */
export class CandidateCosines {
  /** Rows that `run` takes at once. */
  readonly rowsAtOnce: number;
  /** [rowsAtOnce × L] ids of candidates, −1 for none: filled by the caller. */
  readonly candidates: Int32Array;
  private readonly width: number;
  private readonly halo: Halo;
  private readonly local: Float32Array;
  private readonly lists: Int32Array;
  private readonly cosines: Float32Array;
  private readonly listDots: typeof scalar.listDots;

  constructor(
    private readonly rows: Pick<UnitRows, 'rowCount' | 'dim' | 'gather'>,
    private readonly candidateCount: number,
  ) {
    const { rowCount, dim } = rows;
    this.width = candidateCount + 1;
    this.rowsAtOnce = Math.max(1, Math.min(maxRows, Math.floor(localBytes / (this.width * dim * 4))));
    const localRows = Math.min(this.rowsAtOnce * this.width, rowCount);
    const arena = new Arena(4 * (localRows * dim + 2 * this.rowsAtOnce * this.width));
    this.candidates = new Int32Array(this.rowsAtOnce * candidateCount);
    this.halo = new Halo(rowCount, localRows);
    this.local = arena.float32(localRows * dim);
    this.lists = arena.int32(this.rowsAtOnce * this.width);
    this.cosines = arena.float32(this.rowsAtOnce * this.width);
    // The kernel takes rows of whole vectors only.
    this.listDots = dim % 4 === 0 ? loadKernels(arena).listDots : scalar.listDots;
  }

  /** Computes the cosines of rows `ids` and their candidates, for `of`. */
  run(ids: Int32Array): void {
    const { halo, lists, width, candidateCount } = this;
    halo.clear();
    for (let i = 0; i < ids.length; i++) {
      lists[i * width] = halo.slot(ids[i]);
      for (let c = 0; c < candidateCount; c++) {
        const id = this.candidates[i * candidateCount + c];
        lists[i * width + 1 + c] = id < 0 ? -1 : halo.slot(id);
      }
    }
    this.rows.gather(halo.ids, halo.count, this.local);
    this.listDots({ count: ids.length, width, dim: this.rows.dim, lists, rows: this.local, out: this.cosines });
  }

  /** The cosines of row i of the last run, by candidate [L]; without meaning where there is none. */
  of(i: number): Float32Array {
    return this.cosines.subarray(i * this.width + 1, (i + 1) * this.width);
  }
}

/** The search for the best candidates by cosine, on one thread. n rows, d columns, k neighbours, L candidates. */
export class Refiner {
  /** Rows that `write` takes at once. */
  readonly rowsAtOnce: number;
  /** [rowsAtOnce × L] ids of candidates, none the row itself and none twice, then −1: filled by the caller. */
  readonly candidates: Int32Array;
  /** The k-th cosine of each row last written; −Infinity of one that had fewer. */
  readonly leastKept: Float32Array;
  private readonly cosines: CandidateCosines;

  constructor(
    rows: Pick<UnitRows, 'rowCount' | 'dim' | 'gather'>,
    private readonly graph: KnnGraph,
    private readonly candidateCount: number,
  ) {
    this.cosines = new CandidateCosines(rows, candidateCount);
    this.rowsAtOnce = this.cosines.rowsAtOnce;
    this.candidates = this.cosines.candidates;
    this.leastKept = new Float32Array(this.rowsAtOnce);
  }

  /** Writes the lists of rows `ids` from their candidates. Returns those of them that had fewer than k. */
  write(ids: Int32Array): number[] {
    const { graph, candidateCount } = this;
    const k = graph.width - 1;
    this.cosines.run(ids);
    const short: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      const found = this.candidates.subarray(i * candidateCount, (i + 1) * candidateCount);
      const cosines = this.cosines.of(i);
      const count = sortByCosine(found, cosines);
      if (count < k) short.push(ids[i]);
      this.leastKept[i] = count < k ? Number.NEGATIVE_INFINITY : cosines[k - 1];
      const start = ids[i] * graph.width;
      graph.ids[start] = ids[i];
      graph.ids.set(found.subarray(0, k), start + 1);
    }
    return short;
  }
}

/** Sorts ids, of which −1 end the list, by falling cosine, then rising id. They come nearly in order. Returns how many. */
export function sortByCosine(ids: Int32Array, cosines: Float32Array): number {
  let end = 0;
  for (; end < ids.length && ids[end] >= 0; end++) {
    const id = ids[end];
    const cosine = cosines[end];
    let at = end;
    for (; at > 0 && (cosines[at - 1] < cosine || (cosines[at - 1] === cosine && ids[at - 1] > id)); at--) {
      ids[at] = ids[at - 1];
      cosines[at] = cosines[at - 1];
    }
    ids[at] = id;
    cosines[at] = cosine;
  }
  return end;
}
