/**
 * The headers of a ZIP archive whose members are stored as they are, with ZIP64 fields where a size or an offset does
 * not fit 32 bits. Field by field: PKWARE APPNOTE.TXT, sections 4.3 to 4.5.
 */
export interface ZipMember {
  readonly name: string;
  readonly size: number;
  /** Position of the member's local header. */
  readonly offset: number;
  crc32: number;
}

const limit16 = 0xffff;
const limit32 = 0xffffffff;
/** 1980-01-01 00:00, the first date ZIP knows: the same arrays give the same bytes. */
const dosDate = 0x0021;

/** Fields shared by the local and the central header, from "version needed" to "extra field length". */
function commonFields(member: ZipMember, extraBytes: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(extraBytes > 0 ? 45 : 20, 0);
  fields.writeUInt16LE(0x0800, 2); // names are UTF-8
  fields.writeUInt16LE(dosDate, 8);
  fields.writeUInt32LE(member.crc32, 10);
  fields.writeUInt32LE(Math.min(member.size, limit32), 14);
  fields.writeUInt32LE(Math.min(member.size, limit32), 18);
  fields.writeUInt16LE(Buffer.byteLength(member.name), 22);
  fields.writeUInt16LE(extraBytes, 24);
  return fields;
}

/** ZIP64 extra field: the values that do not fit their 32 bits, in this order: size twice, offset. */
function zip64Extra(values: readonly number[]): Buffer {
  if (values.length === 0) return Buffer.alloc(0);
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return extra;
}

/** What goes before the bytes of a member; its checksum, at byte 14, may be filled in afterwards. */
export function localHeader(member: ZipMember): Buffer {
  const extra = zip64Extra(member.size >= limit32 ? [member.size, member.size] : []);
  return Buffer.concat([uint32(0x04034b50), commonFields(member, extra.length), Buffer.from(member.name), extra]);
}

function centralHeader(member: ZipMember): Buffer {
  const large = member.size >= limit32 ? [member.size, member.size] : [];
  const extra = zip64Extra(member.offset >= limit32 ? [...large, member.offset] : large);
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(0o100644 * 2 ** 16, 6); // a plain file, as unzip tools on Unix show it
  tail.writeUInt32LE(Math.min(member.offset, limit32), 10);
  const madeBy = Buffer.from([45, 3]);
  return Buffer.concat([
    uint32(0x02014b50),
    madeBy,
    commonFields(member, extra.length),
    tail,
    Buffer.from(member.name),
    extra,
  ]);
}

/** What goes after the last member: the central directory, starting at byte `start`, and its end records. */
export function zipDirectory(members: readonly ZipMember[], start: number): Buffer {
  const headers = Buffer.concat(members.map(centralHeader));
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(members.length, limit16), 8);
  end.writeUInt16LE(Math.min(members.length, limit16), 10);
  end.writeUInt32LE(headers.length, 12);
  end.writeUInt32LE(Math.min(start, limit32), 16);
  const needsZip64 = start >= limit32 || members.length >= limit16;
  return Buffer.concat([headers, needsZip64 ? zip64End(members.length, start, headers.length) : Buffer.alloc(0), end]);
}

/** The ZIP64 end record, and the locator that says where it is. */
function zip64End(memberCount: number, start: number, size: number): Buffer {
  const record = Buffer.alloc(76);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  record.writeBigUInt64LE(BigInt(memberCount), 24);
  record.writeBigUInt64LE(BigInt(memberCount), 32);
  record.writeBigUInt64LE(BigInt(size), 40);
  record.writeBigUInt64LE(BigInt(start), 48);
  record.writeUInt32LE(0x07064b50, 56);
  record.writeBigUInt64LE(BigInt(start + size), 64);
  record.writeUInt32LE(1, 72);
  return record;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
