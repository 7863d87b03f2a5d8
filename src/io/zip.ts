/** Where the members of a ZIP archive lie, ZIP64 included. A member that nobody asks for cannot stop anybody. */
import { closeSync } from 'node:fs';
import type { Entry } from 'yauzl';
import { NaanError } from '../errors.js';
import type { ByteSource } from './byte-source.js';
import { inputSize, openInput, readFully, unreadable } from './input-file.js';
import { oneLine } from './messages.js';

/** Finds the bytes of a member. Throws BAD_INPUT when it is encrypted, packed by another method, or damaged. */
export type FindMember = () => ByteSource;

/** Deflate cannot shrink a run of bytes more than this. */
const greatestRatio = 1032;

/** Whether a file that starts with these bytes is a ZIP archive. */
export function isZip(start: Uint8Array): boolean {
  const [p, k, three, four] = start;
  return p === 0x50 && k === 0x4b && ((three === 3 && four === 4) || (three === 5 && four === 6));
}

/**
 * Members of an archive by name, in its order; of members of one name the last. Only the directory is read.
 * Throws BAD_INPUT when the file is no ZIP archive or a damaged one.
 */
export async function listZip(path: string): Promise<Map<string, FindMember>> {
  const fd = openInput(path);
  try {
    const members = new Map<string, FindMember>();
    // Loaded for archives only: a run on other files starts sooner.
    const { readDirectory } = await import('./zip-directory.js');
    for await (const { name, entry } of readDirectory(fd, path)) members.set(name, () => memberOf(path, name, entry));
    return members;
  } catch (error) {
    const known = unreadable(path, error);
    if (known instanceof NaanError) throw known;
    const reason = error instanceof Error ? error.message : String(error);
    throw new NaanError('BAD_INPUT', `${path}: is not a whole ZIP archive: ${oneLine(reason)}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

function memberOf(path: string, memberName: string, entry: Entry): ByteSource {
  const name = `${path}:${oneLine(memberName)}`;
  const bad = (what: string) => new NaanError('BAD_INPUT', `${name}: ${what}`);
  const { compressionMethod: method, compressedSize, uncompressedSize: length, crc32 } = entry;
  if (entry.isEncrypted()) throw bad('is encrypted, expected a plain member');
  if (method !== 0 && method !== 8) {
    throw bad(`compression method ${method}, expected stored (0) or deflated (8)`);
  }
  if (method === 0 ? length !== compressedSize : compressedSize === 0 || length > compressedSize * greatestRatio) {
    const fate = method === 0 ? 'are not' : 'cannot inflate to';
    throw bad(`${compressedSize} bytes ${fate} ${length}: it is damaged`);
  }
  const offset = dataStart(path, name, entry.relativeOffsetOfLocalHeader);
  if (offset + compressedSize > inputSize(path)) throw bad('reaches beyond the end of the file: it is damaged');
  return { path, name, offset, length, ...(method === 8 && { deflatedLength: compressedSize }), crc32 };
}

const localHeaderBytes = 30;

/** Where the bytes of a member start: behind its local header, whose lengths may differ from those of the directory. */
function dataStart(path: string, name: string, headerStart: number): number {
  const header = Buffer.alloc(localHeaderBytes);
  const fd = openInput(path);
  try {
    readFully(fd, header, headerStart, name);
  } finally {
    closeSync(fd);
  }
  if (!isZip(header) || header[2] !== 3) {
    throw new NaanError('BAD_INPUT', `${name}: does not start where the directory says: the archive is damaged`);
  }
  return headerStart + localHeaderBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
}
