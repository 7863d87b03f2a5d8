/** The process that decodes tables by columns: see table-process.ts. */
import { stat } from 'node:fs/promises';
import type { TableFacts, TableForm, TableRequest, TableRows, TableValues } from './table-process.js';

/** Numbers, or letters, that go back at once. */
const valuesAtOnce = 2 ** 21;
/** What an entry of a column counts for beside them: a list without numbers takes memory as well. */
const valuesOfEntry = 16;

/** A file of which some columns can be read a row group at a time. */
export interface TableReader {
  readonly facts: TableFacts;
  /** Decodes the columns of one row group, from its first row to the first behind it. */
  rows(columns: readonly string[], group: readonly [number, number]): Promise<DecodedGroup>;
}

interface DecodedGroup {
  readonly count: number;
  /** The value of a row of the group, by the place of its column among those that were asked for. */
  valueOf(row: number, column: number): unknown;
}

const readers: Readonly<Record<TableForm, (path: string) => Promise<TableReader>>> = {
  parquet: async (path) => (await import('./parquet-decode.js')).openParquet(path),
  arrow: async (path) => (await import('./arrow-decode.js')).openArrow(path),
};

/** The file that was asked for last, and the row group of it. */
let opened: { readonly state: string; readonly reader: TableReader } | undefined;
let decoded: { readonly key: string; readonly rows: DecodedGroup } | undefined;

export async function answer(request: TableRequest): Promise<TableFacts | TableRows> {
  // A file that was written again a moment ago may have the same size and times: whoever begins with it has it read anew.
  if (request.kind === 'facts') {
    opened = undefined;
    decoded = undefined;
  }
  const { state, reader } = await readerOf(request);
  if (request.kind === 'facts') return reader.facts;
  const { columns, group, start } = request;
  const key = JSON.stringify([state, columns, group]);
  if (decoded?.key !== key) {
    decoded = undefined;
    decoded = { key, rows: await reader.rows(columns, group) };
  }
  const { rows } = decoded;
  const first = start - group[0];
  const count = Math.min(rows.count, group[1] - group[0]);
  const some: unknown[][] = columns.map(() => []);
  let end = first;
  for (let values = 0; end < count && (values < valuesAtOnce || end === first); end++) {
    for (let column = 0; column < columns.length; column++) {
      const value = rows.valueOf(end, column);
      some[column].push(value);
      values += valuesOfEntry + ((value as { length?: number } | undefined | null)?.length ?? 0);
    }
  }
  if (end >= count) decoded = undefined;
  return { count: end - first, columns: some.map(packed) };
}

async function readerOf({ form, path }: TableRequest): Promise<{ state: string; reader: TableReader }> {
  const { size, mtimeMs, ino } = await stat(path);
  const state = `${form} ${path} ${size} ${mtimeMs} ${ino}`;
  if (opened?.state === state) return opened;
  opened = undefined;
  opened = { state, reader: await readers[form](path) };
  return opened;
}

/** Lists of numbers go as one array and their lengths; other values as they are, as far as text can say them. */
function packed(values: readonly unknown[]): TableValues {
  if (!values.every((value) => isNumbers(value))) return { plain: values.map(portable) };
  const lists = values as readonly ArrayLike<number>[];
  const all = new Float64Array(lists.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return { lengths: Int32Array.from(lists, ({ length }) => length), all };
}

function isNumbers(value: unknown): boolean {
  if (value instanceof Float32Array || value instanceof Float64Array) return true;
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}

/** Another process gets no object whose class it does not know. */
function portable(value: unknown): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? String(value) : value;
}
