/**
 * Labels in text, one a line, or a column of a table whose fields stand between commas, semicolons or tabs. A file of
 * 32-bit integers, which is what naan writes, is read byte by byte; any other is read again, line by line.
 */
import { NaanError } from '../errors.js';
import { readHead, readWindows, wholeFile, windows } from './byte-source.js';
import type { Input } from './input-file.js';
import { isNumeric, LabelGatherer, type Labels } from './label-codes.js';
import { quoted } from './messages.js';

const windowBytes = 2 ** 22;
const sampleBytes = 2 ** 16;
const longestLine = 2 ** 16;

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
  const sample = await sampleOf(path);
  const table = tableOf(path, sample, member);
  const where = (line: number) => `${path}: line ${line}`;
  const labels = new LabelGatherer(where);
  let blankLine = 0; // the first one since the last label
  let found = 0;
  await eachLine(path, (text, line) => {
    if (text === '') {
      if (blankLine === 0) blankLine = line;
      return;
    }
    if (blankLine > 0) throw new NaanError('BAD_INPUT', `${where(blankLine)} is blank, expected one label a line`);
    if (line === 1 && table.titled) return;
    const fields = fieldsOf(text, table.delimiter);
    const field = fields?.[table.column];
    if (fields === undefined) throw new NaanError('BAD_INPUT', `${where(line)}: a quote is not closed in it`);
    if (field === undefined || fields.length !== table.columns) {
      const columns = `${fields.length} columns, expected ${table.columns} as line 1 has`;
      throw new NaanError('BAD_INPUT', `${where(line)}: ${columns}`);
    }
    labels.add(field.trim(), line);
    found++;
  });
  if (found === 0) throw new NaanError('BAD_INPUT', `${path}: has no labels`);
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
}

/** Names may have blanks in them: a blank parts numbers only. */
const delimiters = ['\t', ',', ';', ' '] as const;

/** Titles that people give to a column of labels. */
const usualTitles = new Set(['label', 'labels', 'identity', 'person', 'class', 'cluster', 'target', 'y']);

function isUsualTitle(title: string): boolean {
  return usualTitles.has(title.replace(/^#/, '').trim().toLowerCase());
}

/** What the first lines say of the others: which delimiter parts them, always as often, and what the first one names. */
function tableOf(path: string, sample: readonly string[], member: string | undefined): Table {
  const delimiter = delimiters.find((one) => {
    const fields = sample.map((line) => fieldsOf(line, one) ?? []);
    const columns = fields[0]?.length ?? 0;
    // A column that is asked for says that this is a table: lines that do not fit are named later.
    const even = member !== undefined || fields.every((row) => row.length === columns);
    return columns > 1 && even && (one !== ' ' || fields.every((row) => row.every(isNumeric)));
  });
  const rows = sample.map((line) => fieldsOf(line, delimiter)?.map((field) => field.trim()) ?? []);
  const [titles = []] = rows;
  const columns = titles.length;
  // Titles that are known: they name the column, or stand above numbers, or one of them stands above nothing.
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

/** Fields of a line, quotes around them taken off (RFC 4180); undefined when one is not closed. */
function fieldsOf(line: string, delimiter: string | undefined): string[] | undefined {
  if (!line.includes('"')) return delimiter === undefined ? [line] : line.split(delimiter);
  if (delimiter === undefined) return [unquoted(line)];
  const fields: string[] = [];
  let field: string | undefined;
  for (const part of line.split(delimiter)) {
    field = field === undefined ? part : field + delimiter + part;
    const open = /^\s*"/.test(field) && field.split('"').length % 2 === 0;
    if (open) continue;
    fields.push(unquoted(field));
    field = undefined;
  }
  return field === undefined ? fields : undefined;
}

function unquoted(field: string): string {
  const trimmed = field.trim();
  return /^"([^"]|"")*"$/.test(trimmed) ? trimmed.slice(1, -1).replaceAll('""', '"') : field;
}

/** Whether a file that starts with these bytes is text: UTF-16 behind its mark, or UTF-8 without control characters. */
export function startsLikeText(start: Uint8Array): boolean {
  if (encodingOf(start) !== 'utf-8') return true;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what tells other bytes from text
    return !/[\x00-\x08\x0e-\x1f]/.test(text);
  } catch {
    return false;
  }
}

function encodingOf([first, second]: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  return first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
}

/** The first lines of a file that are not blank, blanks around them taken off. */
async function sampleOf(path: string): Promise<string[]> {
  const source = wholeFile(path);
  const head = await readHead(source, sampleBytes);
  const text = new TextDecoder(encodingOf(head)).decode(head, { stream: true });
  const lines = text.split('\n');
  if (head.length < source.length && lines.length > 1) lines.pop();
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}

/** All lines, blanks around them taken off, counted from 1. Throws BAD_INPUT for what is no text. */
async function eachLine(path: string, visit: (text: string, line: number) => void): Promise<void> {
  const source = wholeFile(path);
  const encoding = encodingOf(await readHead(source, 2));
  const decoder = new TextDecoder(encoding, { fatal: true });
  let rest = '';
  let line = 1;
  const take = (text: string) => {
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      visit(text.slice(start, end).trim(), line++);
      start = end + 1;
    }
    rest = text.slice(start);
    if (rest.length > longestLine) {
      throw new NaanError(
        'BAD_INPUT',
        `${path}: line ${line} has more than ${longestLine} characters, expected a label`,
      );
    }
  };
  await readWindows(source, 0, windowBytes, (window) => take(rest + decoded(decoder, window, path, line)));
  take(rest + decoded(decoder, undefined, path, line));
  if (rest !== '') visit(rest.trim(), line);
}

/** The next characters; without bytes, those that were left at the end. */
function decoded(
  decoder: InstanceType<typeof TextDecoder>,
  bytes: Uint8Array | undefined,
  path: string,
  line: number,
): string {
  try {
    return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
  } catch (cause) {
    const problem = `behind line ${line} bytes are not ${decoder.encoding}`;
    throw new NaanError('BAD_INPUT', `${path}: ${problem}: save the file as UTF-8`, { cause });
  }
}
