/** Entries of the directory of a ZIP archive, as yauzl finds them. */
import { fstatSync, read } from 'node:fs';
import yauzl from 'yauzl';

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

/** Entries in their order. Names are decoded here: yauzl would refuse an archive for one that is no relative path. */
export async function* readDirectory(fd: number): AsyncGenerator<{ name: string; entry: yauzl.Entry }> {
  const options = { autoClose: false, decodeStrings: false, validateEntrySizes: false };
  const archive = await yauzl.fromRandomAccessReaderPromise(new FileReader(fd), fstatSync(fd).size, options);
  for await (const entry of archive.eachEntry()) {
    const { generalPurposeBitFlag: flags, fileNameRaw, extraFields } = entry;
    yield { name: yauzl.getFileNameLowLevel(flags, fileNameRaw, extraFields, true), entry };
  }
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
