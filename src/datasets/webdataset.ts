/**
 * WebDataset: tar archives of samples, which are read from front to back, so images are shuffled, by a hash of their names.
 * Sample 000000012 is 000000012.jpg, the image as it is, 000000012.cls, its label, and 000000012.json, which says its name.
 */
import { createHash } from 'node:crypto';
import type { DatasetWriter, Part } from './dataset.js';
import { type HashedFile, writeHashed } from './hashed-file.js';
import { type EncodedImage, encodedImages } from './images.js';

const maxSamples = 10_000;
const mostBytes = 2 ** 30;
const blockBytes = 512;

export const webDataset: DatasetWriter = {
  name: 'webdataset',
  async write(part, destination) {
    const order = shuffled(part);
    const images = encodedImages(part, (place) => order[place]);
    let done = 0;
    let next = await images.next();
    for (let shard = 0; !next.done; shard++) {
      const name = `${part.name}-${String(shard).padStart(6, '0')}.tar`;
      await writeHashed(destination, name, async (file) => {
        for (let samples = 0; !next.done && samples < maxSamples && file.length < mostBytes; samples++) {
          await writeSample(file, part, order[done], next.value);
          done++;
          if (done % 64 === 0 || done === part.count) await destination.advance(part, done);
          next = await images.next();
        }
        await file.write(Buffer.alloc(2 * blockBytes));
      });
    }
  },
};

async function writeSample(file: HashedFile, part: Part, i: number, { bytes, type }: EncodedImage): Promise<void> {
  const key = String(i).padStart(9, '0');
  await writeMember(file, `${key}.${type}`, bytes);
  await writeMember(file, `${key}.cls`, Buffer.from(String(part.labels[i])));
  await writeMember(file, `${key}.json`, Buffer.from(JSON.stringify({ item: part.item(i), label: part.labels[i] })));
}

/** Images in the order of the first bytes of SHA-256 of their names. */
function shuffled(part: Part): Int32Array {
  const keys = new Float64Array(part.count);
  for (let i = 0; i < part.count; i++) {
    const hash = createHash('sha256').update(part.item(i)).digest().readUIntBE(0, 3);
    keys[i] = hash * 2 ** 29 + i;
  }
  return Int32Array.from(keys.sort(), (key) => key % 2 ** 29);
}

/** A member with a ustar header (POSIX 1003.1), filled up to a whole block. */
async function writeMember(file: HashedFile, name: string, bytes: Buffer): Promise<void> {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0') + '\0';
  header.write(name, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(bytes.length, 11), 124);
  header.write(octal(0, 11), 136);
  header.write('        0', 148); // the checksum counts as blanks; then the type, a plain file
  header.write('ustar\x0000', 257);
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    ) + ' ',
    148,
  );
  await file.write(header);
  await file.write(bytes);
  await file.write(Buffer.alloc(-bytes.length & (blockBytes - 1)));
}
