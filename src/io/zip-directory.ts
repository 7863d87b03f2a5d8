/** Entries of the directory of a ZIP archive, as yauzl finds them. */
import { fstatSync } from 'node:fs';
import yauzl from 'yauzl';
import { NaanError } from '../errors.js';
import { readFully, readSome } from './input-file.js';

// The published types describe version 2; these are of version 3.
declare module 'yauzl' {
  interface ZipFile {
    eachEntry(): AsyncIterable<Entry>;
  }
  interface Entry {
    fileNameRaw: Buffer;
  }
  function getFileNameLowLevel(flags: number, name: Buffer, extraFields: Entry['extraFields'], strict: boolean): string;
  function fromRandomAccessReaderPromise(
    reader: RandomAccessReader,
    totalSize: number,
    options: Options,
  ): Promise<ZipFile>;
}

/** Archives of arrays have a few members, checkpoints some thousand. */
const maxMembers = 2 ** 16;
/** The maximum of bytes of the directory over all members: names, extra fields and comments. */
const maxNameBytes = 2 ** 24;

/**
 * Entries in their order. Names are decoded here: yauzl would refuse an archive for one that is no relative path.
 * Throws BAD_INPUT for more members, or longer names, than any archive of arrays has.
 */
export async function* readDirectory(
  fd: number,
  path: string,
): AsyncGenerator<{ readonly name: string; readonly entry: yauzl.Entry }> {
  const options = { autoClose: false, decodeStrings: false, validateEntrySizes: false };
  const reader = new FileReader(fd, path);
  const archive = await yauzl.fromRandomAccessReaderPromise(reader, reader.size, options);
  const refused = (what: string) => new NaanError('BAD_INPUT', `${path}: ${what}`);
  if (archive.entryCount > maxMembers) {
    throw refused(`an archive of ${archive.entryCount} members, expected at most ${maxMembers}`);
  }
  let nameBytes = 0;
  for await (const entry of archive.eachEntry()) {
    const { generalPurposeBitFlag: flags, fileNameRaw, extraFields } = entry;
    nameBytes += entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength;
    if (nameBytes > maxNameBytes) throw refused(`names of its members take more than ${maxNameBytes} bytes`);
    yield { name: yauzl.getFileNameLowLevel(flags, fileNameRaw, extraFields, true), entry };
  }
}

const windowBytes = 2 ** 16;

/**
 * Positional reads for yauzl that fail, rather than throw, where a damaged archive points outside the file. It asks for a
 * few bytes at a time, front to back, so they are read by windows.
 */
class FileReader extends yauzl.RandomAccessReader {
  readonly size: number;
  private window: Uint8Array = new Uint8Array(0);
  private windowStart = 0;

  constructor(
    private readonly fd: number,
    private readonly path: string,
  ) {
    super();
    this.size = fstatSync(fd).size;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    try {
      this.fill(buffer.subarray(offset, offset + length), position);
    } catch (error) {
      setImmediate(callback, error instanceof Error ? error : new Error(String(error)));
      return;
    }
    queueMicrotask(() => callback(null, length));
  }

  private fill(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (position < 0 || end > this.size) throw new Error(`bytes ${position} to ${end} are outside the file`);
    if (bytes.length > windowBytes) {
      readFully(this.fd, bytes, position, this.path);
      return;
    }
    if (position < this.windowStart || end > this.windowStart + this.window.length) {
      this.window = readSome(this.fd, position, windowBytes, this.path);
      this.windowStart = position;
    }
    const found = this.window.subarray(position - this.windowStart, end - this.windowStart);
    if (found.length < bytes.length) throw new Error(`bytes ${position} to ${end} are outside the file`);
    bytes.set(found);
  }
}
