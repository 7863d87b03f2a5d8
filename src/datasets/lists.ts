/** Sets as lists of images and labels, which say nothing of the images themselves. */
import { NaanError } from '../errors.js';
import { csvField } from '../io/label-table.js';
import { quoted } from '../io/messages.js';
import type { DatasetWriter, Destination, Part } from './dataset.js';
import { writeLines } from './hashed-file.js';

/** `item,label` (RFC 4180). */
export const csv: DatasetWriter = {
  name: 'csv',
  write: (part, destination) =>
    list(part, destination, 'csv', (i) => `${csvField(part.item(i))},${part.labels[i]}\n`, 'item,label\n'),
};

/** `{"item": …, "label": …}` a line. */
export const jsonLines: DatasetWriter = {
  name: 'jsonl',
  write: (part, destination) =>
    list(part, destination, 'jsonl', (i) => `${JSON.stringify({ item: part.item(i), label: part.labels[i] })}\n`),
};

/** Path and label of an image a line, a blank between them: the label is what stands behind the last blank. */
export const fileList: DatasetWriter = {
  name: 'filelist',
  write: (part, destination) =>
    list(part, destination, 'txt', (i) => `${plain(part.item(i), 'a line of a list')} ${part.labels[i]}\n`),
};

/** MXNet's list for im2rec: number from 0, label and path between tabs. */
export const lst: DatasetWriter = {
  name: 'lst',
  write: (part, destination) => writeLst(part, destination, 0),
};

/** Numbers from `first` on, which are keys of records where there are any. */
export function writeLst(part: Part, destination: Destination, first: number): Promise<void> {
  const lineOf = (i: number) => `${first + i}\t${part.labels[i]}\t${plain(part.item(i), 'an .lst file')}\n`;
  return list(part, destination, 'lst', lineOf);
}

function list(part: Part, destination: Destination, ending: string, lineOf: (i: number) => string, header?: string) {
  const advance = (done: number) => destination.advance(part, done);
  return writeLines(destination, `${part.name}.${ending}`, part.count, lineOf, { advance, ...(header && { header }) });
}

/** These lists know no quotes. */
function plain(item: string, where: string): string {
  if (!/[\t\r\n]/.test(item)) return item;
  const problem = 'has a tab or a line break in it';
  throw new NaanError(
    'BAD_INPUT',
    `item ${quoted(item)}: ${problem}, which ${where} cannot hold: export as csv or jsonl`,
  );
}
