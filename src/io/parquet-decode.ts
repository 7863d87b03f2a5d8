/** What the process that decodes Parquet does: see parquet-process.ts. */
import { stat } from 'node:fs/promises';
import type { FileMetaData } from 'hyparquet';
import type { ParquetColumn, ParquetFacts, ParquetRequest, ParquetRows, ParquetValues } from './parquet-process.js';

/** Values that go back at once. */
const valuesAtOnce = 2 ** 21;

interface Opened {
  readonly state: string;
  readonly metadata: FileMetaData;
}

/** The file that was asked for last, and the row group of it. */
let opened: Opened | undefined;
let decoded: { readonly key: string; readonly rows: Record<string, unknown>[] } | undefined;

export async function answer(request: ParquetRequest): Promise<ParquetFacts | ParquetRows> {
  const { asyncBufferFromFile, parquetReadObjects } = await import('hyparquet');
  // A file that was written again a moment ago may have the same size and times: whoever begins with it has it read anew.
  if (request.kind === 'facts') {
    opened = undefined;
    decoded = undefined;
  }
  const { state, metadata } = await metadataOf(request.path);
  if (request.kind === 'facts') {
    return {
      rowCount: Number(metadata.num_rows),
      groups: metadata.row_groups.map((group) => Number(group.num_rows)),
      columns: columnsOf(metadata),
    };
  }
  const { path, columns, group, start } = request;
  const key = JSON.stringify([state, columns, group]);
  if (decoded?.key !== key) {
    decoded = undefined;
    const { compressors } = await import('hyparquet-compressors');
    const file = await asyncBufferFromFile(path);
    const [rowStart, rowEnd] = group;
    const rows = await parquetReadObjects({ file, metadata, columns: [...columns], compressors, rowStart, rowEnd });
    decoded = { key, rows };
  }
  const first = start - group[0];
  const some: Record<string, unknown>[] = [];
  for (let row = first, values = 0; row < decoded.rows.length && (values < valuesAtOnce || row === first); row++) {
    some.push(decoded.rows[row]);
    for (const column of columns) values += (decoded.rows[row][column] as { length?: number } | undefined)?.length ?? 1;
  }
  if (first + some.length >= decoded.rows.length) decoded = undefined;
  return { count: some.length, columns: columns.map((column) => packed(some.map((row) => row[column]))) };
}

async function metadataOf(path: string): Promise<Opened> {
  const { size, mtimeMs, ino } = await stat(path);
  const state = `${path} ${size} ${mtimeMs} ${ino}`;
  if (opened?.state === state) return opened;
  opened = undefined;
  const { asyncBufferFromFile, parquetMetadataAsync } = await import('hyparquet');
  opened = { state, metadata: await parquetMetadataAsync(await asyncBufferFromFile(path)) };
  return opened;
}

/** Columns of the top level: schema elements come depth first, each with the number of those right below it. */
function columnsOf({ schema }: FileMetaData): ParquetColumn[] {
  const columns: ParquetColumn[] = [];
  for (let at = 1; at < schema.length; ) {
    const { name, type, num_children: children, converted_type: converted, repetition_type: repetition } = schema[at];
    if (typeof name !== 'string') throw new Error('its schema has a column without a name');
    let end = at + 1;
    for (let left = children ?? 0; left > 0 && end < schema.length; end++) left += (schema[end].num_children ?? 0) - 1;
    const leaf = schema[end - 1].type;
    const isFloat = leaf === 'FLOAT' || leaf === 'DOUBLE';
    const isList = (children !== undefined || repetition === 'REPEATED') && isFloat;
    const isName = !children && (converted === 'UTF8' || type === 'INT32' || type === 'INT64' || type === 'BYTE_ARRAY');
    const kind = isList || converted === 'JSON' ? 'list' : !children && isFloat ? 'float' : isName ? 'name' : 'other';
    columns.push({ name, kind });
    at = end;
  }
  return columns;
}

/** Lists of numbers go as one array and their lengths; other values as they are, as far as text can say them. */
function packed(values: readonly unknown[]): ParquetValues {
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
