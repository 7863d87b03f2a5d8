/**
 * The messages that an Arrow IPC file or stream is made of, found without their bodies being read. A file is a stream between a mark
 * and a footer. A message: 0xFFFFFFFF, the length of its metadata, the metadata as a FlatBuffer, and its body.
 * https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
 */
import { readFully } from './input-file.js';

const fileMark = 'ARROW1';
const fileStart = 8;
const prefixBytes = 8;
/** Metadata of a message is some bytes a column, and a batch has no more than some thousand of them. */
const longestMetadata = 2 ** 28;

/** The type of a column that is a union, and the first version whose buffers have no number of a page before them. */
const unionType = 14;
const pagelessVersion = 3;

export const messageTypes = { schema: 1, dictionary: 2, batch: 3 } as const;

export interface ArrowMessage {
  readonly type: number;
  /** The position of the message in the file, with its prefix and body. */
  readonly offset: number;
  readonly bytes: number;
  /** Rows of a batch. */
  readonly rowCount: number;
}

/** Whether a file that starts with these bytes is Arrow: the mark of a file, or a stream whose first message is a schema. */
export function startsAsArrow(start: Uint8Array): boolean {
  const bytes = Buffer.from(start);
  if (bytes.toString('latin1', 0, fileMark.length) === fileMark) return true;
  if (bytes.length < prefixBytes + 16 || bytes.readInt32LE(0) !== -1) return false;
  const length = bytes.readInt32LE(4);
  if (length < 16 || length > longestMetadata || length % 8 !== 0) return false;
  try {
    return headOf(viewOf(bytes.subarray(prefixBytes, prefixBytes + length))).type === messageTypes.schema;
  } catch {
    return false;
  }
}

/** All messages of an open file of `size` bytes. Throws what says where it is not whole. */
export function listMessages(fd: number, size: number, name: string): ArrowMessage[] {
  const read = (position: number, count: number) => {
    if (position + count > size) throw new Error(`it ends at byte ${size}, expected ${position + count - size} more`);
    const bytes = new Uint8Array(count);
    readFully(fd, bytes, position, name);
    return bytes;
  };
  const isFile = Buffer.from(read(0, Math.min(size, fileMark.length))).toString('latin1') === fileMark;
  const end = isFile ? footerStart(read, size) : size;
  const messages: ArrowMessage[] = [];
  for (let offset = isFile ? fileStart : 0; offset + prefixBytes <= end; ) {
    const prefix = viewOf(read(offset, prefixBytes));
    const length = prefix.getInt32(4, true);
    if (prefix.getInt32(0, true) !== -1) throw new Error(`no message begins at byte ${offset}`);
    if (length === 0) break; // the end of the stream
    if (length < 0 || length > longestMetadata) throw new Error(`metadata of ${length} bytes at byte ${offset}`);
    const head = headOf(viewOf(read(offset + prefixBytes, length)));
    const bytes = prefixBytes + length + head.bodyLength;
    if (head.bodyLength < 0 || offset + bytes > end) throw new Error(`its message at byte ${offset} is cut off`);
    messages.push({ type: head.type, offset, bytes, rowCount: head.rowCount });
    offset += bytes;
  }
  return messages;
}

/** The footer stands before its length and the mark that ends the file. */
function footerStart(read: (position: number, count: number) => Uint8Array, size: number): number {
  const tail = read(Math.max(0, size - 4 - fileMark.length), 4 + fileMark.length);
  const length = viewOf(tail).getInt32(0, true);
  const isWhole = Buffer.from(tail.subarray(4)).toString('latin1') === fileMark;
  if (!isWhole || length <= 0 || length > size - fileStart) throw new Error('its end is missing');
  return size - tail.length - length;
}

/**
 * Throws where a message that is in memory claims more than it has bytes for: lists of its metadata, each alone or, where they share
 * bytes, all together; and values of its columns. Whoever decodes it makes something of each. Fields are counted by
 * https://github.com/apache/arrow/tree/main/format.
 */
export function checkClaims(message: Uint8Array): void {
  const bodyStart = prefixBytes + viewOf(message).getInt32(4, true);
  const metadata = viewOf(message.subarray(prefixBytes, bodyStart));
  const body = viewOf(message.subarray(bodyStart));
  const root = metadata.getInt32(0, true);
  const [versionAt, typeAt, headerAt] = [0, 1, 2].map((field) => fieldOf(metadata, root, field));
  const version = versionAt === undefined ? 0 : metadata.getInt16(versionAt, true);
  const header = tableAt(metadata, headerAt!);
  let room = metadata.byteLength;
  const elements = (table: number, field: number, bytes: number): number[] => {
    const at = fieldOf(metadata, table, field);
    if (at === undefined) return [];
    const vector = tableAt(metadata, at);
    const length = metadata.getInt32(vector, true);
    room -= length * bytes;
    if (length < 0 || vector + 4 + length * bytes > metadata.byteLength || room < 0) {
      throw new Error(`its metadata claims a list of ${length} elements, which it has no bytes for`);
    }
    return Array.from({ length }, (_, i) => vector + 4 + i * bytes);
  };
  const checkFields = (table: number, field: number): void => {
    for (const at of elements(table, field, 4)) {
      const column = tableAt(metadata, at);
      const [kindAt, unionAt] = [2, 3].map((part) => fieldOf(metadata, column, part));
      const isUnion = kindAt !== undefined && metadata.getUint8(kindAt) === unionType;
      if (isUnion && unionAt !== undefined) elements(tableAt(metadata, unionAt), 1, 4);
      checkFields(column, 5);
      elements(column, 6, 4);
    }
  };
  const checkBatch = (batch: number): void => {
    const nodes = elements(batch, 1, 16);
    const numberOfPage = version < pagelessVersion ? 8 : 0;
    const isCompressed = fieldOf(metadata, batch, 3) !== undefined;
    elements(batch, 4, 8);
    let longest = 0;
    for (const at of elements(batch, 2, 16 + numberOfPage)) {
      const [start, length] = [0, 8].map((part) => Number(metadata.getBigInt64(at + numberOfPage + part, true)));
      if (start < 0 || length < 0 || start + length > body.byteLength)
        throw new Error('a column is not within its message');
      // A compressed buffer begins with its length without compression, or −1.
      const whole = isCompressed && length >= 8 ? Number(body.getBigInt64(start, true)) : length;
      longest = Math.max(longest, whole < 0 ? length : whole);
    }
    // No value of a column with values is less than a bit.
    for (const at of nodes) {
      const count = Number(metadata.getBigInt64(at, true));
      if (count < 0 || count > 8 * longest)
        throw new Error(`a column claims ${count} values, which it has no bytes for`);
    }
  };
  const type = typeAt === undefined ? 0 : metadata.getUint8(typeAt);
  if (type === messageTypes.schema) {
    checkFields(header, 1);
    elements(header, 2, 4);
  } else if (type === messageTypes.batch) {
    checkBatch(header);
  } else if (type === messageTypes.dictionary) {
    const data = fieldOf(metadata, header, 1);
    if (data !== undefined) checkBatch(tableAt(metadata, data));
  }
}

/** Reads the metadata of a message. Its fields: version, type, header, length of the body; the first field of a batch's header is its length. */
function headOf(metadata: DataView): { type: number; bodyLength: number; rowCount: number } {
  const message = metadata.getInt32(0, true);
  const [typeAt, headerAt, bodyAt] = [1, 2, 3].map((field) => fieldOf(metadata, message, field));
  const type = typeAt === undefined ? 0 : metadata.getUint8(typeAt);
  if (headerAt === undefined) throw new Error('a message has no header');
  const header = tableAt(metadata, headerAt);
  const lengthAt = type === messageTypes.batch ? fieldOf(metadata, header, 0) : undefined;
  const number = (at: number | undefined) => (at === undefined ? 0 : Number(metadata.getBigInt64(at, true)));
  return { type, bodyLength: number(bodyAt), rowCount: number(lengthAt) };
}

/** The position of the table or vector that stands at a distance which is stored at a position. */
function tableAt(buffer: DataView, at: number): number {
  return at + buffer.getInt32(at, true);
}

/** The position of a field of a FlatBuffer's table, by its number from 0; undefined where the table has none. */
function fieldOf(buffer: DataView, table: number, field: number): number | undefined {
  const layout = table - buffer.getInt32(table, true);
  const entry = 4 + 2 * field;
  // With a sign, as the library reads them: both must see the same fields.
  const offset = entry < buffer.getInt16(layout, true) ? buffer.getInt16(layout + entry, true) : 0;
  return offset === 0 ? undefined : table + offset;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
