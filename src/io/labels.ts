/** Labels, one a row, in any format that has `labels` (see formats/formats.ts). −1 means none. */
import { NaanError } from '../errors.js';
import { putInteger } from './decimal-text.js';
import { formatOf } from './formats/formats.js';
import { inputsOf, parseInput } from './input-file.js';
import { LabelGatherer, type Labels, nameOf } from './label-codes.js';
import { oneLine, quoted } from './messages.js';
import { writeOutput } from './output-file.js';

const newline = 10;

/**
 * Reads the labels in `file`, `file:array` of an archive or `file:column` of a table. Throws BAD_INPUT, naming the line or
 * row that has no label, or BAD_SHAPE.
 */
export async function readLabels(file: string): Promise<Labels> {
  const parts: Labels[] = [];
  for (const one of inputsOf(file)) {
    const input = parseInput(one);
    parts.push(await formatOf(input.path, 'labels').labels(input));
  }
  return parts.length === 1 ? parts[0] : joinLabels(file, parts);
}

/** Reads the labels in files of features; undefined where one has none. Throws as `readLabels`. */
export async function readLabelsBeside(features: string): Promise<Labels | undefined> {
  const parts: Labels[] = [];
  for (const one of inputsOf(features)) {
    const { path } = parseInput(one);
    const part = await formatOf(path, 'features').labelsBeside?.(path);
    if (!part) return undefined;
    parts.push(part);
  }
  return parts.length === 1 ? parts[0] : joinLabels(features, parts);
}

/** Labels of several files, one behind the other: equal where they were given alike. */
function joinLabels(file: string, parts: readonly Labels[]): Labels {
  const joined = new LabelGatherer((row) => `${oneLine(file)}: row ${row}`);
  let row = 0;
  for (const labels of parts) for (const code of labels.codes) joined.add(nameOf(labels, code), row++);
  return joined.finish();
}

/** Writes one label a line. Throws NOT_WRITABLE, or BAD_INPUT for a label of several lines. */
export async function writeLabels(path: string, labels: Labels): Promise<void> {
  if (labels.names === undefined) return writeLabelText(path, labels.codes);
  const broken = labels.names.find((name) => /[\r\n]/.test(name));
  if (broken !== undefined) {
    throw new NaanError('BAD_INPUT', `${path}: label ${quoted(broken)} has a line break, expected labels of one line`);
  }
  await writeOutput(path, async (file) => {
    const linesAtOnce = 2 ** 14;
    for (let row = 0; row < labels.codes.length; row += linesAtOnce) {
      const lines = Array.from(labels.codes.subarray(row, row + linesAtOnce), (code) => `${nameOf(labels, code)}\n`);
      await file.write(Buffer.from(lines.join('')));
    }
  });
}

/** Writes integer labels, one a line. Throws NOT_WRITABLE. */
export async function writeLabelText(path: string, labels: Int32Array): Promise<void> {
  const longestLine = 12;
  const text = new Uint8Array(2 ** 20);
  await writeOutput(path, async (file) => {
    let end = 0;
    for (let i = 0; i < labels.length; i++) {
      end = putInteger(text, end, labels[i]);
      text[end++] = newline;
      if (end <= text.length - longestLine) continue;
      await file.write(text.subarray(0, end));
      end = 0;
    }
    await file.write(text.subarray(0, end));
  });
}
