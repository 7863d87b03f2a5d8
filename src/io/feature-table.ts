/** Features in a table, whose rows are read from front to back: how their values get to where rows lie in memory. */
import { NaanError } from '../errors.js';
import type { DeflatedMatrix, RowTarget } from './matrix.js';
import { quoted } from './messages.js';

/** Titles that people give to a column of embeddings. */
export const usualFeatureTitles = ['embs', 'embeddings', 'embedding', 'features', 'feats', 'feature', 'vector', 'x'];

/** Takes the next row: its values in order. */
type TakeRow = (values: ArrayLike<unknown>) => void;

export interface FeatureTable {
  /** The file, and the column of it, for messages. */
  readonly name: string;
  readonly rowCount: number;
  readonly dim: number;
  /** Gives all rows in order; `where` says where the row that is given lies. */
  each(take: TakeRow): Promise<void>;
  readonly where: (row: number) => string;
}

/** The table as features, to be read into memory. Throws BAD_SHAPE when it has no rows or no values. */
export function featuresOfTable({ name, rowCount, dim, each, where }: FeatureTable): DeflatedMatrix {
  if (rowCount === 0 || dim === 0)
    throw new NaanError('BAD_SHAPE', `${name}: shape (${rowCount},${dim}), expected features [n × d]`);
  const fill = async (rows: RowTarget) => {
    let row = 0;
    await each((values) => {
      if (row === rowCount)
        throw new NaanError('BAD_INPUT', `${name}: has more rows than ${rowCount}: it was changed meanwhile`);
      put(values, rows.row(row), where, row);
      row++;
    });
    if (row < rowCount) throw new NaanError('BAD_INPUT', `${name}: ends after ${row} rows, expected ${rowCount}`);
  };
  return { kind: 'deflated', name, rowCount, dim, fill };
}

function put(values: ArrayLike<unknown>, out: Float32Array, where: (row: number) => string, row: number): void {
  if (values?.length !== out.length) {
    const got = values?.length === undefined ? 'no values' : `${values.length} values`;
    throw new NaanError('BAD_INPUT', `${where(row)}: ${got}, expected ${out.length} as the first row has`);
  }
  for (let i = 0; i < out.length; i++) {
    const value = values[i];
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof number !== 'number' || (Number.isNaN(number) && !/^\s*[+-]?nan\s*$/i.test(String(value)))) {
      throw new NaanError(
        'BAD_INPUT',
        `${where(row)}: value ${i} is ${quoted(String(value).slice(0, 40))}, expected a number`,
      );
    }
    out[i] = number;
  }
}
