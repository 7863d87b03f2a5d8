/** The rows of a kNN search: unit vectors in shared memory. */
import { type MatrixLocation, openRows } from '../io/matrix.js';
import { normaliseRows } from '../io/normalise.js';
import { requireMemory } from '../memory/available.js';
import { SharedRows } from '../memory/shared-rows.js';

const windowBytes = 2 ** 23;

/**
 * The rows as unit vectors in shared memory: the caller's own when they lie there and are unit vectors already.
 * `onNotice` hears when rows had to be normalised. Throws BAD_INPUT for NaN, infinite or zero rows, OUT_OF_MEMORY.
 */
export function unitRows(features: MatrixLocation, onNotice?: (message: string) => void): SharedRows {
  const { rows, normalised } = load(features);
  if (normalised > 0) onNotice?.(`${features.name}: ${normalised} rows were not unit vectors and were normalised`);
  return rows;
}

function load(features: MatrixLocation): { rows: SharedRows; normalised: number } {
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
    requireMemory(4 * rowCount * dim, `${features.name}: ${rowCount} rows × ${dim} as unit vectors`);
    const rows = SharedRows.allocate(rowCount, dim);
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
