/**
 * Text files as records: a line each, or the fields of a table between commas, semicolons or tabs, quoted as in RFC 4180,
 * so that a record of a table may be of several lines. Read window by window.
 */
import { NaanError } from '../errors.js';
import { type ByteSource, readHead, wholeFile, windows } from './byte-source.js';

const windowBytes = 2 ** 22;
const sampleBytes = 2 ** 16;
const longestRecord = 2 ** 16;

export interface TextRecord {
  /** Its first line in the file, from 1. */
  readonly line: number;
  /** The text in the file, without the line break. */
  readonly text: string;
  /** Its fields, quotes around them taken off; of a file without a delimiter the text alone. */
  readonly fields: readonly string[];
}

export interface RecordOptions {
  /** What parts the fields of a table; undefined for one field a line. */
  readonly delimiter: string | undefined;
  /** The maximum of characters in a record; default 65536. */
  readonly longest?: number;
  /** Whether blanks around a line are taken off before it is parted. */
  readonly trim?: boolean;
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

/** The first lines of a file that are not blank, unchanged. */
export async function sampleLines(path: string, bytes = sampleBytes): Promise<string[]> {
  const source = wholeFile(path);
  const head = await readHead(source, bytes);
  const text = new TextDecoder(encodingOf(head)).decode(head, { stream: true });
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (head.length < source.length && lines.length > 1) lines.pop();
  return lines.filter((line) => line.trim() !== '');
}

/** Fields of the first lines, if this delimiter parts them; what is not closed at the end of the sample is left out. */
export function sampleRecords(lines: readonly string[], delimiter: string | undefined): string[][] {
  const records: string[][] = [];
  const reader = new FieldReader(delimiter);
  for (const line of lines) {
    const fields = reader.take(line);
    if (fields) records.push(fields);
  }
  return records;
}

/** Parts records line by line, each character of them once. */
class FieldReader {
  private fields: string[] = [];
  /** The parts of a field that begins with a quote, and their quotes: the field ends when their number is even. */
  private parts: string[] = [];
  private quotes = 0;
  /** The line break behind the line before, which belongs to a field that goes on. */
  private lineBreak = '\n';

  constructor(private readonly delimiter: string | undefined) {}

  /** Takes a line and the break behind it; returns the fields of the record that ends with it, undefined where a quote is still open. */
  take(line: string, lineBreak = '\n'): string[] | undefined {
    const { delimiter, lineBreak: before } = this;
    this.lineBreak = lineBreak;
    const plain = !line.includes('"');
    if (delimiter === undefined) return [plain ? line : unquoted(line)];
    if (plain && this.parts.length === 0) return line.split(delimiter);
    const whole = this.parts.length === 0 ? fieldsOfLine(line, delimiter) : undefined;
    if (whole) return whole;
    if (plain) {
      // Only a quote closes what is open.
      this.parts.push(`${this.parts.pop()}${before}${line}`);
      return undefined;
    }
    let goesOn = this.parts.length > 0;
    for (const part of line.split(delimiter)) {
      if (this.parts.length > 0 || /^\s*"/.test(part)) this.quotes += part.split('"').length - 1;
      this.parts.push(goesOn ? `${this.parts.pop()}${before}${part}` : part);
      goesOn = false;
      if (this.quotes % 2 === 1) continue;
      this.fields.push(unquoted(this.parts.join(delimiter)));
      this.parts = [];
      this.quotes = 0;
    }
    if (this.parts.length > 0) return undefined;
    const { fields } = this;
    this.fields = [];
    return fields;
  }
}

/**
 * The fields of a line that is a record, where each begins with its quote or has none around it: nearly all lines, and many times
 * as fast as looking at every delimiter within quotes. Undefined for other lines.
 */
function fieldsOfLine(line: string, delimiter: string): string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; ; ) {
    if (line[at] === '"') {
      let end = line.indexOf('"', at + 1);
      while (end >= 0 && line[end + 1] === '"') end = line.indexOf('"', end + 2);
      if (end < 0 || (end + 1 < line.length && line[end + 1] !== delimiter)) return undefined;
      fields.push(line.slice(at + 1, end).replaceAll('""', '"'));
      if (end + 1 === line.length) return fields;
      at = end + 2;
    } else {
      const end = line.indexOf(delimiter, at);
      const field = end < 0 ? line.slice(at) : line.slice(at, end);
      if (field.trimStart().startsWith('"')) return undefined;
      fields.push(field);
      if (end < 0) return fields;
      at = end + 1;
    }
  }
}

function unquoted(field: string): string {
  const trimmed = field.trim();
  return /^"([^"]|"")*"$/.test(trimmed) ? trimmed.slice(1, -1).replaceAll('""', '"') : field;
}

/**
 * All records, as many at once as a window holds, blank lines among them. Throws BAD_INPUT, naming the line, for what is no
 * text, a record that is too long, or a quote that is not closed.
 */
export async function* textRecords(path: string, options: RecordOptions): AsyncGenerator<TextRecord[]> {
  const { delimiter, longest = longestRecord, trim = false } = options;
  const source = wholeFile(path);
  const decode = decoderOf(source, encodingOf(await readHead(source, 2)));
  const reader = new FieldReader(delimiter);
  let rest = '';
  let line = 1;
  /** Lines of a record that goes on, and where it starts. */
  let open = '';
  let openLine = 0;
  const take = (text: string, records: TextRecord[], last: boolean): void => {
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0 || (last && start < text.length); end = text.indexOf('\n', start)) {
      const stop = end < 0 ? text.length : end;
      const lineBreak = text[stop - 1] === '\r' && stop > start ? '\r\n' : '\n';
      const whole = text.slice(start, stop + 1 - lineBreak.length);
      const one = trim ? whole.trim() : whole;
      const record = openLine > 0 ? `${open}${one}` : one;
      const fields = reader.take(one, lineBreak);
      if (fields) records.push({ line: openLine || line, text: record, fields });
      else if (record.length > longest) throw notClosed(path, openLine || line);
      openLine = fields ? 0 : openLine || line;
      open = fields ? '' : `${record}${lineBreak}`;
      line++;
      start = stop + 1;
    }
    rest = text.slice(start);
    if (rest.length > longest) {
      throw new NaanError(
        'BAD_INPUT',
        `${path}: line ${line} has more than ${longest} characters, expected shorter ones`,
      );
    }
  };
  for await (const window of windows(source, 0, windowBytes)) {
    const records: TextRecord[] = [];
    take(rest + decode(window, line), records, false);
    yield records;
  }
  const records: TextRecord[] = [];
  take(rest + decode(undefined, line), records, true);
  if (openLine > 0) throw notClosed(path, openLine);
  yield records;
}

function notClosed(path: string, line: number): NaanError {
  return new NaanError('BAD_INPUT', `${path}: line ${line}: a quote is not closed in it`);
}

/** Decodes the next characters of a file; without bytes, those that were left at the end. */
function decoderOf({ path }: ByteSource, encoding: string) {
  const decoder = new TextDecoder(encoding, { fatal: true });
  return (bytes: Uint8Array | undefined, line: number): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch (cause) {
      const problem = `behind line ${line} bytes are not ${encoding}`;
      throw new NaanError('BAD_INPUT', `${path}: ${problem}: save the file as UTF-8`, { cause });
    }
  };
}
