/** Features in several files, one behind the other: put into memory once, each straight to where its rows lie. */
import { NaanError } from '../errors.js';
import type { Items } from './item-list.js';
import { type DeflatedMatrix, type FeatureLocation, openRows, type RowTarget, shapeOf } from './matrix.js';

/** Rows that are copied at once from a file that is read in place. */
const bytesAtOnce = 2 ** 22;

/** Throws BAD_SHAPE where dimensions differ. */
export function joinFeatures(name: string, parts: readonly FeatureLocation[]): DeflatedMatrix {
  const { dim } = shapeOf(parts[0]);
  let rowCount = 0;
  for (const part of parts) {
    const shape = shapeOf(part);
    if (shape.dim !== dim) {
      throw new NaanError('BAD_SHAPE', `${part.name}: dimension ${shape.dim}, expected ${dim} as ${parts[0].name} has`);
    }
    rowCount += shape.rowCount;
  }
  const fill = async (rows: RowTarget) => {
    let start = 0;
    for (const part of parts) {
      await fillFrom(part, rowsFrom(rows, start, shapeOf(part).rowCount));
      start += shapeOf(part).rowCount;
    }
  };
  return { kind: 'deflated', name, rowCount, dim, fill };
}

/** Names of the rows of several files, in their order. */
export function joinItems(name: string, parts: readonly Items[]): Items {
  return {
    name,
    async count() {
      let total = 0;
      for (const part of parts) total += await part.count();
      return total;
    },
    async each(visit) {
      let start = 0;
      for (const part of parts) {
        let end = start;
        await part.each((names, first) => {
          end = start + first + names.length;
          return visit(names, start + first);
        });
        start = end;
      }
    },
    mayBeIdentities: parts.some(({ mayBeIdentities }) => mayBeIdentities),
  };
}

async function fillFrom(part: FeatureLocation, rows: RowTarget): Promise<void> {
  if (part.kind === 'deflated') return part.fill(rows);
  const reader = openRows(part);
  try {
    const atOnce = Math.max(1, Math.floor(bytesAtOnce / (4 * rows.dim)));
    for (let start = 0; start < rows.rowCount; start += atOnce) {
      rows.eachRun(start, Math.min(atOnce, rows.rowCount - start), (view, first) => {
        reader.read(first, view.length / rows.dim, view);
      });
    }
  } finally {
    reader.close();
  }
}

/** Rows [start, start + count) of a target as one of their own. */
function rowsFrom(rows: RowTarget, start: number, count: number): RowTarget {
  return {
    rowCount: count,
    dim: rows.dim,
    row: (index) => rows.row(start + index),
    eachRun: (first, some, visit) => rows.eachRun(start + first, some, (view, at) => visit(view, at - start)),
  };
}
