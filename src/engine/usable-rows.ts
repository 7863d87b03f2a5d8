/** The consequence of a survey of the features for a run: it is refused, or goes on with some of the rows, or with all. */

import { NaanError } from '../errors.js';
import { runPlan } from '../execution/plan.js';
import { mapNodes, type NodeMap } from '../graph/node-map.js';
import { type MatrixLocation, openRows, shapeOf } from '../io/matrix.js';
import { badValue } from '../io/normalise.js';
import { type Survey, surveyPlan } from './survey.js';

export interface RowOptions {
  /** `collapse`, the default: of rows that are equal to the bit one is worked on, and the others get what it gets. */
  readonly duplicates?: 'collapse' | 'keep' | undefined;
  /** Rows of zeros, and rows with a NaN or an infinity: `refuse`, the default, is BAD_INPUT; `skip` leaves them out. */
  readonly badRows?: 'refuse' | 'skip' | undefined;
  /** Hears of rows that are left out or taken together. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

const namedRows = 5;

/** The rows to work on; undefined for all of them. Throws BAD_INPUT for bad rows, unless they may be left out and others stay. */
export function usableRows(
  features: MatrixLocation,
  { badRows, firstEqual }: Survey,
  options: RowOptions,
): NodeMap | undefined {
  const { name } = features;
  const { rowCount } = shapeOf(features);
  if (badRows.length > 0) {
    const found = describe(features, badRows);
    if (options.badRows !== 'skip') throw refused(found, ': --bad-rows skip leaves such rows out');
    if (badRows.length === rowCount) throw refused(`${found}, and no other is left`, '');
    options.onNotice?.(`${found}: left out`);
  }
  if (badRows.length === 0 && firstEqual === undefined) return undefined;
  const map = mapNodes(rowCount, badRows, firstEqual);
  if (firstEqual !== undefined) {
    const copy = firstEqual.findIndex((first, row) => first !== row);
    const copies =
      map.copies === 1
        ? '1 row is a copy of an earlier one and goes with it'
        : `${map.copies} rows are copies of earlier ones and go with them`;
    const first = `as row ${copy} with row ${firstEqual[copy]}`;
    options.onNotice?.(`${name}: ${copies}, ${first}; --duplicates keep takes each by itself`);
  }
  return map;
}

/** The rows of a map as features; all of them without one. */
export function featuresOf(features: MatrixLocation, map: NodeMap | undefined): MatrixLocation {
  return map === undefined ? features : { kind: 'some', name: features.name, of: features, rows: map.rows };
}

/** Looks at all rows on the calling thread. Throws BAD_INPUT for damage and for rows that cannot be used. */
export function checkRows(features: MatrixLocation): void {
  const { badRows } = runPlan(surveyPlan(features, false, 1));
  if (badRows.length > 0) throw refused(describe(features, badRows), '');
}

function refused(found: string, advice: string): NaanError {
  return new NaanError('BAD_INPUT', `${found}, expected finite features that are not all zero${advice}`);
}

/** The count of rows, and what is wrong with the first. */
function describe(features: MatrixLocation, rows: Int32Array): string {
  const reader = openRows(features);
  try {
    const x = new Float32Array(reader.dim);
    const told = Array.from(rows.subarray(0, namedRows), (row) => {
      reader.read(row, 1, x);
      return `row ${row} ${badValue(x)}`;
    });
    if (rows.length === 1) return `${features.name}: ${told[0]}`;
    const more = rows.length > namedRows ? `, and ${rows.length - namedRows} more` : '';
    return `${features.name}: ${rows.length} rows cannot be used: ${told.join(', ')}${more}`;
  } finally {
    reader.close();
  }
}
