/**
 * Rows of bfloat16 over a store of 32-bit words, two values a word: the upper half of a float32, rounded to nearest,
 * ties to even. A value keeps its range and 8 significant bits; NaN is not expected.
 */
import type { RowStore } from './row-store.js';

export class HalfRows implements RowStore {
  readonly rowCount: number;
  readonly dim: number;
  private words = new Float32Array(0);

  constructor(private readonly store: RowStore) {
    this.rowCount = store.rowCount;
    this.dim = 2 * store.dim;
  }

  gather(ids: Int32Array, count: number, out: Float32Array, columns: number = this.dim): void {
    const words = this.room((count * columns) / 2);
    this.store.gather(ids, count, words, columns / 2);
    widen(bitsOf(words), (count * columns) / 2, bitsOf(out));
  }

  scatter(rows: Float32Array, ids: Int32Array, count: number, columns: number = this.dim): void {
    const words = this.room((count * columns) / 2);
    narrow(bitsOf(rows), (count * columns) / 2, bitsOf(words));
    this.store.scatter(words, ids, count, columns / 2);
  }

  close(): void {
    this.store.close();
  }

  private room(length: number): Float32Array {
    if (this.words.length < length) this.words = new Float32Array(length);
    return this.words;
  }
}

function bitsOf({ buffer, byteOffset, length }: Float32Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length);
}

function widen(words: Int32Array, count: number, out: Int32Array): void {
  for (let i = 0; i < count; i++) {
    const pair = words[i];
    out[2 * i] = pair << 16;
    out[2 * i + 1] = pair & 0xffff0000;
  }
}

function narrow(values: Int32Array, count: number, words: Int32Array): void {
  for (let i = 0; i < count; i++) {
    const low = values[2 * i];
    const high = values[2 * i + 1];
    // Adding half of the last kept place, less one unless that place is odd, carries where the rest rounds up.
    words[i] = ((low + 0x7fff + ((low >>> 16) & 1)) >>> 16) | ((high + 0x7fff + ((high >>> 16) & 1)) & 0xffff0000);
  }
}
