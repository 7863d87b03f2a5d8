/**
 * Tables that are stored by columns, Parquet and Arrow: a column of lists, or a column for each value; labels and names beside them. Read
 * a row group at a time.
 */
import { NaanError } from '../errors.js';
import { gib, usableBytes } from '../memory/available.js';
import { featuresOfTable, usualFeatureTitles } from './feature-table.js';
import { type Input, inputSize, unreadable } from './input-file.js';
import { type Items, mayBeIdentities, usualItemTitles, type VisitNames } from './item-list.js';
import { LabelGatherer, type Labels } from './label-codes.js';
import type { DeflatedMatrix } from './matrix.js';
import { oneLine, quoted } from './messages.js';
import { askTable, type TableColumn, type TableForm, type TableRequest, type TableRows } from './table-process.js';

const kinds: Readonly<
  Record<TableForm, { readonly title: string; readonly valueBytes: number; readonly smaller: string }>
> = {
  // Lists of JavaScript keep a value in 8 bytes, twice while they are put together.
  parquet: { title: 'Parquet file', valueBytes: 16, smaller: 'row_group_size=10000' },
  // A record batch is in memory as it is stored, and decompressed.
  arrow: { title: 'Arrow file', valueBytes: 8, smaller: 'chunksize=10000' },
};

interface OpenTable {
  readonly path: string;
  /** Bytes that a value of a list takes while it is read. */
  readonly valueBytes: number;
  readonly rowCount: number;
  readonly columns: readonly TableColumn[];
  /** Rows of the largest row group. */
  readonly largestGroup: number;
  /** Row 0 of some columns. */
  first(columns: readonly string[]): Promise<Record<string, unknown>>;
  /** Rows of some columns, in order, some at a time. */
  each(
    columns: readonly string[],
    visit: (rows: Record<string, unknown>[], first: number) => void | Promise<void>,
  ): Promise<void>;
}

async function open(form: TableForm, path: string): Promise<OpenTable> {
  const { title, valueBytes } = kinds[form];
  const ask = async <const R extends TableRequest>(request: R) => {
    try {
      return await askTable(request);
    } catch (error) {
      const known = unreadable(path, error);
      if (known instanceof NaanError) throw known;
      const reason = error instanceof Error ? oneLine(error.message) : String(error);
      throw new NaanError('BAD_INPUT', `${path}: is no whole ${title}: ${reason}`, { cause: error });
    }
  };
  inputSize(path);
  const { rowCount, groups, columns } = await ask({ kind: 'facts', form, path });
  const wrong = [rowCount, ...groups].find((count) => !Number.isSafeInteger(count) || count < 0);
  if (wrong !== undefined) throw new NaanError('BAD_INPUT', `${path}: is no whole ${title}: it claims ${wrong} rows`);
  const sum = groups.reduce((all, count) => all + count, 0);
  if (sum !== rowCount) {
    throw new NaanError(
      'BAD_INPUT',
      `${path}: is no whole ${title}: it claims ${rowCount} rows, its parts have ${sum}`,
    );
  }
  /** Some rows from `start` on of a row group. */
  const rowsOf = async (columns: readonly string[], group: readonly [number, number], start: number) => {
    const found = await ask({ kind: 'rows', form, path, columns, group, start });
    if (found.count === 0) throw new NaanError('BAD_INPUT', `${path}: is no whole ${title}: row ${start} is missing`);
    return unpacked(columns, found);
  };
  return {
    path,
    valueBytes,
    rowCount,
    columns,
    largestGroup: Math.max(0, ...groups),
    first: async (columns) => (await rowsOf(columns, [0, 1], 0))[0],
    async each(columns, visit) {
      let first = 0;
      for (const count of groups) {
        const end = first + count;
        for (let start = first; start < end; ) {
          const rows = await rowsOf(columns, [first, end], start);
          await visit(rows, start);
          start += rows.length;
        }
        first = end;
      }
    },
  };
}

/** Rows of values that came by column. Lists of numbers are views. */
function unpacked(names: readonly string[], { count, columns }: TableRows): Record<string, unknown>[] {
  const rows = Array.from({ length: count }, (): Record<string, unknown> => ({}));
  for (const [c, name] of names.entries()) {
    const values = columns[c];
    if ('plain' in values) {
      for (let row = 0; row < count; row++) rows[row][name] = values.plain[row];
      continue;
    }
    for (let row = 0, start = 0; row < count; row++) {
      rows[row][name] = values.all.subarray(start, start + values.lengths[row]);
      start += values.lengths[row];
    }
  }
  return rows;
}

export async function featuresOfColumns(form: TableForm, { path, member }: Input): Promise<DeflatedMatrix> {
  const file = await open(form, path);
  const lists = file.columns.filter(({ kind }) => kind === 'list').map(({ name }) => name);
  const usual = usualFeatureTitles.find((title) => lists.includes(title));
  const chosen = member ?? usual ?? (lists.length === 1 ? lists[0] : undefined);
  const floats = file.columns.filter(({ kind }) => kind === 'float').map(({ name }) => name);
  const columns = chosen === undefined ? floats : [chosen];
  if (chosen === undefined ? floats.length < 2 : !lists.includes(chosen)) {
    const wanted = chosen === undefined ? 'no columns of floats' : `no column ${quoted(chosen)} of lists of numbers`;
    throw new NaanError('BAD_INPUT', `${path}: has ${wanted}, found: ${describe(file)}: name one as ${path}:COLUMN`);
  }
  const valuesOf = (row: Record<string, unknown>) =>
    (chosen === undefined ? floats.map((name) => row[name]) : row[chosen]) as ArrayLike<unknown>;
  let dim = floats.length;
  if (chosen !== undefined && file.rowCount > 0) {
    const first = await file.first(columns);
    dim = valuesOf(first)?.length ?? 0;
  }
  const largest = file.largestGroup;
  if (largest * dim * file.valueBytes > usableBytes()) {
    const needed = gib(largest * dim * file.valueBytes);
    throw new NaanError(
      'OUT_OF_MEMORY',
      `${path}: a row group of ${largest} rows takes ${needed} GiB to read: write it with smaller ones (${kinds[form].smaller})`,
    );
  }
  return featuresOfTable({
    name: chosen === undefined ? path : `${path}:${oneLine(chosen)}`,
    rowCount: file.rowCount,
    dim,
    where: (row) => `${path}: row ${row}`,
    each: (take) =>
      file.each(columns, (rows) => {
        for (const row of rows) take(valuesOf(row));
      }),
  });
}

export async function itemsOfColumns(form: TableForm, { path, member }: Input): Promise<Items> {
  const file = await open(form, path);
  const chosen = member ?? usualItemTitles.find((title) => isNameColumn(file, title));
  if (chosen !== undefined && isNameColumn(file, chosen)) return itemsIn(file, chosen);
  const wanted = chosen === undefined ? 'of a usual name' : quoted(chosen);
  throw new NaanError(
    'BAD_INPUT',
    `${path}: has no column ${wanted} of text or integers, found: ${describe(file)}: name one as ${path}:COLUMN`,
  );
}

export async function itemsBesideColumns(form: TableForm, path: string): Promise<Items | undefined> {
  const file = await open(form, path);
  const chosen = usualItemTitles.find((title) => isNameColumn(file, title));
  return chosen === undefined ? undefined : { ...itemsIn(file, chosen), mayBeIdentities: mayBeIdentities(chosen) };
}

export async function labelsOfColumns(form: TableForm, { path, member = 'label' }: Input): Promise<Labels> {
  const file = await open(form, path);
  if (!isNameColumn(file, member)) {
    throw new NaanError(
      'BAD_INPUT',
      `${path}: has no column ${quoted(member)} of labels, found: ${describe(file)}: name one as ${path}:COLUMN`,
    );
  }
  const labels = new LabelGatherer((row) => `${path}: row ${row}`);
  await file.each([member], (rows, first) => {
    for (let i = 0; i < rows.length; i++) labels.add(String(rows[i][member] ?? '').trim(), first + i);
  });
  return labels.finish();
}

function itemsIn(file: OpenTable, column: string): Items {
  const each = (visit: VisitNames) =>
    file.each([column], (rows, first) => {
      const names = rows.map((row) => String(row[column] ?? ''));
      const missing = names.indexOf('');
      if (missing >= 0) throw new NaanError('BAD_INPUT', `${file.path}: row ${first + missing}: has no item`);
      return visit(names, first);
    });
  return { name: `${file.path}:${oneLine(column)}`, each, count: async () => file.rowCount };
}

function isNameColumn({ columns }: OpenTable, name: string): boolean {
  return columns.some((column) => column.name === name && column.kind === 'name');
}

function describe({ columns }: OpenTable): string {
  return (
    columns
      .slice(0, 20)
      .map(({ name }) => quoted(name))
      .join(', ') + (columns.length > 20 ? `, and ${columns.length - 20} more` : '')
  );
}
