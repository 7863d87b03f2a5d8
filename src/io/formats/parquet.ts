/** Parquet: features, labels and names of rows in one table. */
import { featuresOfParquet, itemsBesideParquet, itemsOfParquet, labelsOfParquet } from '../parquet.js';
import type { Format } from './format.js';

export const parquet: Format = {
  name: 'a Parquet file',
  claims: ({ start }) => Buffer.from(start.subarray(0, 4)).toString('latin1') === 'PAR1',
  features: featuresOfParquet,
  labels: labelsOfParquet,
  items: itemsOfParquet,
  itemsBeside: itemsBesideParquet,
};
