/** Scalar twins of the SIMD kernels: the same results up to the order of additions, in plain loops over float64. */
import type {
  AttendInput,
  GreatestSumsInput,
  ListDotsInput,
  OfferPickedInput,
  OfferTileInput,
  PairScoresInput,
  ReachingInput,
  ReachingSumsInput,
  RowDotsInput,
  UpperBoundsInput,
} from './kernels.js';

export function attend(input: AttendInput): void {
  const { width, dim, lists, rows, weights, out } = input;
  for (let i = 0; i < input.count; i++) {
    const s = input.centre[i * input.scalarStride + input.head] + input.attentionBias;
    let length = 0;
    let largest = -Infinity;
    for (; length < width && lists[i * width + length] >= 0; length++) {
      const e = s + input.neighbour[lists[i * width + length] * input.scalarStride + input.head];
      weights[length] = e > 0 ? e : input.alpha * e;
      largest = Math.max(largest, weights[length]);
    }
    let sum = 0;
    for (let j = 0; j < length; j++) {
      weights[j] = Math.exp(weights[j] - largest);
      sum += weights[j];
    }
    for (let c = 0; c < dim; c++) {
      let value = 0;
      for (let j = 0; j < length; j++) {
        value += weights[j] * rows[lists[i * width + j] * input.rowStride + input.column + c];
      }
      const activated = Math.max(value / sum + input.outputBias[c], 0) * input.scale;
      out[i * dim + c] = input.accumulate ? out[i * dim + c] + activated : activated;
    }
  }
}

export function pairScores(input: PairScoresInput): void {
  const { dim, pairs, left, right, positive, negative } = input;
  for (let e = 0; e < input.edgeCount; e++) {
    const a = pairs[2 * e] * dim;
    const b = pairs[2 * e + 1] * dim;
    let gap = input.bias;
    for (let c = 0; c < dim; c++) {
      const x = left[a + c] + right[b + c];
      gap += x > 0 ? positive[c] * x : negative[c] * x;
    }
    input.gaps[e] = gap;
  }
}

export function rowDots(input: RowDotsInput): void {
  for (let i = 0; i < input.count; i++) {
    let sum = 0;
    for (let c = 0; c < input.dim; c++) sum += input.rows[i * input.stride + input.column + c] * input.vector[c];
    input.out[i * input.outStride + input.outColumn] = sum;
  }
}

export function rowNorms(count: number, dim: number, rows: Float32Array, out: Float32Array): void {
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let c = 0; c < dim; c++) sum += rows[i * dim + c] ** 2;
    out[i] = sum;
  }
}

/** The inner product of two rows of one length, summed in order in float64. */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}

export function listDots({ count, width, dim, lists, rows, out }: ListDotsInput): void {
  for (let at = 0; at < count * width; at++) {
    if (lists[at] < 0) continue;
    const centre = lists[at - (at % width)] * dim;
    let sum = 0;
    for (let c = 0; c < dim; c++) sum += rows[centre + c] * rows[lists[at] * dim + c];
    out[at] = sum;
  }
}

/** Keeps the lists in order all the time. */
export function offerTile(input: OfferTileInput): void {
  const { rows, columns, similarities, k, firstRow, firstColumn } = input;
  const rowLists = keysOf(input.rowLists);
  const columnLists = input.columnLists && keysOf(input.columnLists);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const similarity = similarities[i * columns + j];
      if (Number.isNaN(similarity)) continue;
      insert(rowLists, i * k, k, keyOf(similarity, firstColumn + j));
      if (columnLists) insert(columnLists, j * k, k, keyOf(similarity, firstRow + i));
    }
  }
}

export function reaching({ rows, columns, similarities, leastOfColumn, places }: ReachingInput): void {
  places[0] = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (similarities[i * columns + j] >= leastOfColumn[j]) places[++places[0]] = i * columns + j;
    }
  }
}

export function leastKept(count: number, k: number, lists: Float32Array, out: Float32Array): void {
  const keys = keysOf(lists);
  for (let i = 0; i < count; i++) {
    let least = keys[i * k];
    for (let c = 1; c < k; c++) if (keys[i * k + c] < least) least = keys[i * k + c];
    out[i] = least === 0n ? Number.NEGATIVE_INFINITY : similarityOf(least);
  }
}

/** Keeps the lists in order all the time, and looks at nothing else. */
export function offerPicked(input: OfferPickedInput): void {
  const { rows, columns, similarities, k, picked, firstRow, firstColumn } = input;
  const rowLists = keysOf(input.rowLists);
  const columnLists = keysOf(input.columnLists);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const [rowId, columnId] = [firstRow + picked[i], firstColumn + j];
      if (rowId === columnId) continue;
      const similarity = similarities[i * columns + j];
      insertOnce(rowLists, picked[i] * k, k, keyOf(similarity, columnId));
      insertOnce(columnLists, j * k, k, keyOf(similarity, rowId));
    }
  }
}

export function upperBounds(input: UpperBoundsInput): void {
  const { rows, columns, sums, rowSteps, rowMargins, columnSteps, columnMargins } = input;
  const bounds = new Float32Array(sums.buffer, sums.byteOffset, sums.length);
  const round = Math.fround;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const at = i * columns + j;
      const scaled = round(sums[at] * round(rowSteps[i] * columnSteps[j]));
      bounds[at] = scaled + round(rowMargins[i] + columnMargins[j]);
    }
  }
}

export function greatestSums({ rows, columns, sums, firstColumn, greatest, places }: GreatestSumsInput): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (sums[i * columns + j] <= greatest[i]) continue;
      greatest[i] = sums[i * columns + j];
      places[i] = firstColumn + j;
    }
  }
}

export function reachingSums({ rows, columns, sums, firstRow, least, pairs }: ReachingSumsInput): void {
  let count = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (sums[i * columns + j] >= least[i]) pairs[++count] = j * 65536 + firstRow + i;
    }
  }
  pairs[0] = count;
}

export function turnRows(count: number, rowBytes: number, zero: number, rows: Uint8Array, columns: Int8Array): void {
  for (let c = 0; c < rowBytes; c++) {
    for (let i = 0; i < count; i++) columns[c * count + i] = rows[i * rowBytes + c] - zero;
  }
}

export function pickRows(count: number, rowBytes: number, picked: Int32Array, rows: Uint8Array, out: Uint8Array): void {
  for (let i = 0; i < count; i++) {
    out.set(rows.subarray(picked[i] * rowBytes, (picked[i] + 1) * rowBytes), i * rowBytes);
  }
}

function insertOnce(keys: BigUint64Array, start: number, k: number, key: bigint): void {
  if (!keys.subarray(start, start + k).includes(key)) insert(keys, start, k, key);
}

function keysOf(lists: Float32Array): BigUint64Array {
  return new BigUint64Array(lists.buffer, lists.byteOffset, lists.length / 2);
}

const word = new DataView(new ArrayBuffer(4));

/** The similarity of a key. */
function similarityOf(key: bigint): number {
  const ordered = Number(key >> 32n);
  word.setUint32(0, ordered >= 2 ** 31 ? ordered - 2 ** 31 : 2 ** 32 - 1 - ordered);
  return word.getFloat32(0);
}

function keyOf(similarity: number, id: number): bigint {
  word.setFloat32(0, similarity + 0);
  const bits = word.getUint32(0);
  const ordered = (bits & 0x80000000) === 0 ? bits | 0x80000000 : ~bits;
  return (BigInt(ordered >>> 0) << 32n) | BigInt(~id >>> 0);
}

function insert(keys: BigUint64Array, start: number, k: number, key: bigint): void {
  let at = start + k - 1;
  if (keys[at] >= key) return;
  for (; at > start && keys[at - 1] < key; at--) keys[at] = keys[at - 1];
  keys[at] = key;
}
