/**
 * Where an n × d matrix of features lies, and reading rows of it.
 * A location is plain data that any thread can open, so workers read their own rows from the file and the matrix as a
 * whole need never be in memory.
 */
import type { SharedRowsHandle } from '../memory/shared-rows.js';

export type MatrixLocation =
  | {
      readonly kind: 'file';
      readonly path: string;
      /** What to call this matrix in messages: the path, and the member of an archive. */
      readonly name: string;
      /** Byte offset of element (0, 0). */
      readonly offset: number;
      readonly rowCount: number;
      readonly dim: number;
      readonly type: 'f2' | 'f4' | 'f8';
      readonly littleEndian: boolean;
      /** Column-major. */
      readonly fortran: boolean;
    }
  | { readonly kind: 'memory'; readonly name: string; readonly rows: SharedRowsHandle };

/** Reads rows [start, start + count) as float32 into out [count × d]. Values are as stored: not checked, not normalised. */
export interface RowReader {
  readonly rowCount: number;
  readonly dim: number;
  read(start: number, count: number, out: Float32Array): void;
  close(): void;
}
