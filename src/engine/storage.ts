/** The memory and the files of what a head keeps for each node and edge, as its `Storage` describes them. */
import { join } from 'node:path';
import { allocateRows, bytesOf, type Precision, type RowStoreHandle } from '../memory/row-store.js';
import { sharedDoubles, sharedFloats } from '../memory/shared-arrays.js';
import { columnFile } from './column-files.js';
import type { Stage, Storage } from './head.js';

export interface Column {
  readonly per: 'node' | 'edge';
  /** Values of a node or an edge. */
  readonly width: number;
  /** [nodes or edges × width], in shared memory. */
  readonly values: Float32Array;
}

/** The handle that threads open a storage by: plain data and shared memory. */
export interface StorageHandle {
  readonly rows: Readonly<Record<string, RowStoreHandle>>;
  readonly columns: Readonly<Record<string, Column>>;
  readonly scratch: Readonly<Record<string, Float64Array>>;
}

export interface StorageOptions {
  readonly precision: Precision;
  /** Rows go to files in this folder. */
  readonly folder: string | undefined;
  /** Tasks leave rows in segments: there is nothing to allocate for them. */
  readonly segments?: boolean;
}

/** Allocates what is kept for each of `count` nodes or edges. Throws OUT_OF_MEMORY, and NOT_WRITABLE for files. */
export function allocateStorage(
  storage: Storage,
  per: 'node' | 'edge',
  count: number,
  { precision, folder, segments = false }: StorageOptions,
): StorageHandle {
  const rows: Record<string, RowStoreHandle> = {};
  for (const { name, width, exact, memory } of storage.rows.filter((kept) => kept.per === per)) {
    const shape = { rowCount: count, dim: width, precision: exact ? ('f32' as const) : precision };
    if (segments) {
      rows[name] = { ...shape, words: { index: undefined } };
      continue;
    }
    const shared = folder === undefined && memory !== undefined ? rows[memory] : undefined;
    rows[name] = shared ?? allocateRows(shape, folder && join(folder, rowsFile(name)));
  }
  const columns: Record<string, Column> = {};
  const memories = new Map<string, Float32Array>();
  for (const { name, width, memory = name } of storage.columns.filter((kept) => kept.per === per)) {
    const values = memories.get(memory) ?? sharedFloats(count * width);
    memories.set(memory, values);
    columns[name] = { per, width, values };
  }
  const scratch: Record<string, Float64Array> = {};
  for (const { name, width } of storage.scratch.filter((kept) => kept.per === per)) {
    scratch[name] = sharedDoubles(count * width);
  }
  return { rows, columns, scratch };
}

export function joinStorage(one: StorageHandle, other: StorageHandle): StorageHandle {
  return {
    rows: { ...one.rows, ...other.rows },
    columns: { ...one.columns, ...other.columns },
    scratch: { ...one.scratch, ...other.scratch },
  };
}

/** Bytes of a node or an edge. */
export interface StorageBytes {
  readonly rows: number;
  /** Columns and scratch. */
  readonly columns: number;
  /** Rows and columns in the files of a work directory. */
  readonly files: number;
}

export function storageBytes(
  { rows, columns, scratch }: Storage,
  per: 'node' | 'edge',
  precision: Precision,
): StorageBytes {
  const each = <Spec extends { per: string; width: number; name: string; memory?: string }>(
    specs: readonly Spec[],
    bytes: (spec: Spec) => number,
    everyName: boolean,
  ) => {
    const sizes = new Map<string, number>();
    for (const spec of specs.filter((spec) => spec.per === per)) {
      sizes.set(everyName ? spec.name : (spec.memory ?? spec.name), spec.width * bytes(spec));
    }
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  };
  const rowBytes = ({ exact }: Storage['rows'][number]) => (exact ? 4 : bytesOf[precision]);
  return {
    rows: each(rows, rowBytes, false),
    columns: each(columns, () => 4, false) + each(scratch, () => 8, false),
    files: each(rows, rowBytes, true) + each(columns, () => 4, true),
  };
}

/** The file of rows. */
export function rowsFile(name: string): string {
  return `${name}.rows`;
}

/** Files of a work directory that the shards of a stage write, each shard its own part. */
export function filesOf({ rows, columns }: Stage): string[] {
  return [...rows.map(rowsFile), ...columns.map(columnFile)];
}

/** Whether a later stage writes to the same files as an earlier one, and so over what that one left. */
export function writesOver(later: Stage, earlier: Stage): boolean {
  return (
    later.rows.some((name) => earlier.rows.includes(name)) ||
    later.columns.some((name) => earlier.columns.includes(name))
  );
}
