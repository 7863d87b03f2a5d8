import { join } from 'node:path';
import { type ExtractSummary, extract, extractedFiles } from '../jobs/extract.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';

export const run: Run<'extract'> = async (values, { signal, onProgress, log }) => {
  const began = performance.now();
  const summary = await extract({ ...values, signal, onProgress, onNotice: log.warn });
  const seconds = (performance.now() - began) / 1000;
  return { json: { ...summary, seconds, out: values.out }, text: describe(summary, seconds, values.out) };
};

function describe({ images, rows, dim, failed, kept }: ExtractSummary, seconds: number, out: string): string {
  const facts = table([
    ['images', count(images)],
    ['embeddings', `${count(rows)} of ${dim} values`],
    ['could not be read', count(failed)],
    ['images a second', ((images - kept) / seconds).toFixed(1)],
    ['time', duration(seconds)],
  ]);
  const [features, items] = [join(out, extractedFiles.features), join(out, extractedFiles.items)];
  return `${facts}\n\nembeddings are in ${out}: naan label --features ${features} --items ${items}`;
}
