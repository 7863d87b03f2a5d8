/** Features, labels and names of rows in text: UTF-8, or UTF-16 behind its byte order mark. */
import { featuresOfText } from '../feature-text.js';
import { itemsOfTable, itemsOfText } from '../item-text.js';
import { readLabelText } from '../label-text.js';
import { startsLikeText } from '../text-records.js';
import type { Format } from './format.js';

export const text: Format = {
  name: 'text',
  claims: ({ start }) => startsLikeText(start),
  features: featuresOfText,
  labels: async (input) => readLabelText(input),
  items: itemsOfText,
  itemsBeside: itemsOfTable,
};
