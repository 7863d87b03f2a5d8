/** Files of a set, digested as they are written. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeOutput } from '../io/output-file.js';
import type { Destination } from './dataset.js';

const windowBytes = 2 ** 20;

/** Appends bytes; the length is what was appended so far. */
export interface HashedFile {
  readonly length: number;
  write(bytes: Uint8Array): Promise<void>;
}

/** Writes a file of the set and lists it with its SHA-256. Throws NOT_WRITABLE. */
export async function writeHashed(
  { folder, written }: Destination,
  name: string,
  fill: (file: HashedFile) => Promise<void>,
): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  await writeOutput(join(folder, name), async (file) => {
    // A record is a few small pieces: they go to the disk together.
    const window = Buffer.allocUnsafe(windowBytes);
    let filled = 0;
    const flush = async () => {
      hash.update(window.subarray(0, filled));
      await file.write(window.subarray(0, filled));
      filled = 0;
    };
    await fill({
      get length() {
        return bytes;
      },
      async write(part) {
        bytes += part.length;
        for (let done = 0; done < part.length; ) {
          const count = Math.min(part.length - done, windowBytes - filled);
          window.set(part.subarray(done, done + count), filled);
          filled += count;
          done += count;
          if (filled === windowBytes) await flush();
        }
      },
    });
    await flush();
  });
  written.push({ name, bytes, sha256: hash.digest('hex') });
}

/** Writes lines, some thousand at once. */
export async function writeLines(
  destination: Destination,
  name: string,
  count: number,
  lineOf: (i: number) => string,
  { header = '', advance = async (_: number) => {} } = {},
): Promise<void> {
  const linesAtOnce = 2 ** 12;
  await writeHashed(destination, name, async (file) => {
    if (header !== '') await file.write(Buffer.from(header));
    for (let start = 0; start < count; start += linesAtOnce) {
      const end = Math.min(count, start + linesAtOnce);
      let text = '';
      for (let i = start; i < end; i++) text += lineOf(i);
      await file.write(Buffer.from(text));
      await advance(end);
    }
  });
}
