/** Files put together from parts, with lengths and checksums that are right: so that what is wrong within is found. */
import { crc32, deflateRawSync } from 'node:zlib';

export interface Member {
  readonly name: string;
  readonly data: Buffer;
  readonly deflated?: boolean;
  /** What its entry claims instead of the truth. */
  readonly claims?: {
    readonly length?: number;
    readonly method?: number;
    readonly offset?: number;
    readonly crc?: number;
  };
}

export function zipOf(members: readonly Member[], claimedMembers = members.length): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let at = 0;
  for (const { name, data, deflated = false, claims = {} } of members) {
    const stored = deflated ? deflateRawSync(data) : data;
    const title = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(claims.method ?? (deflated ? 8 : 0), 4);
    fields.writeUInt32LE(claims.crc ?? crc32(data), 10);
    fields.writeUInt32LE(stored.length, 14);
    fields.writeUInt32LE((claims.length ?? data.length) >>> 0, 18);
    fields.writeUInt16LE(title.length, 22);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    fields.copy(entry, 6);
    entry.writeUInt32LE((claims.offset ?? at) >>> 0, 42);
    locals.push(Buffer.from('PK\x03\x04', 'latin1'), fields, title, stored);
    entries.push(entry, title);
    at += 30 + title.length + stored.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(claimedMembers & 0xffff, 8);
  end.writeUInt16LE(claimedMembers & 0xffff, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** `header`: the text of the dictionary. */
export function npyOf(header: string, data: Buffer, version = 1): Buffer {
  const text = Buffer.from(`${header}\n`);
  const start = Buffer.alloc(version === 1 ? 10 : 12);
  start.write('\x93NUMPY', 'latin1');
  start[6] = version;
  if (version === 1) start.writeUInt16LE(text.length & 0xffff, 8);
  else start.writeUInt32LE(text.length, 8);
  return Buffer.concat([start, text, data]);
}

export function safetensorsOf(header: unknown, data: Buffer): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : (JSON.stringify(header) ?? ''));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** `records`: the body of each, any JSON. */
export function journalOf(records: readonly unknown[]): Buffer {
  const parts = [Buffer.from('naan journal 2\r\n', 'latin1')];
  for (const record of records) {
    const body = Buffer.from(typeof record === 'string' ? record : (JSON.stringify(record) ?? ''));
    const head = Buffer.from([0x89, 0x6e, 0x6a, 0x1a, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32LE(body.length, 4);
    head.writeUInt32LE(crc32(body, crc32(head.subarray(4, 8))), 8);
    parts.push(head, body);
  }
  return Buffer.concat(parts);
}
