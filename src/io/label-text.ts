/**
 * Labels in text, one a line, a column of a table whose fields are separated by commas, semicolons or tabs, or a field of the
 * objects of JSON Lines. A file of 32-bit integers, which is what naan writes, is read byte by byte; any other is read again, line by line.
 */
import { NaanError } from '../errors.js';
import { wholeFile, windows } from './byte-source.js';
import type { Input } from './input-file.js';
import { parseJsonObject } from './json.js';
import { isNumeric, LabelGatherer, type Labels } from './label-codes.js';
import { quoted } from './messages.js';
import { sampleLines, sampleRecords, textRecords } from './text-records.js';

const windowBytes = 2 ** 22;

/** Reads labels. Throws BAD_INPUT, naming the line that has none, or the columns when it is not said which is meant. */
export async function readLabelText({ path, member }: Input): Promise<Labels> {
  const codes = member === undefined ? await readIntegers(path) : undefined;
  return codes ? { codes } : readLines(path, member);
}

const newline = 10;
const carriageReturn = 13;
const space = 32;
const tab = 9;
const minus = 45;
const zero = 48;

/**
 * One 32-bit integer a line, blanks around it allowed; blank lines may only follow the last one. Undefined as soon as a
 * line is anything else.
 */
async function readIntegers(path: string): Promise<Int32Array | undefined> {
  let labels = new Int32Array(2 ** 16);
  let count = 0;
  let blank = false;
  let sign = 1;
  let value = 0;
  let part: 'before' | 'sign' | 'zero' | 'digits' | 'after' = 'before';
  /** Whether the line is as it should be. */
  const endLine = (): boolean => {
    if (part === 'before') {
      blank = true;
      return true;
    }
    if (part === 'sign') return false;
    if (count === labels.length) labels = enlarged(labels);
    labels[count++] = sign * value;
    const exact = labels[count - 1] === sign * value;
    sign = 1;
    value = 0;
    part = 'before';
    return exact;
  };
  /** Whether all of a window is as it should be. */
  const take = (window: Uint8Array): boolean => {
    for (let i = 0; i < window.length; i++) {
      const byte = window[i];
      const digit = byte - zero;
      if (digit >= 0 && digit <= 9) {
        if (part !== 'digits') {
          // Zeros in front of a number are a part of its name.
          if (blank || part === 'zero' || part === 'after') return false;
          part = digit === 0 ? 'zero' : 'digits';
        }
        let number = value * 10 + digit;
        for (; part === 'digits' && i + 1 < window.length; i++) {
          const next = window[i + 1] - zero;
          if (!(next >= 0 && next <= 9)) break;
          number = Math.min(number * 10 + next, 2 ** 32);
        }
        value = Math.min(number, 2 ** 32);
      } else if (byte === newline) {
        if (!endLine()) return false;
      } else if (byte === minus && part === 'before') {
        part = 'sign';
        sign = -1;
      } else if (byte === space || byte === tab || byte === carriageReturn) {
        if (part === 'sign') return false;
        if (part !== 'before') part = 'after';
      } else {
        return false;
      }
    }
    return true;
  };
  for await (const window of windows(wholeFile(path), 0, windowBytes)) if (!take(window)) return undefined;
  return endLine() && count > 0 ? labels.slice(0, count) : undefined;
}

function enlarged(labels: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * labels.length);
  larger.set(labels);
  return larger;
}

/** Any lines: names, numbers of any size, a table. */
async function readLines(path: string, member: string | undefined): Promise<Labels> {
  const sample = (await sampleLines(path)).map((line) => line.trim());
  const table = jsonTable(path, sample, member) ?? tableOf(path, sample, member);
  const where = (line: number) => `${path}: line ${line}`;
  const labels = new LabelGatherer(where);
  let blankLine = 0; // the first one since the last label
  let found = 0;
  for await (const records of textRecords(path, { delimiter: table.delimiter, trim: true })) {
    for (const { line, text, fields } of records) {
      if (text === '') {
        if (blankLine === 0) blankLine = line;
        continue;
      }
      if (blankLine > 0) throw new NaanError('BAD_INPUT', `${where(blankLine)} is blank, expected one label a line`);
      if (line === 1 && table.titled) continue;
      if (table.labelOf) {
        labels.add(table.labelOf(text, where(line)), line);
        found++;
        continue;
      }
      const field = fields[table.column];
      if (field === undefined || fields.length !== table.columns) {
        const columns = `${fields.length} columns, expected ${table.columns} as line 1 has`;
        throw new NaanError('BAD_INPUT', `${where(line)}: ${columns}`);
      }
      labels.add(field.trim(), line);
      found++;
    }
  }
  if (found === 0) throw new NaanError('BAD_INPUT', `${path}: has no labels`);
  if (table.labelOf) return labels.finish();
  return labels.finish((first, others) => {
    return (
      isUsualTitle(first) || (!isNumeric(first) && others.some((other) => other !== '-1') && others.every(isNumeric))
    );
  });
}

interface Table {
  readonly delimiter: string | undefined;
  readonly columns: number;
  /** Which one holds the labels, from 0. */
  readonly column: number;
  /** Whether line 1 is known to be titles. */
  readonly titled: boolean;
  /** For JSON Lines: the label in a line. */
  readonly labelOf?: (line: string, where: string) => string;
}

/** Names may have blanks in them: a blank parts numbers only. */
const delimiters = ['\t', ',', ';', ' '] as const;

/** Titles that people give to a column of labels. */
const usualTitles = new Set(['label', 'labels', 'identity', 'person', 'class', 'cluster', 'target', 'y']);

function isUsualTitle(title: string): boolean {
  return usualTitles.has(title.replace(/^#/, '').trim().toLowerCase());
}

/** JSON Lines of objects, and the field of them that holds the labels; undefined for any other text. */
function jsonTable(path: string, [line = '']: readonly string[], member: string | undefined): Table | undefined {
  const first = parseJsonObject(line);
  if (first === undefined) return undefined;
  const fields =
    member === undefined ? Object.keys(first).filter(isUsualTitle) : [member].filter((one) => one in first);
  if (fields.length !== 1) {
    const found = describe(Object.keys(first));
    throw new NaanError('BAD_INPUT', `${path}: is JSON Lines, found the fields: ${found}: name one as ${path}:FIELD`);
  }
  const labelOf = (text: string, where: string) => {
    const label = parseJsonObject(text)?.[fields[0]];
    if (typeof label === 'string' && label.trim() !== '') return label.trim();
    if (typeof label === 'number' && Number.isSafeInteger(label)) return String(label);
    throw new NaanError(
      'BAD_INPUT',
      `${where}: has no label, expected text or a whole number in the field ${quoted(fields[0])}`,
    );
  };
  return { delimiter: undefined, columns: 1, column: 0, titled: false, labelOf };
}

/** What the first lines say of the others: which delimiter parts them, always as often, and what the first one names. */
function tableOf(path: string, sample: readonly string[], member: string | undefined): Table {
  const delimiter = delimiters.find((one) => {
    const fields = sampleRecords(sample, one);
    const columns = fields[0]?.length ?? 0;
    // A column that is asked for says that this is a table: lines that do not fit are named later.
    const even = member !== undefined || fields.every((row) => row.length === columns);
    return columns > 1 && even && (one !== ' ' || fields.every((row) => row.every(isNumeric)));
  });
  const rows = sampleRecords(sample, delimiter).map((fields) => fields.map((field) => field.trim()));
  const [titles = []] = rows;
  const columns = titles.length;
  // Known titles: they name the column, or the lines below hold numbers, or there is no line below.
  const aboveNumbers = titles.some(
    (title, c) => !isNumeric(title) && rows.length > 1 && rows.slice(1).every((row) => isNumeric(row[c] ?? '')),
  );
  if (member !== undefined) {
    const named = titles.indexOf(member);
    if (named >= 0) return { delimiter, columns, column: named, titled: true };
    const number = /^\d+$/.test(member) ? Number(member) : 0;
    if (number < 1 || number > columns) {
      throw new NaanError('BAD_INPUT', `${path}: has no column ${quoted(member)}, found: ${describe(titles)}`);
    }
    return { delimiter, columns, column: number - 1, titled: columns > 1 && (aboveNumbers || titles.includes('')) };
  }
  if (columns <= 1) return { delimiter, columns: 1, column: 0, titled: false };
  const usual = titles.flatMap((title, c) => (isUsualTitle(title) ? [c] : []));
  if (usual.length === 1) return { delimiter, columns, column: usual[0], titled: true };
  const advice = `name one as ${path}:COLUMN`;
  throw new NaanError('BAD_INPUT', `${path}: is a table, found the columns: ${describe(titles)}: ${advice}`);
}

function describe(titles: readonly string[]): string {
  const shown = titles.slice(0, 20).map((title, c) => `${c + 1} ${quoted(title)}`);
  return shown.join(', ') + (titles.length > 20 ? `, and ${titles.length - 20} more` : '');
}
