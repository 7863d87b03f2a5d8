/** Arrow IPC files (Feather of version 2) and streams, decoded by flechette a record batch at a time. */
import { closeSync, openSync, statSync } from 'node:fs';
import { CompressionType, type DataType, setCompressionCodec, type Table, Type, tableFromIPC } from '@uwdata/flechette';
import { compressors } from 'hyparquet-compressors';
import { type ArrowMessage, checkClaims, listMessages, messageTypes } from './arrow-messages.js';
import { readFully } from './input-file.js';
import { decompressLz4Frame } from './lz4-frame.js';
import type { TableReader } from './table-decode.js';
import type { TableColumn } from './table-process.js';

const encode = () => {
  throw new Error('Arrow is read only');
};
setCompressionCodec(CompressionType.LZ4_FRAME, { encode, decode: decompressLz4Frame });
setCompressionCodec(CompressionType.ZSTD, {
  encode,
  decode: (bytes, length) => aligned(compressors.ZSTD!(bytes, length)),
});

export async function openArrow(path: string): Promise<TableReader> {
  const messages = withFile(path, (fd) => listMessages(fd, statSync(path).size, path));
  const schema = messages.find(({ type }) => type === messageTypes.schema);
  if (!schema) throw new Error('it has no schema');
  const batches = messages.filter(({ type }) => type === messageTypes.batch);
  const firstRows = [0];
  for (const { rowCount } of batches) firstRows.push(firstRows[firstRows.length - 1] + rowCount);
  const read = (wanted: readonly ArrowMessage[]): Table =>
    tableFromIPC(
      withFile(path, (fd) =>
        wanted.map(({ offset, bytes }) => {
          const message = new Uint8Array(bytes);
          readFully(fd, message, offset, path);
          checkClaims(message);
          return message;
        }),
      ),
      { useBigInt: true },
    );
  return {
    facts: {
      rowCount: firstRows[batches.length],
      groups: batches.map(({ rowCount }) => rowCount),
      columns: read([schema]).schema.fields.map(columnOf),
    },
    async rows(columns, [start]) {
      // Batches without rows may start at the same row as one with rows, which is the last of them then.
      const batch = batches[firstRows.lastIndexOf(start, batches.length - 1)];
      const dictionaries = messages.filter(
        ({ type, offset }) => type === messageTypes.dictionary && offset < batch.offset,
      );
      const table = read([schema, ...dictionaries, batch]);
      const values = columns.map((name) => table.getChild(name));
      for (const column of values) for (const part of column?.data ?? []) checkLists(part);
      return { count: batch.rowCount, valueOf: (row, column) => values[column].at(row) };
    },
  };
}

function columnOf({ name, type }: { readonly name: string | null; readonly type: DataType }): TableColumn {
  if (name === null) throw new Error('its schema has a column without a name');
  return { name, kind: kindOf(type) };
}

function kindOf(type: DataType): TableColumn['kind'] {
  const values = type.typeId === Type.Dictionary ? type.dictionary : type;
  switch (values.typeId) {
    case Type.List:
    case Type.LargeList:
    case Type.ListView:
    case Type.LargeListView:
    case Type.FixedSizeList:
      return values.children[0].type.typeId === Type.Float ? 'list' : 'other';
    case Type.Float:
      return 'float';
    case Type.Int:
    case Type.Utf8:
    case Type.LargeUtf8:
    case Type.Utf8View:
      return 'name';
    default:
      return 'other';
  }
}

/** What flechette keeps of a column of lists: where each begins and ends, or how long it is, among the values of all. */
interface Lists {
  readonly type: DataType;
  readonly length: number;
  readonly offsets?: ArrayLike<number | bigint>;
  readonly sizes?: ArrayLike<number | bigint>;
  readonly children?: readonly { readonly length: number }[];
  /** Of a column that is made of a dictionary. */
  readonly dictionary?: { readonly data: readonly unknown[] };
}

/** Throws where a list has more values than its column: as many would be made of it. */
function checkLists(part: unknown): void {
  const { type, length, offsets, sizes, children, dictionary } = part as Lists;
  for (const values of dictionary?.data ?? []) checkLists(values);
  const most = children?.[0]?.length;
  if (most === undefined) return;
  const check = (start: number, end: number) => {
    if (!(start >= 0 && end <= most)) throw new Error(`a list ends at value ${end} of ${most}`);
  };
  if (type.typeId === Type.FixedSizeList) check(0, length * type.stride);
  for (let row = 0; offsets !== undefined && row < length; row++) {
    const start = Number(offsets[row]);
    check(start, sizes === undefined ? Number(offsets[row + 1]) : start + Number(sizes[row]));
  }
}

/** Bytes on which 8-byte values can be looked at. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}
