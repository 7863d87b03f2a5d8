import { describeLeftOut } from '../datasets/select.js';
import { type ExportSummary, exportSet } from '../jobs/export.js';
import type { Run } from './command.js';
import { count, duration, table } from './format.js';

export const run: Run<'export'> = async (values, { signal, onProgress, log }) => {
  const began = performance.now();
  const summary = await exportSet({ ...values, signal, onProgress, onNotice: log.warn });
  const seconds = (performance.now() - began) / 1000;
  return { json: { ...summary, seconds, out: values.out }, text: describe(summary, seconds, values.out) };
};

function describe({ rows, parts, leftOut }: ExportSummary, seconds: number, out: string): string {
  const written = Object.entries(parts).map(([name, { images, identities, firstLabel, lastLabel }]) => [
    name,
    `${count(images)} images of ${count(identities)} identities, labels ${firstLabel} to ${lastLabel}`,
  ]);
  const facts = table([...written, ['rows', count(rows)], ['time', duration(seconds)]]);
  return `${facts}\n\nof the rows ${describeLeftOut(leftOut)}\nwritten to ${out}`;
}
