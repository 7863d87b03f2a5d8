/** Labels in text: UTF-8, or UTF-16 behind its byte order mark. */
import { readLabelText, startsLikeText } from '../label-text.js';
import type { Format } from './format.js';

export const text: Format = {
  name: 'text',
  claims: ({ start }) => startsLikeText(start),
  labels: async (input) => readLabelText(input),
};
