/**
 * Features in text: JSON Lines, whose objects have a field with a list of numbers; and tables, with a list in one column,
 * `"[0.1, 0.2]"` or numbers between blanks, or with a column for each value.
 */
import { NaanError } from '../errors.js';
import { featuresOfTable, usualFeatureTitles } from './feature-table.js';
import type { Input } from './input-file.js';
import { usualItemTitles } from './item-list.js';
import { parseJsonObject } from './json.js';
import { isNumeric } from './label-codes.js';
import type { DeflatedMatrix } from './matrix.js';
import { quoted } from './messages.js';
import { sampleLines, sampleRecords, type TextRecord, textRecords } from './text-records.js';

const delimiters = ['\t', ',', ';'] as const;
const sampleBytes = 2 ** 20;
const longest = 2 ** 24;
/** Columns of numbers that are no values of an embedding. */
const otherTitles = new Set([
  ...usualItemTitles,
  'label',
  'labels',
  'identity',
  'person',
  'class',
  'cluster',
  'target',
  'y',
]);

interface Layout {
  readonly delimiter: string | undefined;
  readonly titled: boolean;
  readonly column: string;
  valuesOf(record: TextRecord): ArrayLike<unknown>;
}

/** Throws BAD_INPUT where no column or field of embeddings can be found. Reads the file once, to count its rows. */
export async function featuresOfText({ path, member }: Input): Promise<DeflatedMatrix> {
  const lines = await sampleLines(path, sampleBytes);
  const layout = lines[0]?.trim().startsWith('{') ? jsonLayout(path, lines, member) : tableLayout(path, lines, member);
  let rowCount = 0;
  let dim = 0;
  let line = 0;
  const each = async (take: (values: ArrayLike<unknown>) => void) => {
    for await (const records of textRecords(path, { delimiter: layout.delimiter, longest })) {
      for (const record of records) {
        line = record.line;
        if (record.text.trim() === '' || (layout.titled && line === 1)) continue;
        take(layout.valuesOf(record));
      }
    }
  };
  for await (const records of textRecords(path, { delimiter: layout.delimiter, longest })) {
    for (const record of records) {
      if (record.text.trim() === '' || (layout.titled && record.line === 1)) continue;
      if (rowCount++ === 0) dim = layout.valuesOf(record).length;
    }
  }
  return featuresOfTable({
    name: `${path}:${layout.column}`,
    rowCount,
    dim,
    each,
    where: () => `${path}: line ${line}`,
  });
}

function jsonLayout(path: string, lines: readonly string[], member: string | undefined): Layout {
  const objectOf = (text: string, line: number): Record<string, unknown> => {
    const value = parseJsonObject(text);
    if (value !== undefined) return value;
    throw new NaanError('BAD_INPUT', `${path}: line ${line}: is no JSON object`);
  };
  const first = objectOf(lines[0], 1);
  const column = member ?? usualFeatureTitles.find((title) => Array.isArray(first[title]));
  if (column === undefined || !Array.isArray(first[column])) {
    const found = Object.keys(first).slice(0, 20).map(quoted).join(', ');
    throw new NaanError(
      'BAD_INPUT',
      `${path}: line 1 has no list of numbers ${member === undefined ? 'of a usual name' : quoted(member)}, found: ${found}: name one as ${path}:FIELD`,
    );
  }
  const valuesOf = ({ text, line }: TextRecord) => objectOf(text, line)[column] as ArrayLike<unknown>;
  return { delimiter: undefined, titled: false, column, valuesOf };
}

function tableLayout(path: string, lines: readonly string[], member: string | undefined): Layout {
  const delimiter = delimiters.find((one) => (sampleRecords(lines.slice(0, 1), one)[0]?.length ?? 0) > 1) ?? ',';
  const [titles = [], first = []] = sampleRecords(lines, delimiter).map((fields) =>
    fields.map((field) => field.trim()),
  );
  const isList = (field: string | undefined) =>
    field !== undefined && listIn(field).length > 1 && listIn(field).every(isNumeric);
  const named = (title: string) => titles.findIndex((one) => one.toLowerCase() === title.toLowerCase());
  const column =
    member === undefined
      ? usualFeatureTitles.map(named).find((c) => c >= 0 && isList(first[c]))
      : [titles.indexOf(member)].find((c) => c >= 0 && isList(first[c]));
  if (column !== undefined) {
    return { delimiter, titled: true, column: titles[column], valuesOf: ({ fields }) => listIn(fields[column] ?? '') };
  }
  const titled = !titles.every(isNumeric);
  const values = titles.flatMap((title, c) =>
    isNumeric((titled ? first[c] : title) ?? '') && !(titled && otherTitles.has(title.toLowerCase())) ? [c] : [],
  );
  if (member !== undefined || values.length < 2) {
    const found = titles.slice(0, 20).map(quoted).join(', ');
    const wanted =
      member === undefined ? 'columns of numbers, nor a list of them' : `column ${quoted(member)} of lists of numbers`;
    throw new NaanError(
      'BAD_INPUT',
      `${path}: is text, expected features: it has no ${wanted}, found the columns: ${found}`,
    );
  }
  const { length } = titles;
  const valuesOf = ({ fields }: TextRecord) =>
    fields.length === length ? values.map((c) => fields[c]) : fields.slice(0, 0);
  return { delimiter, titled, column: `${values.length} columns`, valuesOf };
}

function listIn(field: string): string[] {
  const inner = field.trim().replace(/^\[/, '').replace(/\]$/, '').trim();
  return inner === '' ? [] : inner.split(/\s*,\s*|\s+/);
}
