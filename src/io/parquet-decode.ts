/** Parquet, decoded by hyparquet a row group at a time. */
import { asyncBufferFromFile, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { TableReader } from './table-decode.js';
import type { TableColumn } from './table-process.js';

export async function openParquet(path: string): Promise<TableReader> {
  const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
  return {
    facts: {
      rowCount: Number(metadata.num_rows),
      groups: metadata.row_groups.map((group) => Number(group.num_rows)),
      columns: columnsOf(metadata),
    },
    async rows(columns, [rowStart, rowEnd]) {
      const file = await asyncBufferFromFile(path);
      const rows = await parquetReadObjects({ file, metadata, columns: [...columns], compressors, rowStart, rowEnd });
      return { count: rows.length, valueOf: (row, column) => rows[row][columns[column]] };
    },
  };
}

/** Columns of the top level: schema elements come depth first, each with the number of those right below it. */
function columnsOf({ schema }: FileMetaData): TableColumn[] {
  const columns: TableColumn[] = [];
  for (let at = 1; at < schema.length; ) {
    const { name, type, num_children: children, converted_type: converted, repetition_type: repetition } = schema[at];
    if (typeof name !== 'string') throw new Error('its schema has a column without a name');
    let end = at + 1;
    for (let left = children ?? 0; left > 0 && end < schema.length; end++) left += (schema[end].num_children ?? 0) - 1;
    const leaf = schema[end - 1];
    const isFloat = leaf.type === 'FLOAT' || leaf.type === 'DOUBLE' || leaf.logical_type?.type === 'FLOAT16';
    const isList = (children !== undefined || repetition === 'REPEATED') && isFloat;
    const isName = !children && (converted === 'UTF8' || type === 'INT32' || type === 'INT64' || type === 'BYTE_ARRAY');
    const kind = isList || converted === 'JSON' ? 'list' : !children && isFloat ? 'float' : isName ? 'name' : 'other';
    columns.push({ name, kind });
    at = end;
  }
  return columns;
}
