/**
 * Names of rows in text: a list, one a line; a column of a table; or JSON Lines, a string each or a field of
 * an object each.
 */
import { NaanError } from '../errors.js';
import type { Input } from './input-file.js';
import { type Items, mayBeIdentities, usualItemTitles, type VisitNames } from './item-list.js';
import { parseJson } from './json.js';
import { quoted } from './messages.js';
import { sampleLines, sampleRecords, type TextRecord, textRecords } from './text-records.js';

const delimiters = ['\t', ',', ';'] as const;

/** How a name is found in a record. */
interface Layout {
  readonly delimiter: string | undefined;
  readonly titled: boolean;
  /** Fields that each record has, of a table. */
  readonly columns: number;
  readonly mayBeIdentities: boolean;
  /** The name; undefined where the record has none. */
  nameOf(record: TextRecord): string | undefined;
}

const list: Layout = {
  delimiter: undefined,
  titled: false,
  columns: 1,
  mayBeIdentities: false,
  nameOf: ({ text }) => text,
};

/** Names in a file of any of these forms. Throws BAD_INPUT, naming the column or field that is missing. */
export async function itemsOfText(input: Input): Promise<Items> {
  return itemsBy(input.path, await layoutOf(input));
}

/** Names in a table that says by a title where they are, or in JSON Lines; undefined for any other text. */
export async function itemsOfTable(path: string): Promise<Items | undefined> {
  const lines = await sampleLines(path);
  const layout = isJson(lines) ? jsonLayout(path, lines, undefined) : titledLayout(lines);
  return layout && itemsBy(path, layout);
}

function itemsBy(path: string, layout: Layout): Items {
  const each = async (visit: VisitNames): Promise<void> => {
    let first = 0;
    let blankLine = 0;
    for await (const records of textRecords(path, { delimiter: layout.delimiter })) {
      const names: string[] = [];
      for (const record of records) {
        const { line, text } = record;
        if (line === 1 && layout.titled) continue;
        if (text === '') {
          blankLine ||= line;
          continue;
        }
        const where = `${path}: line ${blankLine || line}`;
        if (blankLine > 0) throw new NaanError('BAD_INPUT', `${where} is blank, expected one item a line`);
        if (record.fields.length !== layout.columns) {
          const columns = `${record.fields.length} columns, expected ${layout.columns} as line 1 has`;
          throw new NaanError('BAD_INPUT', `${where}: ${columns}: names with commas stand in quotes`);
        }
        const name = layout.nameOf(record);
        if (name === undefined || name === '') throw new NaanError('BAD_INPUT', `${where}: has no item`);
        names.push(name);
      }
      await visit(names, first);
      first += names.length;
    }
    if (first === 0) throw new NaanError('BAD_INPUT', `${path}: has no items`);
  };
  const count = async () => {
    let total = 0;
    await each((names) => {
      total += names.length;
    });
    return total;
  };
  return { name: path, each, count, mayBeIdentities: layout.mayBeIdentities };
}

async function layoutOf({ path, member }: Input): Promise<Layout> {
  const lines = await sampleLines(path);
  if (isJson(lines)) {
    const layout = jsonLayout(path, lines, member);
    if (layout) return layout;
    const named = member === undefined ? `of a usual name (${usualItemTitles.join(', ')})` : quoted(member);
    throw new NaanError('BAD_INPUT', `${path}: line 1 has no field ${named} with text: name one as ${path}:FIELD`);
  }
  if (member === undefined) return titledLayout(lines) ?? list;
  const tables = delimiters.map((delimiter) => ({ delimiter, titles: titlesOf(lines, delimiter) }));
  const named = tables.find(({ titles }) => titles.includes(member));
  if (named) return columnLayout(named.delimiter, named.titles.indexOf(member), named.titles.length, true);
  // A column by its number: every line of a table has the same number of fields.
  const number = /^\d+$/.test(member) ? Number(member) : 0;
  const even = tables.find(({ delimiter, titles }) => {
    const records = sampleRecords(lines, delimiter);
    return titles.length > 1 && records.every((fields) => fields.length === titles.length);
  });
  if (even && number >= 1 && number <= even.titles.length) {
    return columnLayout(even.delimiter, number - 1, even.titles.length, itemColumn(even.titles) !== undefined);
  }
  const found = even ? `, found: ${even.titles.slice(0, 20).map(quoted).join(', ')}` : '';
  throw new NaanError('BAD_INPUT', `${path}: has no column ${quoted(member)}${found}`);
}

/** A table of which one title is known. */
function titledLayout(lines: readonly string[]): Layout | undefined {
  // A CSV file of one column begins with its title alone.
  const delimiter = delimiters.find((one) => titlesOf(lines, one).length > 1) ?? ',';
  const titles = titlesOf(lines, delimiter);
  const column = itemColumn(titles);
  if (column === undefined) return undefined;
  const layout = columnLayout(delimiter, column, titles.length, true);
  return { ...layout, mayBeIdentities: titles.length > 1 && mayBeIdentities(plain(titles[column])) };
}

function titlesOf(lines: readonly string[], delimiter: string): string[] {
  return (sampleRecords(lines.slice(0, 1), delimiter)[0] ?? []).map((title) => title.trim());
}

/** The column of the first title that is a usual one; `id` only where no other is. */
function itemColumn(titles: readonly string[]): number | undefined {
  for (const usual of usualItemTitles) {
    const column = titles.findIndex((title) => plain(title) === usual);
    if (column >= 0) return column;
  }
  return undefined;
}

function plain(title: string): string {
  return title.replace(/^#/, '').trim().toLowerCase();
}

function columnLayout(delimiter: string, column: number, columns: number, titled: boolean): Layout {
  return { ...list, delimiter, titled, columns, nameOf: ({ fields }) => fields[column] };
}

function isJson(lines: readonly string[]): boolean {
  return lines.length > 0 && valueIn(lines[0]) !== undefined;
}

function jsonLayout(path: string, lines: readonly string[], member: string | undefined): Layout | undefined {
  const first = valueIn(lines[0]);
  if (typeof first === 'string' && member === undefined) return { ...list, nameOf: ({ text }) => jsonText(path, text) };
  if (typeof first !== 'object' || first === null) return undefined;
  const usual = usualItemTitles.find((title) => isName((first as Record<string, unknown>)[title]));
  const field = member ?? usual;
  if (field === undefined || !isName((first as Record<string, unknown>)[field])) return undefined;
  return {
    ...list,
    mayBeIdentities: member === undefined && mayBeIdentities(field),
    nameOf: ({ text, line }) => {
      const value = valueIn(text);
      if (typeof value !== 'object') throw new NaanError('BAD_INPUT', `${path}: line ${line}: is no JSON object`);
      const name = (value as Record<string, unknown>)[field];
      return isName(name) ? String(name) : undefined;
    },
  };
}

function jsonText(path: string, text: string): string {
  const value = valueIn(text);
  if (typeof value === 'string') return value;
  throw new NaanError('BAD_INPUT', `${path}: ${quoted(text)}: is no JSON string, as line 1 is one`);
}

function isName(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

/** The string or object of a line of JSON; undefined for any other text. */
function valueIn(line: string): string | object | undefined {
  const text = line.trim();
  return /^(\{.*\}|".*")$/s.test(text) ? (parseJson(text) as string | object | undefined) : undefined;
}
