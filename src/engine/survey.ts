/**
 * A look at all features before anything is computed from them, by all threads: whether an archive's bytes match their
 * checksum, which rows cannot be used, and which are copies of an earlier row. Each row is read once, front to back, so
 * whoever reads it next finds it in the page cache.
 *
 * A row's fingerprint is its product with fixed random numbers, summed in a fixed order: equal rows have equal ones, and
 * rows of equal fingerprint are compared byte by byte.
 */

import type { NodeRange } from '../cluster/scored-edges.js';
import { alone, type Plan, together } from '../execution/plan.js';
import { RandomStream } from '../graph/random.js';
import { type MatrixLocation, openRows, type RowReader, shapeOf } from '../io/matrix.js';
import { checkMember, MemberChecksum } from '../io/member-checksum.js';
import { itemBytes } from '../io/numbers.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';

export interface Survey {
  /** Rows with a NaN or an infinity, and rows of zeros, rising. */
  readonly badRows: Int32Array;
  /** The first row that each row is equal to, itself or an earlier one [n]; absent where no two are equal, or none were looked for. */
  readonly firstEqual?: Int32Array;
}

interface SurveyInput {
  readonly features: MatrixLocation;
  /** The fingerprint of each row; NaN for a bad one [n]. */
  readonly fingerprints: Float64Array;
  /** Gets all rows as they are [n × d]. */
  readonly into?: SharedRowsHandle | undefined;
}

type RangeInput = SurveyInput & NodeRange;

/** Bytes of rows that are looked at while they are in a core's cache; of a file in Fortran order rows come in pieces. */
const windowBytes = 2 ** 20;
const windowBytesByColumns = 2 ** 24;
const weightPurpose = 91;

/**
 * The work is split into `ranges` parts that may run at once. `into` gets all rows as they are, so that they are read once. Throws BAD_INPUT
 * for bytes that do not match their checksum.
 */
export function* surveyPlan(
  features: MatrixLocation,
  findCopies: boolean,
  ranges: number,
  into?: SharedRowsHandle,
): Plan<Survey> {
  const { rowCount } = shapeOf(features);
  const fingerprints = new Float64Array(new SharedArrayBuffer(8 * rowCount));
  const parts = Math.min(ranges, rowCount);
  const bound = (part: number) => Math.floor((rowCount * part) / parts);
  const inputs = Array.from({ length: parts }, (_, part): RangeInput => {
    return { features, fingerprints, into, from: bound(part), to: bound(part + 1) };
  });
  const surveyed = yield* together(surveyRows, inputs);
  if (features.kind === 'file' && features.member !== undefined) {
    const { path, name, member, offset, dim, type } = features;
    const sum = surveyed.reduce((whole, part) => whole ^ part.sum, 0);
    checkMember({ path, name, member }, offset, offset + rowCount * dim * itemBytes(type), sum);
  }
  const readFrom = into ? { kind: 'memory' as const, name: features.name, rows: into } : features;
  const firstEqual = findCopies ? yield* alone(findEqualRows, { features: readFrom, fingerprints }) : undefined;
  const badRows = Int32Array.from(surveyed.flatMap((part) => part.badRows));
  return { badRows, ...(firstEqual && { firstEqual }) };
}

/** Writes the fingerprints of rows; returns what their bytes add to the checksum of the whole, and the bad ones. */
export function surveyRows({ features, fingerprints, into, from, to }: RangeInput): { sum: number; badRows: number[] } {
  const badRows: number[] = [];
  const { dim } = shapeOf(features);
  const byColumns = features.kind === 'file' && features.fortran;
  const rowsAtOnce = Math.max(1, Math.floor((byColumns ? windowBytesByColumns : windowBytes) / (4 * dim)));
  const weights = weightsOf(dim);
  const x = new Float32Array(Math.min(rowsAtOnce, to - from) * dim);
  const member = features.kind === 'file' ? features.member : undefined;
  const rows = into && SharedRows.from(into);
  const checksum = member && new MemberChecksum(member);
  const reader = openRows(features, checksum && ((bytes, position) => checksum.add(bytes, position)));
  try {
    for (let start = from; start < to; start += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, to - start);
      reader.read(start, count, x);
      rows?.eachRun(start, count, (run, first) =>
        run.set(x.subarray((first - start) * dim, (first - start) * dim + run.length)),
      );
      for (let i = 0; i < count; i++) {
        fingerprints[start + i] = fingerprint(x, i * dim, weights);
        if (Number.isNaN(fingerprints[start + i])) badRows.push(start + i);
      }
    }
    return { sum: checksum?.sum ?? 0, badRows };
  } finally {
    reader.close();
  }
}

/**
 * The first row that each row is equal to; undefined where no two are. Rows are looked up by fingerprint in a table with open
 * addressing, which holds the first of equal rows only.
 */
export function findEqualRows({ features, fingerprints }: SurveyInput): Int32Array | undefined {
  const rowCount = fingerprints.length;
  const halves = new Uint32Array(fingerprints.buffer);
  const mask = 2 ** Math.ceil(Math.log2(2 * rowCount)) - 1;
  const table = new Int32Array(mask + 1).fill(-1);
  const pair = new RowPair(openRows(features));
  let firstEqual: Int32Array | undefined;
  try {
    for (let row = 0; row < rowCount; row++) {
      if (Number.isNaN(fingerprints[row])) continue;
      const hash = Math.imul(halves[2 * row] ^ Math.imul(halves[2 * row + 1], 0x85ebca6b), 0x9e3779b1);
      for (let place = (hash ^ (hash >>> 15)) & mask; ; place = (place + 1) & mask) {
        const earlier = table[place];
        if (earlier < 0) {
          table[place] = row;
          break;
        }
        if (fingerprints[earlier] !== fingerprints[row] || !pair.equal(earlier, row)) continue;
        firstEqual ??= new Int32Array(rowCount).map((_, own) => own);
        firstEqual[row] = earlier;
        break;
      }
    }
  } finally {
    pair.close();
  }
  return firstEqual;
}

/** Compares rows bit by bit. */
class RowPair {
  private readonly a: Float32Array;
  private readonly b: Float32Array;
  /** The row in `a`: that of many copies is read once. */
  private rowInA = -1;

  constructor(private readonly reader: RowReader) {
    this.a = new Float32Array(reader.dim);
    this.b = new Float32Array(reader.dim);
  }

  equal(earlier: number, later: number): boolean {
    if (this.rowInA !== earlier) this.reader.read(earlier, 1, this.a);
    this.rowInA = earlier;
    this.reader.read(later, 1, this.b);
    return Buffer.compare(new Uint8Array(this.a.buffer), new Uint8Array(this.b.buffer)) === 0;
  }

  close(): void {
    this.reader.close();
  }
}

/** NaN for a row with a NaN or an infinity, and for one of zeros. */
function fingerprint(x: Float32Array, start: number, weights: Float64Array): number {
  const dim = weights.length;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = 0;
  for (; i + 3 < dim; i += 4) {
    const at = start + i;
    a += x[at] * weights[i];
    b += x[at + 1] * weights[i + 1];
    c += x[at + 2] * weights[i + 2];
    d += x[at + 3] * weights[i + 3];
  }
  for (; i < dim; i++) a += x[start + i] * weights[i];
  const sum = a + b + (c + d);
  if (!Number.isFinite(sum)) return Number.NaN;
  return sum === 0 && x.subarray(start, start + dim).every((value) => value === 0) ? Number.NaN : sum;
}

/** Weights from 0.5 to 1.5: the product with a finite value is finite, and with any other it is not. */
function weightsOf(dim: number): Float64Array {
  const random = new RandomStream(1, weightPurpose, 0);
  return Float64Array.from({ length: dim }, () => 0.5 + random.uniform());
}
