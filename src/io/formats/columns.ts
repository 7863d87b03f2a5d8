/** Tables that are stored by columns: features, labels and names of rows in one file. */
import { startsAsArrow } from '../arrow-messages.js';
import { featuresOfColumns, itemsBesideColumns, itemsOfColumns, labelsOfColumns } from '../column-table.js';
import type { TableForm } from '../table-process.js';
import type { Format, Sniffed } from './format.js';

export const parquet = columnFormat('parquet', 'a Parquet file', ({ start }) =>
  Buffer.from(start.subarray(0, 4)).equals(Buffer.from('PAR1')),
);

export const arrow = columnFormat('arrow', 'an Arrow file', ({ start }) => startsAsArrow(start));

function columnFormat(form: TableForm, name: string, claims: (file: Sniffed) => boolean): Format {
  return {
    name,
    claims,
    features: (input) => featuresOfColumns(form, input),
    labels: (input) => labelsOfColumns(form, input),
    items: (input) => itemsOfColumns(form, input),
    itemsBeside: (path) => itemsBesideColumns(form, path),
  };
}
