/** The rows of a kNN search as unit vectors: in shared memory, or read from the features each time. */
import type { NodeMap } from '../graph/node-map.js';
import { type FeatureLocation, type MatrixLocation, openRows } from '../io/matrix.js';
import { normaliseRows } from '../io/normalise.js';
import { requireMemory } from '../memory/available.js';
import { SharedRows, type SharedRowsHandle } from '../memory/shared-rows.js';

const windowBytes = 2 ** 23;

/** Unit vectors [n × d], read on the thread that opened them. */
export interface UnitRows {
  readonly rowCount: number;
  readonly dim: number;
  /** Rows that were scaled while they were read, each time that they were; 0 where they lie in memory. */
  readonly normalised: number;
  /** Rows [start, start + count) → out [count × d]. */
  read(start: number, count: number, out: Float32Array): void;
  /** Rows ids[0 .. count) → out [count × d]. */
  gather(ids: Int32Array, count: number, out: Float32Array): void;
  close(): void;
}

/** The place of the same rows for another thread: shared memory, or where the features lie. */
export type UnitRowsHandle = SharedRowsHandle | { readonly features: MatrixLocation };

/** Opens rows on the calling thread. Reading throws BAD_INPUT for NaN, infinite or zero rows of features. */
export function openUnitRows(handle: UnitRowsHandle): UnitRows {
  return 'features' in handle ? rowsOfFeatures(handle.features) : rowsInMemory(SharedRows.from(handle));
}

function rowsInMemory(rows: SharedRows): UnitRows {
  const { rowCount, dim } = rows;
  return {
    rowCount,
    dim,
    normalised: 0,
    read: (start, count, out) => rows.eachRun(start, count, (view, first) => out.set(view, (first - start) * dim)),
    gather: (ids, count, out) => rows.gather(ids, count, out),
    close() {},
  };
}

function rowsOfFeatures(features: MatrixLocation): UnitRows {
  const reader = openRows(features);
  const { rowCount, dim } = reader;
  let normalised = 0;
  const read = (start: number, count: number, out: Float32Array) => {
    const rows = out.subarray(0, count * dim);
    reader.read(start, count, rows);
    normalised += normaliseRows(rows, start, count, dim, features.name);
  };
  return {
    rowCount,
    dim,
    get normalised() {
      return normalised;
    },
    read,
    // Rows that lie side by side are read together.
    gather(ids, count, out) {
      for (let i = 0; i < count; ) {
        let run = 1;
        while (i + run < count && ids[i + run] === ids[i] + run) run++;
        read(ids[i], run, out.subarray(i * dim, (i + run) * dim));
        i += run;
      }
    },
    close: () => reader.close(),
  };
}

/**
 * The rows as unit vectors in shared memory: the caller's own when they lie there and are unit vectors already.
 * `onNotice` hears when rows had to be normalised. Throws as `loadUnitRows`.
 */
export function unitRows(features: MatrixLocation, onNotice?: (message: string) => void): SharedRows {
  const { rows, normalised } = loadUnitRows(features);
  tellNormalised(features, normalised, onNotice);
  return rows;
}

/** Says how many rows had to be scaled, if any had. */
export function tellNormalised(
  features: MatrixLocation,
  normalised: number,
  onNotice?: (message: string) => void,
): void {
  if (normalised > 0) onNotice?.(`${features.name}: ${normalised} rows were not unit vectors and were normalised`);
}

/** Makes room for rows as unit vectors. Throws OUT_OF_MEMORY. */
export function roomForUnitRows({ name }: FeatureLocation, rowCount: number, dim: number): SharedRows {
  requireMemory(4 * rowCount * dim, `${name}: ${rowCount} rows × ${dim} as unit vectors`);
  return SharedRows.allocate(rowCount, dim);
}

/** Rows in memory that are the search's own as unit vectors, where they lie; of a map those alone, moved up. Throws BAD_INPUT. */
export function makeUnitRows(rows: SharedRows, name: string, map: NodeMap | undefined) {
  const { dim, windows } = rows;
  if (map) for (const [place, row] of map.rows.entries()) if (place < row) rows.row(place).set(rows.row(row));
  const own = map ? SharedRows.from({ rowCount: map.rows.length, dim, windows }) : rows;
  let normalised = 0;
  own.eachRun(0, own.rowCount, (view, first) => {
    normalised += normaliseRows(view, first, view.length / dim, dim, name);
  });
  return { rows: own, normalised };
}

/** The same, and how many rows had to be normalised. Throws BAD_INPUT for NaN, infinite or zero rows, OUT_OF_MEMORY. */
export function loadUnitRows(features: MatrixLocation): { rows: SharedRows; normalised: number } {
  const reader = openRows(features);
  const { rowCount, dim } = reader;
  const step = Math.max(1, Math.floor(windowBytes / (dim * 4)));
  try {
    if (features.kind === 'memory') {
      const scratch = new Float32Array(Math.min(step, rowCount) * dim);
      let normalised = 0;
      for (let start = 0; start < rowCount && normalised === 0; start += step) {
        const count = Math.min(step, rowCount - start);
        reader.read(start, count, scratch);
        normalised += normaliseRows(scratch, start, count, dim, features.name);
      }
      if (normalised === 0) return { rows: SharedRows.from(features.rows), normalised };
    }
    const rows = roomForUnitRows(features, rowCount, dim);
    let normalised = 0;
    for (let start = 0; start < rowCount; start += step) {
      rows.eachRun(start, Math.min(step, rowCount - start), (view, first) => {
        reader.read(first, view.length / dim, view);
        normalised += normaliseRows(view, first, view.length / dim, dim, features.name);
      });
    }
    return { rows, normalised };
  } finally {
    reader.close();
  }
}
