/**
 * Where the engine keeps a row for each node: shared memory or a file, as float32 or bfloat16. Who reads and writes rows
 * knows only `RowStore` and float32.
 */
import { allocateFile, FileRows } from './file-rows.js';
import type { FileWrites } from './file-writes.js';
import { HalfRows } from './half-rows.js';
import { SharedRows, type SharedRowsHandle } from './shared-rows.js';

export const precisions = ['f32', 'bf16'] as const;
/** How a row is stored. bf16 keeps 8 significant bits and halves memory, disk and traffic. */
export type Precision = (typeof precisions)[number];

export const bytesOf: Readonly<Record<Precision, number>> = { f32: 4, bf16: 2 };

/** An n × d matrix that every thread opens for itself; disjoint rows may be written at once. */
export interface RowStore {
  readonly rowCount: number;
  readonly dim: number;
  /** Copies rows ids[0..count) to `out` [count × columns], the first `columns` of each. */
  gather(ids: Int32Array, count: number, out: Float32Array, columns?: number): void;
  /** Copies `rows` [count × columns] to the first columns of rows ids[0..count). The inverse of `gather`. */
  scatter(rows: Float32Array, ids: Int32Array, count: number, columns?: number): void;
  close(): void;
}

/** What another thread needs to open the same store. */
export interface RowStoreHandle {
  readonly rowCount: number;
  readonly dim: number;
  readonly precision: Precision;
  /** Rows of 32-bit words: d of them, or d / 2 for bf16. */
  readonly words: SharedRowsHandle | { readonly path: string };
}

export interface RowShape {
  readonly rowCount: number;
  /** Even for bf16. */
  readonly dim: number;
  readonly precision: Precision;
}

/** Rows of zeros in memory or, given a path, in a file; what a file of that name holds is kept. */
export function allocateRows(shape: RowShape, path?: string): RowStoreHandle {
  const wordsOfRow = (shape.dim * bytesOf[shape.precision]) / 4;
  if (path === undefined) return { ...shape, words: SharedRows.allocate(shape.rowCount, wordsOfRow).handle() };
  allocateFile(path, shape.rowCount * wordsOfRow * 4);
  return { ...shape, words: { path } };
}

/** Opens a store on the calling thread. `writes` hears what is written to one in a file. */
export function openStore({ rowCount, dim, precision, words }: RowStoreHandle, writes?: FileWrites): RowStore {
  const wordsOfRow = (dim * bytesOf[precision]) / 4;
  const rows = 'path' in words ? new FileRows(words.path, rowCount, wordsOfRow, writes) : SharedRows.from(words);
  return precision === 'bf16' ? new HalfRows(rows) : rows;
}
