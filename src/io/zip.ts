/** Where the members of a ZIP archive lie, ZIP64 included. */
import { closeSync, fstatSync, read } from 'node:fs';
import yauzl from 'yauzl';
import { NaanError } from '../errors.js';
import type { ByteSource } from './byte-source.js';
import { openInput, unreadable } from './input-file.js';
import { oneLine } from './messages.js';

// The published types describe version 2; these are of version 3.
declare module 'yauzl' {
  interface ZipFile {
    eachEntry(): AsyncIterable<Entry>;
    readLocalFileHeaderPromise(entry: Entry, options: { minimal: true }): Promise<{ fileDataStart: number }>;
  }
  function fromRandomAccessReaderPromise(
    reader: RandomAccessReader,
    totalSize: number,
    options: Options,
  ): Promise<ZipFile>;
}

/** Deflate cannot shrink a run of bytes more than this. */
const greatestRatio = 1032;

/** Members of an archive by name, in its order. Throws BAD_INPUT when it is no ZIP archive or a damaged one. */
export async function listZip(path: string): Promise<Map<string, ByteSource>> {
  const fd = openInput(path);
  try {
    const members = new Map<string, ByteSource>();
    const options = { autoClose: false };
    const archive = await yauzl.fromRandomAccessReaderPromise(new FileReader(fd), fstatSync(fd).size, options);
    for await (const entry of archive.eachEntry()) {
      const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
      members.set(entry.fileName, memberOf(path, entry, fileDataStart));
    }
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

function memberOf(path: string, entry: yauzl.Entry, offset: number): ByteSource {
  const name = `${path}:${oneLine(entry.fileName)}`;
  const { compressionMethod: method, compressedSize, uncompressedSize: length, crc32 } = entry;
  if (entry.isEncrypted()) throw new NaanError('BAD_INPUT', `${name}: is encrypted, expected a plain member`);
  if (method === 0) return { path, name, offset, length, crc32 };
  if (method !== 8) {
    throw new NaanError('BAD_INPUT', `${name}: compression method ${method}, expected stored (0) or deflated (8)`);
  }
  if (compressedSize === 0 || length > compressedSize * greatestRatio) {
    throw new NaanError('BAD_INPUT', `${name}: ${compressedSize} bytes cannot inflate to ${length}: it is damaged`);
  }
  return { path, name, offset, length, deflatedLength: compressedSize, crc32 };
}

/** Positional reads for yauzl that fail, rather than throw, where a damaged archive points outside the file. */
class FileReader extends yauzl.RandomAccessReader {
  private readonly fd: number;
  private readonly size: number;

  constructor(fd: number) {
    super();
    this.fd = fd;
    this.size = fstatSync(fd).size;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    if (position < 0 || position + length > this.size) {
      setImmediate(callback, new Error(`bytes ${position} to ${position + length} are outside the file`));
    } else {
      read(this.fd, buffer, offset, length, position, callback);
    }
  }
}
