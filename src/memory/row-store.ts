/**
 * The engine's store of a row for each node: shared memory or a file, as float32 or bfloat16. Code that reads and writes rows
 * knows only `RowStore` and float32.
 */
import { allocateFile, FileRows } from './file-rows.js';
import type { FileWrites } from './file-writes.js';
import { HalfRows } from './half-rows.js';
import { OutgoingRows, type SegmentIndex, SegmentRows, type TaskSegments } from './segments.js';
import { SharedRows, type SharedRowsHandle } from './shared-rows.js';

export const precisions = ['f32', 'bf16'] as const;
/** The precision of a stored row. bf16 keeps 8 significant bits and halves memory, disk and traffic. */
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

/** The handle by which another thread opens the same store. */
export interface RowStoreHandle {
  readonly rowCount: number;
  readonly dim: number;
  readonly precision: Precision;
  /** Rows of 32-bit words: d of them, or d / 2 for bf16. */
  readonly words: SharedRowsHandle | { readonly path: string } | { readonly index: SegmentIndex | undefined };
}

export interface RowShape {
  readonly rowCount: number;
  /** Even for bf16. */
  readonly dim: number;
  readonly precision: Precision;
}

/** Rows of zeros in memory or, given a path, in a file; what a file of that name holds is kept. */
export function allocateRows(shape: RowShape, path?: string): RowStoreHandle {
  const wordsOfRow = wordsOf(shape);
  if (path === undefined) return { ...shape, words: SharedRows.allocate(shape.rowCount, wordsOfRow).handle() };
  allocateFile(path, shape.rowCount * wordsOfRow * 4);
  return { ...shape, words: { path } };
}

/** Opens a store on the calling thread. `writes` hears what is written to one in a file. */
export function openStore(handle: RowStoreHandle, writes?: FileWrites): RowStore {
  const { rowCount, precision, words } = handle;
  const wordsOfRow = wordsOf(handle);
  return inPrecision(precision, openWords());

  function openWords(): RowStore {
    if ('path' in words) return new FileRows(words.path, rowCount, wordsOfRow, writes);
    if ('windows' in words) return SharedRows.from(words);
    if (words.index === undefined) throw new Error('no task has left these rows yet');
    return new SegmentRows(words.index, rowCount, wordsOfRow);
  }
}

/** Rows that the running task appends to an array of its segments. */
export function openOutgoing(handle: RowStoreHandle, segments: TaskSegments, array: string): RowStore {
  return inPrecision(handle.precision, new OutgoingRows(segments, array, handle.rowCount, wordsOf(handle)));
}

/** 32-bit words of a row. */
function wordsOf({ dim, precision }: RowShape): number {
  return (dim * bytesOf[precision]) / 4;
}

function inPrecision(precision: Precision, words: RowStore): RowStore {
  return precision === 'bf16' ? new HalfRows(words) : words;
}
