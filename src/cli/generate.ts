import { generate } from '../jobs/generate.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';

export const run: Run<'generate'> = async (values, { signal, onProgress }) => {
  const began = performance.now();
  const summary = await generate({ ...values, signal, onProgress });
  const seconds = (performance.now() - began) / 1000;
  const splits = Object.entries(summary).map(([name, { nodes, identities }]) => [
    name,
    `${count(nodes)} rows of ${count(identities)} identities`,
  ]);
  const facts = table([...splits, ['time', duration(seconds)]]);
  return { json: { ...summary, seconds, out: values.out }, text: `${facts}\n\nwritten to ${values.out}` };
};
